"""The HTTP application: health, the front page, and errors in one shape."""

from collections.abc import Callable
from typing import Final

from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from triolet._model.errors import Refusal, StoreError

from .page import STYLE, front_page
from .problems import on_http_error, on_refusal, on_store_error, problem

# JSON commands of the protocol: a body of 32 KiB and its envelope, four times over.
BODY_BYTES_MAX: Final = 128 * 1024
# A client that sends its body or takes its answer more slowly is not waited for.
BODY_TIMEOUT_S: Final = 30
RESPONSE_TIMEOUT_S: Final = 60

# Nothing here is to be framed, sniffed, cached, or told to other sites.
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PAGE_POLICY: Final = "style-src 'self'; " + _HEADERS["Content-Security-Policy"]


def create_app(*, why_not_ready: Callable[[], str]) -> QuartTrio:
    """Return the application; more routes are added by registering blueprints on it.

    A view may raise `Refusal`: it is answered as a problem with its code.

    Args:
        why_not_ready: why the engine takes no connections, if so (`Engine.why_not_ready`).
    """
    app = QuartTrio("triolet_api", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT_S
    app.config["RESPONSE_TIMEOUT"] = RESPONSE_TIMEOUT_S
    app.register_error_handler(HTTPException, on_http_error)
    app.register_error_handler(Refusal, on_refusal)
    app.register_error_handler(StoreError, on_store_error)
    app.after_request(_add_headers)
    _add_health(app, why_not_ready)
    _add_page(app)
    app.add_url_rule("/ws", "ws", _upgrade_required, methods=["GET"])
    app.add_websocket("/ws", "ws_misdirected", _misdirected)
    return app


async def _add_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


def _add_health(app: QuartTrio, why_not_ready: Callable[[], str]) -> None:
    @app.get("/health/live")
    async def live() -> dict[str, str]:
        return {"status": "live"}

    @app.get("/health/ready")
    async def is_ready() -> tuple[dict[str, str], int]:
        reason = why_not_ready()
        if reason:
            return {"status": "not ready", "reason": reason}, 503
        return {"status": "ready"}, 200


def _add_page(app: QuartTrio) -> None:
    @app.get("/")
    async def page() -> Response:
        # Only for what the page shows, and only to whom it is shown: a lie harms nobody else.
        is_secure = request.headers.get("X-Forwarded-Proto", request.scheme) == "https"
        text = front_page(request.headers.get("Host", ""), is_secure=is_secure)
        headers = {"Content-Security-Policy": _PAGE_POLICY}
        return Response(text, content_type="text/html; charset=utf-8", headers=headers)

    @app.get("/style.css")
    async def style() -> Response:
        return Response(STYLE, content_type="text/css; charset=utf-8")


async def _upgrade_required() -> Response:
    """The listener took every proper upgrade; what comes here has to learn how."""
    response = problem(426, detail="connect to /ws by WebSocket, version 13")
    response.headers["Upgrade"] = "websocket"
    response.headers["Connection"] = "Upgrade"
    response.headers["Sec-WebSocket-Version"] = "13"
    return response


async def _misdirected() -> Response:
    """An upgrade on a connection that has carried HTTP: the listener reads only first heads.

    Browsers never do it, a proxy with a pool of connections may: 421 says to try another one.
    """
    return problem(421, detail="open a new connection for a WebSocket")
