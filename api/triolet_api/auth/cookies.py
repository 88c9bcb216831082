"""The refresh token as a cookie, for browsers: out of reach of scripts, and of other sites.

Only where an operator allows it and the client asks for it. `SameSite=Strict` keeps it from going
along with what other sites begin, and `Origin` is looked at all the same.
"""

from typing import Final, final
from urllib.parse import urlsplit

from triolet._model.errors import ErrorCode, Refusal

from ..endpoints import Call

NAME: Final = "triolet_refresh"
_DAY_S: Final = 86_400


@final
class RefreshCookie:
    """See the module.

    Args:
        is_allowed: whether there are any (`auth.refresh_cookie`).
        ttl_days: how long a browser keeps one.
        origins: whose pages may use it, besides the server's own: of the same site, by a proxy
            that asks under another host, for CORS lets no cookie pass.
    """

    def __init__(self, *, is_allowed: bool, ttl_days: float, origins: tuple[str, ...]) -> None:
        self._is_allowed = is_allowed
        self._max_age_s = round(ttl_days * _DAY_S)
        self._origins = origins

    def check_allowed(self) -> None:
        """Refuse where there are none.

        Raises:
            Refusal: `FORBIDDEN`.
        """
        if not self._is_allowed:
            raise Refusal(ErrorCode.FORBIDDEN, "this server gives refresh tokens no cookies")

    def read(self, call: Call) -> str:
        """Return the refresh token that a browser sent along; empty: none.

        Raises:
            Refusal: `FORBIDDEN`: a page of another site had it sent.
        """
        token = call.request.cookies.get(NAME, "") if self._is_allowed else ""
        if token and not self._is_ours(call):
            raise Refusal(ErrorCode.FORBIDDEN, "this origin may not use the cookie")
        return token

    def set(self, call: Call, token: str) -> None:
        """Have the browser keep a token."""
        call.set_header("Set-Cookie", _cookie(token, self._max_age_s))

    def remove(self, call: Call) -> None:
        """Have the browser forget it."""
        if self._is_allowed:
            call.set_header("Set-Cookie", _cookie("", 0))

    def _is_ours(self, call: Call) -> bool:
        origin = call.header("Origin") or ""
        if origin in self._origins:
            return True
        host = call.header("Host") or ""
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()


def _cookie(value: str, max_age_s: int) -> str:
    # Browsers take `Secure` from http://localhost, too.
    return f"{NAME}={value}; Path=/v1/auth; Max-Age={max_age_s}; HttpOnly; Secure; SameSite=Strict"
