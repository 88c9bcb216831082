"""What an operator decides of notifications."""

from typing import Annotated, TypeAlias, final

from msgspec import Meta, Struct

from ..address import Address
from ..secret import Secret

Seconds: TypeAlias = Annotated[float, Meta(ge=0, le=30 * 24 * 3600)]
NetworkText: TypeAlias = Annotated[str, Meta(pattern=r"^[0-9a-fA-F.:]+(/[0-9]{1,3})?\Z")]


@final
class PushSettings(Struct, frozen=True, kw_only=True):
    """Web Push, and when notifications are told whichever way.

    Attributes:
        enabled: whether anybody is notified of anything.
        key: the private key of P-256 that subscriptions are bound to, in PEM; made on the first
            start and kept beside the secret. Nodes on all machines have the same.
        subject: whom a push service may ask, `mailto:ops@example.org` or a page; Apple's demands
            one.
        delay_s: how long messages gather before who is away is told of them.
        unread_delay_s: how long who is connected has to read a message before they are told.
        ttl_s: how long a push service keeps what a device that is off cannot take.
        preview: whether texts are sent at all; users may decide it for themselves otherwise.
        networks: private networks that endpoints may be in: `10.20.0.0/16`.
        hosts: push services that endpoints may be of, by their hosts or the ends of them:
            `googleapis.com`, `push.services.mozilla.com`, `push.apple.com`; empty: of any.
    """

    enabled: bool = True
    key: Secret | None = None
    subject: Annotated[str, Meta(pattern=r"^((mailto:|https://)[!-~]+)?\Z")] = ""
    delay_s: Seconds = 5
    unread_delay_s: Seconds = 30
    ttl_s: Annotated[int, Meta(ge=0, le=28 * 24 * 3600)] = 24 * 3600
    preview: bool = True
    networks: tuple[NetworkText, ...] = ()
    hosts: tuple[Annotated[str, Meta(pattern=r"^[a-z0-9.-]+\Z")], ...] = ()


@final
class MailSettings(Struct, frozen=True, kw_only=True):
    """Digests by e-mail, of what somebody has not read for a while.

    Attributes:
        server: `smtp://user:password@host:587` (STARTTLS is demanded) or `smtps://…:465`; with
            `?tls=off`, to a server on the same machine alone, neither. Empty: no mail is sent.
        sender: the address in `From`.
        digest_delay_s: how long messages stay unread before there is a digest of them.
        url: where people reach this server, for links: `https://chat.example.org`.
    """

    server: Address = Address("")
    sender: Annotated[str, Meta(pattern=r"^([!-?A-~]+@[A-Za-z0-9.-]+)?\Z")] = ""
    digest_delay_s: Seconds = 900
    url: Annotated[str, Meta(pattern=r"^(https?://[!-~]+)?\Z")] = ""


@final
class WebhookSettings(Struct, frozen=True, kw_only=True):
    """Notifications to a service of one's own, as signed POSTs.

    Attributes:
        url: where; empty: nowhere.
        secret: what signs them, at least 32 bytes.
        networks: private networks that it may be in.
    """

    url: Address = Address("")
    secret: Secret | None = None
    networks: tuple[NetworkText, ...] = ()
