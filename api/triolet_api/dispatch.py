"""From a request to an endpoint's answer: address, identity, rates, values, then the method.

The order is that of cost: who is banned is refused before a token is verified, who asks too
often before a body is read.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from hmac import compare_digest
from typing import Any, Final, Protocol, final

import msgspec
from msgspec import Struct
from quart import Request, Response

from triolet._model.errors import ErrorCode, Refusal
from triolet.ports.gate import Identity, Opening

from .application import Application, Asked, View
from .endpoints import SERVICE_TIER, Access, Call, Endpoint, Handler, Parameter, bound
from .problems import on_refusal
from .secret import Secret

JSON_TYPE: Final = "application/json"
_BEARER: Final = "bearer "
# Verified tokens are short; what is longer is none (see `_model.commands.Token`).
_TOKEN_CHARACTERS_MAX: Final = 8192


class Guarding(Protocol):
    """Who may ask, and how often."""

    def address(self, request: Asked) -> str:
        """Return the client's address, trusted proxies considered."""
        ...

    async def check(self, *, address: str, identity: Identity | None, rate: str) -> dict[str, str]:
        """Let a request pass; return the headers that tell how many more may.

        Called twice where somebody has to sign in: before (None) and after the token is known.

        Raises:
            Refusal: `RATE_LIMITED` or `BANNED`.
        """
        ...


class Auditing(Protocol):
    """What admins do is written down."""

    def around(
        self, call: Call, endpoint: Endpoint, values: Mapping[str, object]
    ) -> AbstractAsyncContextManager[None]:
        """Write down that it begins, with which values, and how it ended."""
        ...


@final
class Unguarded:
    """No limits: for tests, and where something in front has them."""

    def address(self, request: Asked) -> str:
        """Return the peer's address."""
        client = request.scope.get("client")
        return client[0] if client else ""

    async def check(self, *, address: str, identity: Identity | None, rate: str) -> dict[str, str]:
        """Let everything pass."""
        del address, identity, rate
        return {}


@final
class Dispatcher:
    """Puts endpoints into an application.

    Args:
        app: where their routes go.
        admit: says whose a token is, or raises `Refusal` (`Engine.admit`).
        guard: the limits.
        audit: the log of what admins do; None: there is none.
    """

    def __init__(
        self,
        app: Application,
        *,
        admit: Callable[[str | None, Opening], Awaitable[Identity]],
        guard: Guarding | None = None,
        audit: Auditing | None = None,
    ) -> None:
        self._app = app
        self._admit = admit
        self._guard: Guarding = guard or Unguarded()
        self._audit = audit
        self.endpoints: list[Endpoint] = []
        app.check_others(self._check_other)

    def add(self, *parts: object, key: Secret | None = None) -> None:
        """Add the endpoints of these objects.

        Args:
            parts: objects with endpoints.
            key: whoever has it may ask as well, in the place of a token, and is nobody.
        """
        for part in parts:
            for one, handler in bound(part):
                self._add(one, handler, key)

    def _add(self, one: Endpoint, handler: Handler, key: Secret | None) -> None:
        self.endpoints.append(one)
        rule = one.path.replace("{", "<").replace("}", ">")
        view = self._view(one, handler, key)
        self._app.add_view(rule, one.name, view, method=one.method)

    def _view(self, one: Endpoint, handler: Handler, key: Secret | None) -> View:
        """Return what the application calls."""
        lists = frozenset[str]() if one.query is None else _lists(one.query)
        is_stream = one.is_stream

        async def view(asked: Request, **path: str) -> Response:
            call, headers = await self._admitted(one, asked, key)
            self._app.give_way()
            try:
                values = {each.name: _parameter(each, path[each.name]) for each in one.parameters}
                if one.query is not None:
                    values["query"] = _query(asked, one.query, lists)
                if one.body is not None:
                    values["body"] = await _body(asked, one.body)
                self._app.give_way()
                if is_stream and asked.method == "HEAD":
                    # Nobody would read what is opened here: it is said what it would be.
                    result: object = Response(b"", one.status, content_type=one.produces)
                else:
                    async with self._around(call, one, values):
                        result = await handler(call, **values)
            except Refusal as refusal:
                # It was counted as well.
                response = await on_refusal(refusal)
            else:
                self._app.give_way()
                response = _response(one, result)
                self._app.give_way()
                headers |= call.headers
            response.headers.update(headers)
            return response

        return view

    async def _check_other(self, asked: Asked) -> None:
        """Have what is for no endpoint count for its address, and refuse whom an endpoint would.

        Raises:
            Refusal: `BANNED`, or `RATE_LIMITED`.
        """
        await self._guard.check(address=self._guard.address(asked), identity=None, rate="free")

    async def _admitted(
        self, one: Endpoint, asked: Request, key: Secret | None
    ) -> tuple[Call, dict[str, str]]:
        """Find out who asks, and whether they may.

        Raises:
            Refusal: they may not.
        """
        address = self._guard.address(asked)
        if one.access is Access.ANYONE:
            headers = await self._guard.check(address=address, identity=None, rate=one.rate)
            return Call(asked, None, address), headers
        # Refused tokens cost a signature each: an address has its rate of them.
        await self._guard.check(address=address, identity=None, rate="free")
        self._app.give_way()
        token = _token(asked, one)
        if key is not None and compare_digest((token or "").encode(), key.reveal()):
            return Call(asked, None, address), {}
        opening = Opening(address=address, agent=asked.headers.get("User-Agent", "")[:200])
        identity = await self._admit(token, opening)
        one.access.check(identity)
        headers = await self._guard.check(address=address, identity=identity, rate=one.rate)
        return Call(asked, identity, address), headers

    def _around(
        self, call: Call, one: Endpoint, values: Mapping[str, object]
    ) -> AbstractAsyncContextManager[None]:
        if self._audit is None or one.method == "GET" or not _is_act_of_admin(one, call):
            return nullcontext()
        return self._audit.around(call, one, values)


def _is_act_of_admin(one: Endpoint, call: Call) -> bool:
    """Whether it is written down; what a service does all day is not, and has its own traces."""
    if one.access is Access.SERVICE:
        return call.identity.tier != SERVICE_TIER
    return one.access is Access.ADMIN


def _token(asked: Request, one: Endpoint) -> str | None:
    said = asked.headers.get("Authorization", "")
    if said[: len(_BEARER)].lower() == _BEARER:
        return said[len(_BEARER) :].strip()[: _TOKEN_CHARACTERS_MAX + 1]
    if one.takes_query_token and not said:
        return asked.args.get("token")
    return None


def _parameter(parameter: Parameter, value: str) -> object:
    try:
        return msgspec.convert(value, parameter.type, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal(ErrorCode.INVALID_FIELD, f"`{parameter.name}`: {_lower(error)}") from None


def _lists(kind: type[Struct]) -> frozenset[str]:
    """Return the names that may come several times."""
    fields = msgspec.structs.fields(kind)
    return frozenset(field.encode_name for field in fields if _is_list(field.type))


def _query(asked: Request, kind: type[Struct], lists: frozenset[str]) -> Struct:
    """Return the query as what the endpoint takes.

    Raises:
        Refusal: `INVALID_FIELD`.
    """
    values: dict[str, object] = {}
    for name, given in asked.args.lists():
        if name in lists:
            values[name] = given
        elif len(given) > 1:
            raise Refusal(ErrorCode.INVALID_FIELD, f"`{name[:64]}` comes {len(given)} times")
        else:
            values[name] = given[0]
    try:
        return msgspec.convert(values, kind, strict=False)
    except msgspec.ValidationError as error:
        raise Refusal(ErrorCode.INVALID_FIELD, _lower(error)) from None


def _is_list(kind: object) -> bool:
    """Whether a field holds several values, whatever bounds are on it."""
    info = msgspec.inspect.type_info(kind)
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    sequences = (msgspec.inspect.ListType, msgspec.inspect.VarTupleType)
    members = info.types if isinstance(info, msgspec.inspect.UnionType) else (info,)
    return any(isinstance(one, sequences) for one in members)


async def _body(asked: Request, kind: Any) -> object:
    """Return the body as what the endpoint takes.

    Raises:
        Refusal: `MALFORMED` no JSON, `INVALID_FIELD` JSON of another shape.
    """
    said = asked.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if said != JSON_TYPE:
        raise Refusal(ErrorCode.MALFORMED, f"the body has to be {JSON_TYPE}")
    data = await asked.get_data(as_text=False)
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(ErrorCode.INVALID_FIELD, _lower(error)) from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise Refusal(ErrorCode.MALFORMED, f"the body is no JSON: {_lower(error)}") from None


def _lower(error: Exception) -> str:
    """Return what msgspec says, as the rest of a sentence; it names types, never values."""
    text = str(error) or type(error).__name__
    return (text[0].lower() + text[1:]).replace("`$.", "`")


def _response(one: Endpoint, result: object) -> Response:
    if isinstance(result, Response):
        return result
    if result is None:
        return Response(b"", 204, content_type=None)
    return Response(msgspec.json.encode(result), one.status, content_type=one.produces)
