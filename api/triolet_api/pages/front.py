"""What is at `/`: how to connect, and the stylesheet of our pages."""

from typing import final

from quart import Response

from ..endpoints import Access, Call, endpoint
from ..page import STYLE, front_page
from .headers import is_secure, policy
from .settings import WebSettings


@final
class Front:
    """See the module."""

    def __init__(self, settings: WebSettings) -> None:
        self._policy = policy(settings, style_src="'self'")

    @endpoint("GET", "/", access=Access.ANYONE, rate="read", produces="text/html")
    async def page(self, call: Call) -> Response:
        """See how to connect."""
        host = call.header("Host") or ""
        text = front_page(host, is_secure=is_secure(call.request))
        headers = {"Content-Security-Policy": self._policy}
        return Response(text, content_type="text/html; charset=utf-8", headers=headers)

    @endpoint("GET", "/style.css", access=Access.ANYONE, rate="read", produces="text/css")
    async def style(self, call: Call) -> Response:
        """Get the stylesheet of our pages."""
        del call
        return Response(STYLE, content_type="text/css; charset=utf-8")
