"""Endpoints for who is not signed in yet, and for going on."""

from typing import Annotated, Final, Literal, TypeAlias, final

from msgspec import Meta, Struct

from triolet._model.commands import Device as DeviceName
from triolet._model.errors import ErrorCode, Refusal
from triolet.ports.documents import Change

from ..endpoints import Access, Call, endpoint
from .attempts import Attempt, Attempts, Kind
from .cookies import RefreshCookie
from .family import network_of
from .invites import Invites
from .names import Name
from .passwords import Password
from .settings import Registration
from .signing_in import Device, SignedIn, SigningIn

# Longer than any: a refresh token of the longest name has 144 characters.
RefreshText: TypeAlias = Annotated[str, Meta(max_length=256)]
_AGENT_MAX: Final = 200
_CAPTCHA_MAX: Final = 8192

# What a wrong password, a wait, and a store that is away are answered.
SIGN_IN_REFUSALS: Final = (
    ErrorCode.UNAUTHENTICATED,
    ErrorCode.BANNED,
    ErrorCode.FORBIDDEN,
    ErrorCode.RATE_LIMITED,
    ErrorCode.STORE_UNAVAILABLE,
    ErrorCode.OUTCOME_UNKNOWN,
)


@final
class Credentials(Struct, frozen=True, kw_only=True):
    """Who somebody is, and how they show it.

    Attributes:
        device: a name for this device, as it will be listed.
        cookie: whether the refresh token shall be a cookie that no script can read.
    """

    user: Name
    password: Password
    device: DeviceName | None = None
    cookie: bool = False


@final
class NewAccount(Struct, frozen=True, kw_only=True):
    """Who somebody wants to be, as `Credentials`; `invite`: a code, where one is needed."""

    user: Name
    password: Password
    device: DeviceName | None = None
    cookie: bool = False
    invite: Annotated[str, Meta(max_length=64)] = ""


@final
class Refresh(Struct, frozen=True):
    """A refresh token; empty: it comes as a cookie."""

    refresh_token: RefreshText = ""


@final
class Tokens(Struct, frozen=True, kw_only=True):
    """What one goes on with.

    Attributes:
        access_token: for `Authorization: Bearer`, and the WebSocket's `hello`.
        refresh_token: gets the next two, once; empty: it is in a cookie.
        expires_in: seconds that the access token is good for.
        user: who one is, as the account is spelled.
    """

    access_token: str
    refresh_token: str
    expires_in: int
    user: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - its type


@final
class Auth:
    """Endpoints of signing in.

    Args:
        signing_in: what they do.
        invites: who may register where not everybody may.
        attempts: throttles guessing.
        cookie: of browsers.
        registration: who may register.
    """

    def __init__(
        self,
        signing_in: SigningIn,
        invites: Invites,
        attempts: Attempts,
        cookie: RefreshCookie,
        registration: Registration,
    ) -> None:
        self._signing_in = signing_in
        self._invites = invites
        self._attempts = attempts
        self._cookie = cookie
        self._registration = registration

    @endpoint(
        "POST",
        "/v1/auth/register",
        access=Access.ANYONE,
        rate="auth",
        status=201,
        refuses=(*SIGN_IN_REFUSALS, ErrorCode.ALREADY_EXISTS),
    )
    async def register(self, call: Call, body: NewAccount) -> Tokens:
        """Make an account, and sign in.

        Names are lower case: `Anna` becomes `anna`. A password is long rather than colourful.
        Where registration is by invite, `invite` is a code that an admin has given out.
        """
        if self._registration == "closed":
            raise Refusal(ErrorCode.FORBIDDEN, "accounts are made by the operator here")
        self._check_cookie(wanted=body.cookie)
        attempt = attempt_of(call, "register", body.user)
        await self._attempts.check(attempt)
        try:
            also = await self._invitation(body.invite)
            device = _device(call, body.device)
            found = await self._signing_in.register(body.user, body.password, device, also=also)
        except Refusal as refusal:
            # Names and codes can be guessed, too; a password that does not do is no guess.
            if refusal.code in (ErrorCode.ALREADY_EXISTS, ErrorCode.FORBIDDEN):
                await self._attempts.failed(attempt)
            raise
        await self._attempts.succeeded(attempt)
        return self._answer(call, found, as_cookie=body.cookie)

    @endpoint("POST", "/v1/auth/login", access=Access.ANYONE, rate="auth", refuses=SIGN_IN_REFUSALS)
    async def login(self, call: Call, body: Credentials) -> Tokens:
        """Sign in.

        Whether there is no such account or its password is another is told to nobody. After
        failures it may take a while, or a CAPTCHA (`X-Captcha`), until the next attempt counts.
        """
        self._check_cookie(wanted=body.cookie)
        attempt = attempt_of(call, "login", body.user)
        await self._attempts.check(attempt)
        try:
            device = _device(call, body.device)
            found = await self._signing_in.sign_in(body.user, body.password, device)
        except Refusal as refusal:
            if refusal.code in (ErrorCode.UNAUTHENTICATED, ErrorCode.BANNED):
                await self._attempts.failed(attempt)
            raise
        await self._attempts.succeeded(attempt)
        return self._answer(call, found, as_cookie=body.cookie)

    @endpoint(
        "POST",
        "/v1/auth/refresh",
        access=Access.ANYONE,
        rate="auth",
        refuses=(*SIGN_IN_REFUSALS, ErrorCode.TOKEN_INVALID),
    )
    async def refresh(self, call: Call, body: Refresh) -> Tokens:
        """Get the next tokens for a refresh token.

        It is good once: keep the new one. Who did not get the answer asks again at once, and gets
        the same refresh token. One that was used before ends the sign-in, with all its sessions:
        somebody has copied it.
        """
        token = body.refresh_token or self._cookie.read(call)
        if not token:
            raise Refusal(ErrorCode.UNAUTHENTICATED, "a refresh token is needed")
        found = await self._signing_in.refresh(token)
        return self._answer(call, found, as_cookie=not body.refresh_token)

    @endpoint(
        "POST",
        "/v1/auth/logout",
        access=Access.ANYONE,
        rate="auth",
        refuses=(ErrorCode.FORBIDDEN, ErrorCode.STORE_UNAVAILABLE, ErrorCode.OUTCOME_UNKNOWN),
    )
    async def logout(self, call: Call, body: Refresh) -> None:
        """End the sign-in of a refresh token, with its sessions and access tokens.

        Any token that it ever had does, also one that is used up; what is none changes nothing.
        """
        token = body.refresh_token or self._cookie.read(call)
        await self._signing_in.families.end_by(token)
        self._cookie.remove(call)

    async def _invitation(self, code: str) -> tuple[Change, ...]:
        if self._registration == "open":
            return ()
        return (await self._invites.use(code),)

    def _check_cookie(self, *, wanted: bool) -> None:
        if wanted:
            self._cookie.check_allowed()

    def _answer(self, call: Call, found: SignedIn, *, as_cookie: bool) -> Tokens:
        if as_cookie:
            self._cookie.set(call, found.refresh_token)
        return Tokens(
            access_token=found.access_token,
            refresh_token="" if as_cookie else found.refresh_token,
            expires_in=found.expires_in_s,
            user=found.user,
        )


def attempt_of(call: Call, kind: Kind, name: str) -> Attempt:
    """Return what the guard is asked about."""
    captcha = (call.header("X-Captcha") or "")[:_CAPTCHA_MAX]
    return Attempt(kind=kind, user=name.lower(), address=call.address, captcha=captcha)


def _device(call: Call, name: str | None) -> Device:
    agent = (call.header("User-Agent") or "")[:_AGENT_MAX]
    return Device(name=name or "", agent=agent, network=network_of(call.address))
