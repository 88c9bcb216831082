"""Access tokens: what they say, and what signs them."""

from pathlib import Path
from typing import Final, final

from triolet.adapters.tokens import (
    SigningKeys,
    check_secret,
    new_signing_key,
    read_signing_keys,
    sign_hs256,
    write_claims,
)

from ..secret import Secret, make_or_keep
from .accounts import Account
from .family import Family
from .settings import AuthSettings

KEYS_FILE: Final = "signing-keys.json"


def open_signing_keys(folder: Path, settings: AuthSettings) -> SigningKeys | None:
    """Return the keys kept in `folder`, made on the first start; None: the secret signs.

    Raises:
        ConfigurationError: they cannot be made, read or used.
    """
    if settings.algorithm == "HS256":
        return None
    algorithm = settings.algorithm
    kept = make_or_keep(
        folder, KEYS_FILE, lambda: SigningKeys([new_signing_key(algorithm)]).private_set()
    )
    return read_signing_keys(kept.reveal())


@final
class Issuer:
    """Makes access tokens.

    Args:
        secret: signs them, where there are no keys.
        keys: sign them.
        issuer, audience: what they name, as tokens admitted here must; empty: nothing.
    """

    def __init__(
        self,
        secret: Secret,
        keys: SigningKeys | None,
        *,
        settings: AuthSettings,
        issuer: str = "",
        audience: str = "",
    ) -> None:
        check_secret(secret.reveal())
        self._secret = secret.reveal()
        self._keys = keys
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
        return self._keys.sign(claims)

    def public_keys(self) -> tuple[dict[str, str], ...]:
        """Return the JWKs by which others verify them; none where a secret signs."""
        return () if self._keys is None else self._keys.public_jwks
