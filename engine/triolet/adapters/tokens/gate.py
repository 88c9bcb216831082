"""The gate that admits JSON Web Tokens."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Protocol, final

import trio
from msgspec import UNSET

from ..._model.errors import ConfigurationError, ErrorCode, Refusal
from ..._model.ids import subject_of
from ..._model.limits import Limits
from ...ports.clock import Clock
from ...ports.gate import Action, Identity, Opening
from .jwks import JwksFile
from .jwt import (
    Claims,
    Parts,
    check_secret,
    decode_segment,
    has_hs256_signature,
    invalid,
    read_claims,
    take_apart,
    to_ms,
)
from .keys import KeyRing, PublicKey, keys_of_pem


class Revoked(Protocol):
    """See `Store.revoked`."""

    def __call__(self, *subjects: str) -> Awaitable[int]:
        """Return the greatest `not_before` of these subjects in ms, 0 if nothing is revoked."""
        ...


class RevokedNow(Protocol):
    """See `Store.revoked_now`."""

    def __call__(self, *subjects: str) -> int | None:
        """Return what `Revoked` does, if that is known in memory; else None."""
        ...


@final
class TokenGate:
    """Admits whoever holds a good token; what they may do is left to the engine's rules.

    Args:
        clock: judges `exp`, `nbf` and `iat`.
        limits: `token_leeway_s` is how far the issuer's clock may be off.
        secret: verifies HS256, 32 bytes at least; None: HS256 is refused.
        keys: PEM files' contents: public keys for RS256, ES256 or EdDSA.
        own: returns the keys that sign here at present (`SigningKeys.ring`).
        jwks: a JWK set's file, read again when it changes.
        revoked: tells since when tokens of a user and of a sign-in count (`Store.revoked`), ms,
            0: any do.
        revoked_now: the same without waiting (`Store.revoked_now`), None: it must be waited for.
        issuer: what `iss` must be; empty: it is not looked at.
        audience: what `aud` must name one of; empty: a token made for an audience is refused,
            for it was made for somebody else (RFC 7519 section 4.1.3).

    Raises:
        ConfigurationError: no key at all, or one that cannot be used.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        limits: Limits,
        secret: bytes | None = None,
        keys: Sequence[bytes] = (),
        own: Callable[[], KeyRing] | None = None,
        jwks: Path | None = None,
        revoked: Revoked | None = None,
        revoked_now: RevokedNow | None = None,
        issuer: str = "",
        audience: Sequence[str] = (),
    ) -> None:
        if secret is None and not keys and own is None and jwks is None:
            raise ConfigurationError("no token can be verified: neither secret nor keys are set")
        if secret is not None:
            check_secret(secret)
        self._secret = secret
        self._pems = KeyRing([key for data in keys for key in keys_of_pem(data)])
        self._jwks = None if jwks is None else JwksFile(jwks)
        self._own = own
        self._clock = clock
        self._leeway_ms = round(limits.token_leeway_s * 1000)
        self._revoked = revoked
        self._revoked_now = revoked_now
        self._issuer = issuer
        self._audience = tuple(audience)

    def __repr__(self) -> str:
        hs256 = "HS256" if self._secret is not None else "no HS256"
        jwks = None if self._jwks is None else self._jwks.ring
        return f"TokenGate({hs256}, pem={self._pems}, jwks={jwks})"

    async def admit(self, token: str | None, opening: Opening) -> Identity:  # noqa: ARG002 - the port's
        """Return who holds `token`.

        `expires_at` is the token's `exp`; for one admitted after it, by the leeway, it is
        `exp` + leeway, so that the session is not closed as soon as it is open.

        Raises:
            Refusal: `UNAUTHENTICATED` there is no token; `TOKEN_EXPIRED` a good one has
                expired; `TOKEN_INVALID` any other fault, each named in the message.
            StoreError: whether it was revoked could not be found out; nobody is admitted.
        """
        claims, expires_at = self._look_at(token)
        if self._revoked is None:
            await trio.lowlevel.checkpoint()
            return _identity(claims, expires_at, 0)
        return _identity(claims, expires_at, await self._revoked(*_subjects(claims)))

    def admit_now(self, token: str | None, opening: Opening) -> Identity | None:  # noqa: ARG002 - the port's
        """Return who holds `token`; None: whether it was revoked is not known in memory.

        Raises:
            Refusal: as `admit`.
        """
        if self._revoked is None:
            return _identity(*self._look_at(token), 0)
        if self._revoked_now is None:
            return None
        claims, expires_at = self._look_at(token)
        not_before = self._revoked_now(*_subjects(claims))
        return None if not_before is None else _identity(claims, expires_at, not_before)

    def _look_at(self, token: str | None) -> tuple[Claims, int]:
        """Return what a good token says, and when the session must end."""
        if not token:
            raise Refusal(ErrorCode.UNAUTHENTICATED, "a token is needed")
        claims = self._verify(take_apart(token))
        return claims, self._judge(claims)

    def may(self, who: Identity, action: Action, *, room: str = "", user: str = "") -> bool | None:  # noqa: ARG002 - the port's
        """Return None: tokens say who somebody is, the engine's rules say what they may do."""
        return None

    def _verify(self, parts: Parts) -> Claims:
        """The algorithm decides which keys are in reach; only then is anything computed."""
        algorithm = parts.header.alg
        if algorithm == "HS256":
            good = self._secret is not None and has_hs256_signature(parts, self._secret)
        else:
            good = self._is_signed(parts)
        if not good:
            raise invalid("the token is signed by no key that is trusted here")
        return read_claims(parts.payload)

    def _is_signed(self, parts: Parts) -> bool:
        candidates = self._candidates(parts.header.alg, parts.header.kid)
        if not candidates:
            return False
        try:
            signature = decode_segment(parts.signature)
        except ValueError:
            return False
        algorithm, message = parts.header.alg, parts.signing_input
        return any(key.has_signed(algorithm, message, signature) for key in candidates)

    def _candidates(self, algorithm: str, kid: str) -> Sequence[PublicKey]:
        if self._own is not None and (ours := self._own().find(algorithm, kid)):
            return ours
        if self._jwks is None:
            return self._pems.find(algorithm, kid)
        return self._jwks.refresh().find(algorithm, kid) or self._pems.find(algorithm, kid)

    def _judge(self, claims: Claims) -> int:
        """Compare a verified token with the clock and with whom it was made by and for."""
        now, leeway = self._clock.now_ms(), self._leeway_ms
        if claims.iat is not UNSET and to_ms(claims.iat) > now + leeway:
            raise invalid("the token's `iat` lies in the future")
        if claims.nbf is not UNSET and to_ms(claims.nbf) > now + leeway:
            raise invalid("the token's `nbf` lies in the future")
        if self._issuer and claims.iss != self._issuer:
            raise invalid("the token's `iss` is not the issuer trusted here")
        made_for = (claims.aud,) if isinstance(claims.aud, str) else claims.aud
        if self._audience and not any(one in self._audience for one in made_for):
            raise invalid("the token's `aud` does not name this service")
        if made_for and not self._audience:
            raise invalid("the token has an `aud`, and no audience is configured")
        expires_at = to_ms(claims.exp)
        if now >= expires_at:
            expires_at += leeway
        if now >= expires_at:
            raise Refusal(ErrorCode.TOKEN_EXPIRED, "the token has expired")
        return expires_at


def _subjects(claims: Claims) -> tuple[str, ...]:
    """Return what may have been revoked of a token."""
    family = claims.family
    return (claims.sub, subject_of(claims.sub, family)) if family else (claims.sub,)


def _identity(claims: Claims, expires_at: int, not_before: int) -> Identity:
    """Return whose token it is, unless those before `not_before` count no more."""
    issued_at = 0 if claims.iat is UNSET else to_ms(claims.iat)
    if not_before and claims.iat is UNSET:
        raise invalid("the user's tokens were revoked, and this one has no `iat`")
    if issued_at < not_before:
        raise invalid("the token was revoked")
    return Identity(
        user=claims.sub,
        expires_at=expires_at,
        issued_at=issued_at,
        roles=claims.roles,
        tier=claims.tier,
        device="" if claims.device is UNSET else claims.device,
        token_id=claims.jti,
        family=claims.family,
    )
