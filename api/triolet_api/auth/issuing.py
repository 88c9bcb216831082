"""Access tokens: what they say, and what signs them."""

from collections.abc import Callable
from typing import Final, final

from msgspec import Struct

from triolet.adapters.tokens import (
    KeyRing,
    SigningKeys,
    SigningKeysFile,
    new_signing_key,
    sign_hs256,
    write_claims,
)

from ..secret import Secret, make_or_keep, make_or_keep_secret
from ..settings import Settings
from .accounts import Account
from .family import Family
from .settings import AuthSettings

KEYS_FILE: Final = "signing-keys.json"


@final
class Signing(Struct, frozen=True):
    """What signs here: the secret, and for access tokens keys, if there are any."""

    secret: Secret
    keys: SigningKeysFile | None = None

    @property
    def ring(self) -> Callable[[], KeyRing] | None:
        """What tells the keys of the present, for a gate; None: there are none."""
        keys = self.keys
        return None if keys is None else lambda: keys.refresh().ring


def open_signing(settings: Settings) -> Signing | None:
    """Return what signs here, made on the first start; None: tokens come from elsewhere.

    Raises:
        ConfigurationError: it cannot be made, read or used.
    """
    secret = settings.secret
    if settings.makes_its_secret:
        secret = make_or_keep_secret(settings.data)
    if secret is None:
        return None
    algorithm = settings.auth.algorithm
    if algorithm == "HS256":
        return Signing(secret)
    make_or_keep(
        settings.data,
        KEYS_FILE,
        lambda: SigningKeys([new_signing_key(algorithm)]).private_set(),
    )
    return Signing(secret, SigningKeysFile(settings.data / KEYS_FILE))


@final
class Issuer:
    """Makes access tokens.

    Args:
        signing: signs them.
        issuer, audience: what they name, as tokens admitted here must; empty: nothing.
    """

    def __init__(
        self,
        signing: Signing,
        *,
        settings: AuthSettings,
        issuer: str = "",
        audience: str = "",
    ) -> None:
        self._secret = signing.secret.reveal()
        self._keys = signing.keys
        self.ttl_s = settings.access_ttl_s
        self._issuer = issuer
        self._audience = audience

    def issue(self, account: Account, family: Family, *, at: int) -> str:
        """Return a token for an account, issued `at` (ms), that dies with its family."""
        claims = write_claims(
            account.user,
            ttl_s=self.ttl_s,
            now_ms=at,
            tier=account.tier,
            roles=account.roles,
            device=family.device,
            family=family.id,
            issuer=self._issuer,
            audience=self._audience,
        )
        if self._keys is None:
            return sign_hs256(self._secret, claims)
        return self._keys.refresh().sign(claims, now_ms=at)

    def public_keys(self) -> tuple[dict[str, str], ...]:
        """Return the JWKs by which others verify them; none where a secret signs."""
        return () if self._keys is None else self._keys.refresh().public_jwks
