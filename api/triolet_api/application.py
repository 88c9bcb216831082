"""Quart-Trio, spared what no endpoint of ours asks of it.

For each request Quart makes two contexts, opens a session, looks for hooks and sends six signals,
and runs two tasks beside the server's own. Views that are given their request need none of it.
Whatever fails otherwise than by a refusal goes Quart's own way, and so do its own views.
What is for no view of ours passes a check first, as views do by themselves: who asks for what is
not there, or with a method that it has not, asks all the same.
"""

from abc import abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias, final

import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable
from quart import Request, Response, Websocket
from quart.ctx import RequestContext
from quart.routing import QuartRule
from quart.typing import ResponseReturnValue
from quart.wrappers.response import DataBody, ResponseBody
from quart_trio import QuartTrio
from quart_trio.asgi import TrioASGIHTTPConnection
from werkzeug.exceptions import HTTPException
from werkzeug.routing.exceptions import RoutingException
from werkzeug.wrappers import Response as WerkzeugResponse

from triolet._model.errors import Refusal

from .giving_way import GiveWay
from .pages.headers import Headers
from .problems import on_http_error, on_refusal

# Called with the request, and the parts of the path by their names.
View: TypeAlias = Callable[..., Awaitable[Response]]
AnyResponse: TypeAlias = Response | WerkzeugResponse
Asked: TypeAlias = Request | Websocket
# Raises `Refusal` where somebody may not ask, before the body is looked at.
Check: TypeAlias = Callable[[Asked], Awaitable[None]]


class HeldBody(ResponseBody):
    """The body of an answer that holds something, also before anybody asks for its first piece.

    A peer that leaves before the head is sent has it never entered, and so never exited.
    """

    @abstractmethod
    def release(self) -> None:
        """Let go of it; again, nothing happens."""


@final
class _Exchange(TrioASGIHTTPConnection):
    """One request and its answer."""

    app: "Application"

    async def __call__(self, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        request = self._create_request_from_scope(send)
        self.app.give_way()
        async with trio.open_nursery() as nursery:
            # Takes the body, and cancels the rest when the peer leaves.
            nursery.start_soon(self.handle_messages, nursery, request, receive)
            await self.handle_request(nursery, request, send)

    async def _send_response(self, send: ASGISendCallable, response: AnyResponse) -> None:
        """Send an answer that is there as a whole with its end; others as they come."""
        body = response.response
        if not isinstance(body, DataBody):
            try:
                await super()._send_response(send, response)
            finally:
                if isinstance(body, HeldBody):
                    body.release()
            return
        self.app.give_way()
        headers = [(name.lower().encode(), value.encode()) for name, value in response.headers]
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        data = body.data[body.begin : body.end]
        await send({"type": "http.response.body", "body": data, "more_body": False})


@final
class _Rule(QuartRule):
    """A rule that paths are matched by, and that no URL is built of.

    The two functions that would build them are written as syntax trees and compiled: 70 ms of
    CPU for ninety rules, at each start.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
        del append_unknown
        return _build_nothing


def _build_nothing(rule: _Rule, **values: object) -> tuple[str, str]:
    del values
    raise NotImplementedError(f"{rule.rule}: no URL is built of it")


@final
class Application(QuartTrio):
    """See the module.

    Args:
        name: of the package.
        headers: what each answer is given besides.
        give_way: to what goes before requests.
    """

    asgi_http_class = _Exchange
    url_rule_class = _Rule  # type: ignore[assignment]  # as Quart, whose rules are made otherwise

    def __init__(self, name: str, headers: Headers, give_way: GiveWay) -> None:
        super().__init__(name, static_folder=None)
        self.give_way = give_way
        self._headers = headers
        self._views: dict[str, View] = {}
        # What views have raised, of requests that Quart is to answer.
        self._failures: dict[Request, Exception | BaseExceptionGroup[BaseException]] = {}
        self._check: Check = _pass
        # One for all requests: no route depends on a host.
        self._routes = self.url_map.bind("")

    def add_view(self, rule: str, name: str, view: View, *, method: str) -> None:
        """Have `view` called with each request for `rule`."""
        self.add_url_rule(rule, name, methods=[method])
        self._views[name] = view

    def check_others(self, check: Check) -> None:
        """Have `check` called with each request that is for no view of ours."""
        self._check = check

    async def handle_request(self, request: Request) -> AnyResponse:
        """Answer a request."""
        try:
            view, values = self._find(request)
        except HTTPException as error:
            return await self._handle_other(request, error)
        if view is None:
            return await self._handle_other(request)
        self.give_way()
        try:
            response = await view(request, **values)
        except Refusal as refusal:
            response = await on_refusal(refusal)
        except (Exception, BaseExceptionGroup) as error:  # noqa: BLE001 - Quart raises it again
            return await self._handle_failed(request, error)
        self.give_way()
        return self._headers.add(request, response)

    async def _handle_other(
        self, request: Request, error: HTTPException | None = None
    ) -> AnyResponse:
        """Answer what no view of ours does, and a browser that asks beforehand."""
        refusal = await self._refusal_of(request)
        if refusal is not None:
            return refusal
        response = self._headers.preflight(request)
        if response is None:
            if error is None or isinstance(error, RoutingException):
                return await super().handle_request(request)
            response = await on_http_error(error)
        return self._headers.add(request, response)

    async def _refusal_of(self, asked: Asked) -> Response | None:
        """Return what refuses to look at it, or None."""
        try:
            await self._check(asked)
        except Refusal as refusal:
            return self._headers.add(asked, await on_refusal(refusal))
        return None

    async def handle_websocket(self, websocket: Websocket) -> AnyResponse | None:
        """Answer an upgrade on a connection that has carried a request before: none is ours."""
        return await self._refusal_of(websocket) or await super().handle_websocket(websocket)

    async def _handle_failed(
        self, request: Request, error: Exception | BaseExceptionGroup[BaseException]
    ) -> AnyResponse:
        """Have Quart find that the view raises it: a handler of ours, or the log and a 500."""
        self._failures[request] = error
        try:
            return await super().handle_request(request)
        finally:
            del self._failures[request]

    async def dispatch_request(
        self, request_context: RequestContext | None = None
    ) -> ResponseReturnValue:
        """As Quart's: call the view, or raise what it has raised."""
        assert request_context is not None, "Quart gives it, and looks it up only for others"
        failure = self._failures.get(request_context.request)
        if failure is not None:
            raise failure
        return await super().dispatch_request(request_context)

    def _find(self, request: Request) -> tuple[View | None, dict[str, Any]]:
        """Return the view of a request, None for one of Quart's own, and what its path says.

        Raises:
            HTTPException: there is nothing, or not for its method, or it is elsewhere.
        """
        rule, values = self._routes.match(request.path, request.method, return_rule=True)
        return self._views.get(rule.endpoint), dict(values)


async def _pass(asked: Asked) -> None:
    """Let everybody ask."""
    del asked
