"""Endpoints for who is signed in: what one is, where else one is, and ending that."""

from typing import Annotated, Final, TypeAlias, final

from msgspec import Meta, Struct

from triolet._model.errors import ErrorCode, Refusal

from ..endpoints import Access, Call, endpoint
from .attempts import Attempts
from .cookies import RefreshCookie
from .family import Family
from .issuing import Issuer
from .passwords import Password
from .sign_in import SIGN_IN_REFUSALS, attempt_of
from .signing_in import SigningIn

FamilyId: TypeAlias = Annotated[str, Meta(pattern=r"^[A-Za-z0-9_-]{22}\Z")]
# Whoever verifies by them asks so often; a new key signs from a restart on.
_KEYS_AGE_S: Final = 300
_STORE: Final = (ErrorCode.STORE_UNAVAILABLE, ErrorCode.OUTCOME_UNKNOWN)


@final
class Me(Struct, frozen=True, kw_only=True):
    """Who asks, as the token says.

    Attributes:
        session: the sign-in that the token comes from; empty: from none here.
        expires_at: when the token is over, ms.
    """

    user: str
    roles: tuple[str, ...]
    tier: str
    session: str
    expires_at: int


@final
class PasswordChange(Struct, frozen=True, kw_only=True):
    """The password there is, and the one there shall be."""

    old: Password
    new: Password


@final
class OwnSession(Struct, frozen=True, kw_only=True):
    """A sign-in of one's own; times in ms.

    Attributes:
        network: from where it began: an IPv4 /24 or an IPv6 /48.
        is_current: it is the one that asks.
    """

    id: str
    device: str
    agent: str
    network: str
    created: int
    used: int
    is_current: bool


@final
class OwnSessions(Struct, frozen=True):
    """One's sign-ins, the last used first."""

    sessions: tuple[OwnSession, ...]


@final
class OwnAccount:
    """Endpoints of one's own account."""

    def __init__(self, signing_in: SigningIn, attempts: Attempts, cookie: RefreshCookie) -> None:
        self._signing_in = signing_in
        self._attempts = attempts
        self._cookie = cookie

    @endpoint("GET", "/v1/auth/me", access=Access.USER, rate="read")
    async def me(self, call: Call) -> Me:
        """Tell who I am."""
        who = call.identity
        return Me(
            user=who.user,
            roles=who.roles,
            tier=who.tier,
            session=who.family,
            expires_at=who.expires_at,
        )

    @endpoint(
        "POST", "/v1/auth/password", access=Access.USER, rate="auth", refuses=SIGN_IN_REFUSALS
    )
    async def password(self, call: Call, body: PasswordChange) -> None:
        """Change my password.

        All my other sign-ins end.
        """
        who = call.identity
        attempt = attempt_of(call, "password", who.user)
        await self._attempts.check(attempt)
        try:
            await self._signing_in.change_password(who.user, body.old, body.new, family=who.family)
        except Refusal as refusal:
            if refusal.code is not ErrorCode.UNAUTHENTICATED:
                raise
            await self._attempts.failed(attempt)
            # Not 401: the token is good, and another one would not help.
            raise Refusal(ErrorCode.FORBIDDEN, "the old password is wrong") from None
        await self._attempts.succeeded(attempt)

    @endpoint("GET", "/v1/auth/sessions", access=Access.USER, rate="read", refuses=_STORE)
    async def sessions(self, call: Call) -> OwnSessions:
        """List where I am signed in."""
        who = call.identity
        found = await self._signing_in.families.of(who.user)
        return OwnSessions(tuple(_shown(one, who.family) for one in found))

    @endpoint(
        "DELETE",
        "/v1/auth/sessions/{session}",
        access=Access.USER,
        rate="write",
        refuses=(ErrorCode.NO_SUCH_ENTRY, *_STORE),
    )
    async def end(self, call: Call, session: FamilyId) -> None:
        """End one of my sign-ins, on whatever device it is."""
        if not await self._signing_in.families.end(call.identity.user, session):
            raise Refusal(ErrorCode.NO_SUCH_ENTRY, "there is no such sign-in")

    @endpoint("POST", "/v1/auth/logout-all", access=Access.USER, rate="write", refuses=_STORE)
    async def logout_everywhere(self, call: Call) -> None:
        """End all my sign-ins, this one included, and all tokens of mine from elsewhere."""
        await self._signing_in.end_everywhere(call.identity.user)
        self._cookie.remove(call)


@final
class KeySet(Struct, frozen=True):
    """A JWK set."""

    keys: tuple[dict[str, str], ...]


@final
class TokenKeys:
    """The keys by which others verify our access tokens."""

    def __init__(self, issuer: Issuer) -> None:
        self._issuer = issuer

    @endpoint(
        "GET",
        "/v1/auth/keys",
        access=Access.ANYONE,
        rate="read",
        produces="application/jwk-set+json",
    )
    async def keys(self, call: Call) -> KeySet:
        """Show the public keys that verify access tokens, as a JWK set (RFC 7517).

        It is empty where a secret signs them.
        """
        call.set_header("Cache-Control", f"public, max-age={_KEYS_AGE_S}")
        return KeySet(self._issuer.public_keys())


def _shown(family: Family, current: str) -> OwnSession:
    return OwnSession(
        id=family.id,
        device=family.device,
        agent=family.agent,
        network=family.network,
        created=family.created,
        used=family.used,
        is_current=family.id == current,
    )
