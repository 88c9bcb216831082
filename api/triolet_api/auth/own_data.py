"""Endpoints for who wants to have, or to have erased, all that is kept of them."""

from typing import Final, final

from msgspec import Struct
from quart import Response

from triolet._model.errors import ErrorCode, Refusal
from triolet.adapters.memory import MemoryLimiter
from triolet.ports.limiter import Quota

from ..belongings import Belongings
from ..endpoints import LINES, Access, Call, endpoint
from .attempts import Attempts
from .cookies import RefreshCookie
from .passwords import Password
from .sign_in import SIGN_IN_REFUSALS, attempt_of
from .signing_in import SigningIn

_STORE: Final = (ErrorCode.STORE_UNAVAILABLE,)
# An export reads every log of the store once: so many at once on a node, and of one user two, and
# then one each ten minutes.
EXPORTS_MAX: Final = 2
_EXPORTS_BURST: Final = 2
_EXPORT_INTERVAL_S: Final = 600
_BUSY_MS: Final = 5000


@final
class Farewell(Struct, frozen=True, kw_only=True):
    """The password, so that nobody who finds a device unlocked ends an account."""

    password: Password


@final
class OwnData:
    """Endpoints of what is kept of whoever asks."""

    def __init__(
        self,
        signing_in: SigningIn,
        attempts: Attempts,
        cookie: RefreshCookie,
        belongings: Belongings,
    ) -> None:
        self._signing_in = signing_in
        self._attempts = attempts
        self._cookie = cookie
        self._belongings = belongings
        self._exports = MemoryLimiter()
        self._running = 0

    @endpoint(
        "GET",
        "/v1/auth/me/export",
        access=Access.USER,
        rate="auth",
        produces=LINES,
        refuses=_STORE,
    )
    async def export(self, call: Call) -> Response:
        """Hand out what is kept of me: one JSON map a line, told apart by `kind`.

        As `GET /v1/admin/users/{user}/export`; the last line is `{"kind":"end"}`, without it the
        export is not whole. Where I am signed in is told by `GET /v1/auth/sessions`.
        It reads a great deal: after two of them there is one each ten minutes.
        """
        user = call.identity.user
        if self._running >= EXPORTS_MAX:
            message = "others have what is kept of them at this moment"
            raise Refusal(ErrorCode.RATE_LIMITED, message, retry_after_ms=_BUSY_MS)
        quota = Quota(user, rate=1 / _EXPORT_INTERVAL_S, burst=_EXPORTS_BURST)
        wait_s = self._exports.take_now([quota]).wait_s
        if wait_s:
            message = "it was handed out a short time ago"
            raise Refusal(ErrorCode.RATE_LIMITED, message, retry_after_ms=int(1000 * wait_s) + 1)
        self._running += 1
        return self._belongings.export(user, ended=self._one_has_ended)

    def _one_has_ended(self) -> None:
        self._running -= 1

    @endpoint("DELETE", "/v1/auth/me", access=Access.USER, rate="auth", refuses=SIGN_IN_REFUSALS)
    async def erase(self, call: Call, body: Farewell) -> None:
        """Erase me: all sign-ins end at once, what I said and what is kept of me soon after.

        It cannot be undone. My name stays taken, so that nobody else gets it.
        """
        user = call.identity.user
        attempt = attempt_of(call, "password", user)
        await self._attempts.check(attempt)
        try:
            await self._signing_in.accounts.authenticate(user, body.password)
        except Refusal as refusal:
            if refusal.code is not ErrorCode.UNAUTHENTICATED:
                raise
            await self._attempts.failed(attempt)
            # Not 401: the token is good, and another one would not help.
            raise Refusal(ErrorCode.FORBIDDEN, "the password is wrong") from None
        await self._attempts.succeeded(attempt)
        await self._belongings.erase(user)
        self._cookie.remove(call)
