"""What an operator decides against abuse."""

from collections.abc import Iterator
from typing import Annotated, Literal, TypeAlias, final
from urllib.parse import urlsplit

from msgspec import Meta, Struct

from triolet._domain.addresses import AddressRules, ForwardedHeader

from ..secret import Secret

PerSecond: TypeAlias = Annotated[float, Meta(gt=0, le=1e6)]
AtOnce: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
CaptchaProvider: TypeAlias = Literal["", "turnstile", "hcaptcha"]
HttpsUrl: TypeAlias = Annotated[str, Meta(pattern=r"^(|https?://[^\s]+)\Z", max_length=500)]


@final
class GuardSettings(Struct, frozen=True, kw_only=True):
    """Who may come, and how often.

    Attributes:
        trusted_proxies: networks of proxies whose word on the client's address is taken.
        forwarded_header: the one in which they tell it; the other one is not looked at.
        allow: networks without limits, bans or other rules for addresses.
        deny: networks that may not connect, unless `allow` holds the address as well.
        read_rate, read_burst: requests a second of one user, and how many at once, that read;
            the others in the same way: that write, sign in, administrate, or open a stream.
        address_factor: how much more all users of one address may ask for together.
        captcha_provider: whose CAPTCHA is asked for; empty: none is.
        captcha_site_key: what a page shows it by.
        captcha_secret: what its answers are verified by.
        captcha_url: where they are; empty: the provider's own.
        captcha_timeout_s: how long that is waited for.
        captcha_fail_open: whether who answers one is let in while the provider cannot be asked.
        captcha_failures: failures of a user or an address after which signing in takes one;
            registering always does.
        bots: whether who behaves like a bot solves a CAPTCHA before they write on; where there is
            none, they have a quarter of the rates for ten minutes.
    """

    trusted_proxies: tuple[str, ...] = ()
    forwarded_header: ForwardedHeader = "x-forwarded-for"
    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    # A screen asks for a dozen pages when it is opened.
    read_rate: PerSecond = 20
    read_burst: AtOnce = 100
    write_rate: PerSecond = 10
    write_burst: AtOnce = 50
    # A password takes 28 ms of a core.
    auth_rate: PerSecond = 0.5
    auth_burst: AtOnce = 10
    admin_rate: PerSecond = 10
    admin_burst: AtOnce = 100
    # A stream comes back with a backoff; each costs what a connection does.
    stream_rate: PerSecond = 1
    stream_burst: AtOnce = 20
    # An office or a carrier has many people behind one address.
    address_factor: Annotated[float, Meta(ge=1, le=10_000)] = 10
    captcha_provider: CaptchaProvider = ""
    captcha_site_key: Annotated[str, Meta(max_length=200)] = ""
    captcha_secret: Secret | None = None
    captcha_url: HttpsUrl = ""
    captcha_timeout_s: Annotated[float, Meta(gt=0, le=30)] = 5
    captcha_fail_open: bool = False
    captcha_failures: Annotated[int, Meta(ge=1, le=100)] = 3
    bots: bool = False

    def rules(self) -> AddressRules:
        """Return what is said of addresses.

        Raises:
            ValueError: a network is none.
        """
        return AddressRules(
            trusted=self.trusted_proxies,
            allow=self.allow,
            deny=self.deny,
            header=self.forwarded_header,
        )

    def mistakes(self) -> Iterator[tuple[str, str]]:
        """Yield `(setting, what is wrong with it)`."""
        for name in ("trusted_proxies", "allow", "deny"):
            try:
                AddressRules(trusted=getattr(self, name))
            except ValueError as error:
                yield name, str(error)
        if self.captcha_provider and self.captcha_secret is None:
            yield "captcha_secret", "a CAPTCHA is verified by it"
        if self.captcha_secret is not None and not self.captcha_secret.reveal().isascii():
            yield "captcha_secret", "this is none of a provider's"
        if not _is_url(self.captcha_url):
            yield "captcha_url", "this is no URL"
        if self.captcha_provider and not self.captcha_site_key:
            yield "captcha_site_key", "a CAPTCHA is shown by it"


def _is_url(text: str) -> bool:
    """Whether one is empty, or has a host that can be asked."""
    try:
        parts = urlsplit(text)
        return not text or (bool(parts.hostname) and parts.port != 0)
    except ValueError:
        return False
