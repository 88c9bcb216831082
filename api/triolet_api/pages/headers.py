"""Headers: what a browser is told with each answer, and which other sites may read it.

- Nothing is framed, sniffed, cached or told to other sites; a page says itself what it loads.
- Over TLS, browsers are told to come by TLS alone (RFC 6797). Whether it is TLS is what a proxy
  says: a lie reaches only the liar, and browsers ignore the header without TLS.
- Other sites may ask from a browser if they are among the origins that may connect (CORS, Fetch
  standard). Cookies are never asked for: who has a token says so in a header.
"""

from collections.abc import Sequence
from typing import Final, final

from quart import Request, Response, Websocket

from .settings import WebSettings

_ALWAYS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
    # What a chat has no use for; notifications have no policy of their own.
    "Permissions-Policy": "accelerometer=(), browsing-topics=(), camera=(), geolocation=(), "
    "gyroscope=(), magnetometer=(), microphone=(), midi=(), payment=(), usb=()",
}
_ASKED_HEADERS: Final = (
    "Authorization, Content-Type, Idempotency-Key, Last-Event-ID, On-Behalf-Of, X-Captcha"
)
_SHOWN_HEADERS: Final = (
    "Idempotent-Replayed, RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, "
    "RateLimit-Reset, Retry-After"
)
_METHODS: Final = "GET, POST, PUT, PATCH, DELETE"
# Browsers ask again after it; Chromium does so after two hours at the latest.
_PREFLIGHT_S: Final = 7200
_DAY_S: Final = 86_400


def policy(settings: WebSettings, **sources: str) -> str:
    """Return a Content-Security-Policy in which all is forbidden but `sources`.

    >>> policy(WebSettings(), style_src="'self'")
    "style-src 'self'; default-src 'none'; base-uri 'none'; form-action 'none'; \
frame-ancestors 'none'"
    """
    ancestors = " ".join(settings.frame_ancestors) or "'none'"
    closed = {"default_src": "'none'", "base_uri": "'none'", "form_action": "'none'"}
    directives = {**sources, **closed, **sources, "frame_ancestors": ancestors}
    return "; ".join(f"{name.replace('_', '-')} {said}" for name, said in directives.items())


@final
class Headers:
    """Gives answers their headers, and answers what browsers ask beforehand.

    Args:
        settings: what an operator decided.
        origins: other sites whose pages may ask.
    """

    def __init__(self, settings: WebSettings, origins: Sequence[str] = ()) -> None:
        self._origins = frozenset(origins)
        always = {"Content-Security-Policy": policy(settings), **_ALWAYS}
        if not settings.frame_ancestors:
            # For browsers of before frame-ancestors.
            always["X-Frame-Options"] = "DENY"
        self._always = tuple(always.items())
        self._hsts = f"max-age={settings.hsts_days * _DAY_S}" if settings.hsts_days else ""

    def add(self, request: Request | Websocket, response: Response) -> Response:
        """Give `response` what it does not say itself."""
        headers = response.headers
        said = {name.lower() for name, _ in headers}
        for name, value in self._always:
            if name.lower() not in said:
                headers.add(name, value)
        if self._hsts and is_secure(request):
            headers.setdefault("Strict-Transport-Security", self._hsts)
        if self._origins:
            headers.add("Vary", "Origin")
            origin = request.headers.get("Origin", "")
            if origin in self._origins:
                headers["Access-Control-Allow-Origin"] = origin
                headers["Access-Control-Expose-Headers"] = _SHOWN_HEADERS
        return response

    def preflight(self, request: Request) -> Response | None:
        """Answer a browser that asks whether a page of another site may ask; None: it does not."""
        headers = request.headers
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in headers:
            return None
        response = Response(b"", 204, content_type=None)
        if headers.get("Origin", "") in self._origins:
            response.headers["Access-Control-Allow-Methods"] = _METHODS
            response.headers["Access-Control-Allow-Headers"] = _ASKED_HEADERS
            response.headers["Access-Control-Max-Age"] = str(_PREFLIGHT_S)
        return response


def is_secure(request: Request | Websocket) -> bool:
    """Whether the browser came by TLS, as the proxy says or as it is."""
    return request.headers.get("X-Forwarded-Proto", request.scheme) == "https"
