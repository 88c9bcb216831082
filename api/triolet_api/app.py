"""The HTTP application before it has endpoints: bounds, headers, and errors in one shape."""

from collections.abc import Sequence
from typing import Final

from quart import Response, request
from werkzeug.exceptions import HTTPException

from triolet._model.errors import Refusal, StoreError

from .application import Application
from .giving_way import GiveWay, to_nobody
from .pages.headers import Headers
from .pages.settings import WebSettings
from .problems import on_http_error, on_refusal, on_store_error, problem

# JSON commands of the protocol: a body of 32 KiB and its envelope, four times over.
BODY_BYTES_MAX: Final = 128 * 1024
# A client that sends its body or takes its answer more slowly is not waited for.
BODY_TIMEOUT_S: Final = 30
RESPONSE_TIMEOUT_S: Final = 60


def create_app(
    web: WebSettings | None = None,
    *,
    origins: Sequence[str] = (),
    give_way: GiveWay = to_nobody,
) -> Application:
    """Return an application without endpoints: `Dispatcher` adds them.

    A view may raise `Refusal` or `StoreError`: it is answered as a problem with its code.

    Args:
        web: what browsers are told.
        origins: web origins that may ask besides our own.
        give_way: to what goes before requests.
    """
    headers = Headers(web or WebSettings(), origins)
    app = Application("triolet_api", headers, give_way)
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.config["BODY_TIMEOUT"] = BODY_TIMEOUT_S
    app.config["RESPONSE_TIMEOUT"] = RESPONSE_TIMEOUT_S
    app.config["PROVIDE_AUTOMATIC_OPTIONS"] = False
    app.register_error_handler(HTTPException, on_http_error)
    app.register_error_handler(Refusal, on_refusal)
    app.register_error_handler(StoreError, on_store_error)

    @app.after_request
    async def add_headers(response: Response) -> Response:
        return headers.add(request, response)

    app.add_url_rule("/ws", "ws", _upgrade_required, methods=["GET"])
    app.add_websocket("/ws", "ws_misdirected", _misdirected)
    return app


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
