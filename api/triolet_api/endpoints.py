"""Endpoints: what HTTP offers, declared once; routes, OpenAPI, rights and tests come of it.

An endpoint is a method of a plain class that gets its parts by its constructor. Its signature
says what it takes: path parameters by name, `query` and `body` as Structs; what it returns is a
Struct (JSON), None (204), or a response that it made itself.

>>> class Greeting(Struct):
...     text: str
>>> class Greetings:
...     @endpoint("GET", "/v1/greetings/{name}", access=Access.ANYONE, rate="read")
...     async def greet(self, call: Call, name: str) -> Greeting:
...         '''Be greeted.'''
...         return Greeting(f"hello {name}")
>>> [one] = endpoints_of(Greetings)
>>> one.name, one.summary, one.returns is Greeting
('greetings.greet', 'Be greeted', True)
"""

import inspect
import re
from collections.abc import Awaitable, Callable
from enum import Enum
from types import NoneType
from typing import Any, Final, Literal, TypeAlias, TypeVar, final, get_args, get_type_hints

from msgspec import Struct
from quart import Request, Response

from triolet._model.errors import ErrorCode, Refusal
from triolet.ports.gate import Identity

Method: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
# What a request counts as, for limits: each has a rate of its own.
Rate: TypeAlias = Literal["read", "write", "auth", "admin", "stream", "free"]
Handler: TypeAlias = Callable[..., Awaitable[object]]
T = TypeVar("T", bound=Handler)

# Of tokens that a service acts by.
SERVICE_TIER: Final = "service"
# What answers are that are made while they are read, some without an end.
EVENT_STREAM: Final = "text/event-stream"
LINES: Final = "application/x-ndjson"
_MARK: Final = "__endpoint__"
_path_parameters = re.compile(r"\{(\w+)\}").findall


@final
class Access(Enum):
    """Who may ask at all; what they may do is the engine's to say.

    `SERVICE`: an admin, or the service that this is a part of: whose token is of that tier.
    """

    ANYONE = "anyone"
    USER = "user"
    SERVICE = "service"
    ADMIN = "admin"

    def check(self, identity: Identity) -> None:
        """Let somebody who is signed in ask.

        Raises:
            Refusal: `FORBIDDEN`.
        """
        if self in (Access.ANYONE, Access.USER) or "admin" in identity.roles:
            return
        if self is Access.ADMIN:
            raise Refusal(ErrorCode.FORBIDDEN, "this is for admins")
        if identity.tier != SERVICE_TIER:
            raise Refusal(ErrorCode.FORBIDDEN, "this is for services and admins")


@final
class Parameter(Struct, frozen=True):
    """A part of the path: its name, and the type it is converted to."""

    name: str
    type: Any


@final
class Endpoint(Struct, frozen=True, kw_only=True):
    """What is declared of an endpoint.

    Attributes:
        name: class and method, `sessions.login`; its operation's id.
        path: with `{name}` for parameters.
        status: of an answer that is no error.
        refuses: codes it may answer, besides those that follow from the rest.
        produces: the content type of what it returns.
        takes_query_token: whether `?token=` does for `Authorization`, as where a browser opens
            the connection and cannot send headers.
        query, body, returns: Structs, or None.
        also: what it returns with another status, in a response made by itself.
    """

    method: Method
    path: str
    access: Access
    rate: Rate
    status: int
    refuses: tuple[ErrorCode, ...]
    produces: str
    takes_query_token: bool
    name: str
    tag: str
    summary: str
    description: str
    parameters: tuple[Parameter, ...]
    query: Any
    body: Any
    returns: Any
    also: tuple[tuple[int, Any], ...]

    @property
    def is_stream(self) -> bool:
        """Whether its answer is made while somebody reads it."""
        return self.produces in (EVENT_STREAM, LINES)


@final
class _Mark(Struct, frozen=True, kw_only=True):
    method: Method
    path: str
    access: Access
    rate: Rate
    status: int
    refuses: tuple[ErrorCode, ...]
    produces: str
    takes_query_token: bool
    also: tuple[tuple[int, Any], ...]


@final
class Call:
    """One request, as an endpoint sees it.

    Attributes:
        address: the client's, trusted proxies considered.
        request: Quart's, for what has no name here.
        headers: what the answer will have besides.
    """

    __slots__ = ("_identity", "address", "headers", "request")

    def __init__(self, request: Request, identity: Identity | None, address: str) -> None:
        self.request = request
        self.address = address
        self.headers: dict[str, str] = {}
        self._identity = identity

    @property
    def identity(self) -> Identity:
        """Who asks; only where the endpoint's access is not `ANYONE`."""
        assert self._identity is not None, "anybody may ask for this, so it is asked by nobody"
        return self._identity

    def header(self, name: str) -> str | None:
        """Return a header of the request, or None."""
        return self.request.headers.get(name)

    def set_header(self, name: str, value: str) -> None:
        """Give the answer a header."""
        self.headers[name] = value


def endpoint(
    method: Method,
    path: str,
    *,
    access: Access,
    rate: Rate,
    status: int = 200,
    refuses: tuple[ErrorCode, ...] = (),
    produces: str = "application/json",
    takes_query_token: bool = False,
    also: tuple[tuple[int, Any], ...] = (),
) -> Callable[[T], T]:
    """Declare that a method is an endpoint; see `Endpoint`.

    `status` is 204 by itself where nothing is returned.
    """
    mark = _Mark(
        method=method,
        path=path,
        access=access,
        rate=rate,
        status=status,
        refuses=refuses,
        produces=produces,
        takes_query_token=takes_query_token,
        also=also,
    )

    def declare(function: T) -> T:
        setattr(function, _MARK, mark)
        return function

    return declare


def endpoints_of(group: type) -> list[Endpoint]:
    """Return what a class declares, in the order in which it stands there.

    Raises:
        TypeError: a signature that does not fit its path, or an endpoint without a docstring.
    """
    found = [one for one in vars(group).values() if hasattr(one, _MARK)]
    return [_read(group, function, getattr(function, _MARK)) for function in found]


def bound(part: object) -> list[tuple[Endpoint, Handler]]:
    """Return an object's endpoints, each beside its method."""
    return [(one, getattr(part, one.name.partition(".")[2])) for one in endpoints_of(type(part))]


def _read(group: type, function: Handler, mark: _Mark) -> Endpoint:
    label = f"{group.__name__}.{function.__name__}"
    hints = get_type_hints(function, include_extras=True)
    doc = inspect.getdoc(function)
    if not doc:
        raise TypeError(f"{label}: an endpoint says what it does")
    summary, _, description = doc.partition("\n")
    names = _path_parameters(mark.path)
    taken = [name for name in hints if name not in ("call", "query", "body", "return")]
    if sorted(names) != sorted(taken):
        raise TypeError(f"{label}: its path has {names}, and it takes {taken}")
    returns = _returned(hints["return"])
    return Endpoint(
        method=mark.method,
        path=mark.path,
        access=mark.access,
        rate=mark.rate,
        status=204 if returns is NoneType else mark.status,
        refuses=mark.refuses,
        produces=mark.produces,
        takes_query_token=mark.takes_query_token,
        name=f"{_tag(group)}.{function.__name__}",
        tag=_tag(group),
        summary=summary.strip().removesuffix("."),
        description=description.strip(),
        parameters=tuple(Parameter(name, hints[name]) for name in names),
        query=hints.get("query"),
        body=hints.get("body"),
        returns=None if returns in (NoneType, Response) else returns,
        also=mark.also,
    )


def _tag(group: type) -> str:
    """Return what a class is called in OpenAPI: `PushDevices` is `push-devices`."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", group.__name__).lower()


def _returned(hint: Any) -> Any:
    """Return what an answer is, where it may also be a response made by hand."""
    members = [one for one in get_args(hint) if one is not Response]
    is_either = Response in get_args(hint)
    return members[0] if is_either and len(members) == 1 else hint
