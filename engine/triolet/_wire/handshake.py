"""The opening handshake: a request head to its answer (RFC 6455, section 4.2).

The common head is taken in one strict pass (13 µs with the answer).
Whatever is unusual (a header repeated, odd, malformed or missing)
is judged by a `websockets` ServerProtocol (69 µs), which is not kept;
so a head is refused with the same status whichever way it went.
What follows (Host, Origin, subprotocol, token) is one piece of code for both.
"""

import re
from binascii import b2a_base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha1
from http import HTTPStatus
from typing import Final
from urllib.parse import unquote

from websockets.http11 import Request
from websockets.server import ServerProtocol

from .websocket import LOGGER

__all__ = [
    "JSON_SUBPROTOCOL",
    "MSGPACK_SUBPROTOCOL",
    "Accepted",
    "Rejected",
    "RequestHead",
    "answer",
    "is_upgrade",
    "parse_head",
]

JSON_SUBPROTOCOL: Final = "triolet.v1.json"
MSGPACK_SUBPROTOCOL: Final = "triolet.v1.msgpack"

# Name to "text frames?"; of several, the first that the client offers wins (RFC 6455, 4.1).
_SUBPROTOCOLS = {JSON_SUBPROTOCOL.encode(): True, MSGPACK_SUBPROTOCOL.encode(): False}

# Above these a head is unusual, so that the fast way can never accept
# what ServerProtocol refuses (lines above 8,192 bytes, more than 128 headers).
_COMMON_HEAD_BYTES_MAX = 8_192
_COMMON_HEADERS_MAX = 64

_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]++"
# Possessive quantifiers (`++`, `*+`) never try again: a head of 8,000 blanks costs no more
# than another, where a lazy `[^\r]*?[ \t]*\r\n` takes 8,000²/2 steps. Blanks are stripped later.
_LINE = rb"(%s):([\t\x20-\x7e\x80-\xff]*+)\r\n" % _TOKEN
_HEAD = re.compile(rb"GET (/[\x21-\x7e]*+) HTTP/1\.1\r\n(?:%s)*+\r\n" % _LINE).fullmatch
_HEADERS = re.compile(_LINE).findall
_TOKENS = re.compile(rb"%s(?:[ \t]*+,[ \t]*+%s)*+" % (_TOKEN, _TOKEN)).fullmatch
_KEY = re.compile(rb"[A-Za-z0-9+/]{22}==").fullmatch
_UPGRADE = re.compile(rb"\r\nupgrade:[^\r\n]*websocket").search

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: "
)

# Two of them would leave open whose word counts (RFC 9112, 3.2 for Host).
_SINGLE = (b"host", b"authorization")


@dataclass(frozen=True, slots=True)
class RequestHead:
    """A request's target and headers: names in lower case, values as sent, without outer blanks.

    Its repr shows neither, for both may hold a token.
    """

    target: bytes
    headers: Mapping[bytes, bytes]

    def __repr__(self) -> str:
        return f"<RequestHead with {len(self.headers)} headers>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A handshake that succeeds once `response`, the 101, is written.

    `text` is true for JSON in text frames, false for MessagePack in binary frames.
    `token` is what `Authorization: Bearer` or else `?token=` brought, unverified.
    `forwarded_for` and `forwarded` are raw: believe them only from a proxy you trust.
    """

    response: bytes = field(repr=False)
    text: bool
    token: str | None = field(repr=False)
    host: str
    origin: str | None
    user_agent: str | None
    forwarded_for: str | None = field(repr=False)
    forwarded: str | None = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A handshake that fails: write `response`, a whole HTTP response, then close.

    `status` is 400 (malformed, no Host, unknown subprotocols only), 403 (Origin),
    or what ServerProtocol says: 405 (method), 414 and 431 (too long), 426 (no upgrade),
    505 (HTTP/1.0).
    """

    status: int
    response: bytes = field(repr=False)


def is_upgrade(head: bytes, *, path: str = "/ws") -> bool:
    r"""Tell whether a request head asks for a WebSocket on `path`, whatever its query.

    True sends the head to `answer`, which may still refuse it; false, unread, to HTTP.

    >>> is_upgrade(b"GET /ws?token=t HTTP/1.1\r\nUpgrade: websocket\r\n\r\n")
    True
    >>> is_upgrade(b"GET /ws HTTP/1.1\r\nHost: a\r\n\r\n")
    False
    """
    start = b"GET " + path.encode()
    return (
        head.startswith(start)
        and head[len(start) : len(start) + 1] in (b" ", b"?")
        and _UPGRADE(head.lower()) is not None
    )


def parse_head(head: bytes) -> RequestHead | None:
    r"""Parse a request head, up to and with its blank line, if it is an ordinary GET.

    Returns None for everything unusual, right or wrong: it wants a full parser.
    That includes a repeated or folded header, bare line feeds, HTTP/1.0, a head above 8 KiB.

    >>> parse_head(b"GET /ws HTTP/1.1\r\nHost: a.example\r\n\r\n").headers
    {b'host': b'a.example'}
    >>> parse_head(b"GET /ws HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n") is None
    True
    """
    if len(head) > _COMMON_HEAD_BYTES_MAX:
        return None
    match = _HEAD(head)
    if match is None:
        return None
    lines = _HEADERS(head, match.end(1) + 11)  # 11: " HTTP/1.1\r\n"
    headers = {name.lower(): value.strip(b" \t") for name, value in lines}
    if len(headers) != len(lines) or len(lines) > _COMMON_HEADERS_MAX:
        return None
    return RequestHead(match[1], headers)


def answer(
    head: bytes,
    *,
    origin_allowed: Callable[[str, str], bool],
) -> Accepted | Rejected:
    r"""Answer the head of a WebSocket upgrade, up to and with its blank line.

    `origin_allowed(origin, host)` is asked when there is an Origin header, and only then:
    no other client than a browser sends one. No extension is ever negotiated.
    Never raises for what the client sent.

    >>> head = (
    ...     b"GET /ws?token=t HTTP/1.1\r\nHost: a.example\r\n"
    ...     b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    ...     b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ... )
    >>> answer(head, origin_allowed=lambda origin, host: False)
    Accepted(text=True, host='a.example', origin=None, user_agent=None)
    >>> answer(head.replace(b"13", b"12"), origin_allowed=lambda origin, host: False)
    Rejected(status=400)
    """
    request = parse_head(head)
    if request is None or not _is_plain(request.headers):
        judged = _judge(head)
        if isinstance(judged, Rejected):
            return judged
        request = judged
    headers = request.headers
    host = headers.get(b"host")
    if host is None:
        return _reject(400, "A Host header is required.")
    origin = _text(headers.get(b"origin"))
    if origin is not None and not origin_allowed(origin, host.decode("latin-1")):
        return _reject(403, "This Origin is not allowed.")
    key = headers[b"sec-websocket-key"]
    response = _SWITCHING + b2a_base64(sha1(key + _GUID, usedforsecurity=False).digest())[:-1]
    text = True
    offered = headers.get(b"sec-websocket-protocol")
    if offered is not None:
        chosen = next((name for name in _items(offered) if name in _SUBPROTOCOLS), None)
        if chosen is None:
            names = " and ".join(name.decode() for name in _SUBPROTOCOLS)
            return _reject(400, f"No known subprotocol is offered; there are {names}.")
        text = _SUBPROTOCOLS[chosen]
        response += b"\r\nSec-WebSocket-Protocol: " + chosen
    return Accepted(
        response=response + b"\r\n\r\n",
        text=text,
        token=_token(request),
        host=host.decode("latin-1"),
        origin=origin,
        user_agent=_text(headers.get(b"user-agent")),
        forwarded_for=_text(headers.get(b"x-forwarded-for")),
        forwarded=_text(headers.get(b"forwarded")),
    )


def _is_plain(headers: Mapping[bytes, bytes]) -> bool:
    """Tell whether ServerProtocol would surely say 101; false is no verdict.

    >>> _is_plain({b"upgrade": b"h2c"})
    False
    """
    get = headers.get
    connection = get(b"connection", b"").lower()
    subprotocols = get(b"sec-websocket-protocol")
    return (
        get(b"upgrade", b"").lower() == b"websocket"
        and get(b"sec-websocket-version") == b"13"
        and (connection == b"upgrade" or _names_upgrade(connection))
        and _KEY(get(b"sec-websocket-key", b"")) is not None
        and (subprotocols is None or _TOKENS(subprotocols) is not None)
        and b"content-length" not in headers
        and b"transfer-encoding" not in headers
    )


def _names_upgrade(connection: bytes) -> bool:
    """Tell whether a Connection header in lower case is a proper list with `upgrade` in it."""
    return _TOKENS(connection) is not None and b"upgrade" in _items(connection)


def _items(value: bytes) -> list[bytes]:
    """Split a comma-separated list."""
    return [item.strip(b" \t") for item in value.split(b",")]


def _judge(head: bytes) -> RequestHead | Rejected:
    """Let ServerProtocol judge the head; the request if it says 101, joined where repeated.

    It is told of no subprotocols: those come after the Origin, and are chosen in `answer`.
    """
    if head.find(b"\r\n\r\n") != len(head) - 4:  # what follows a head it would take for frames
        return _reject(400, "This is no valid HTTP request.")
    protocol = ServerProtocol(logger=LOGGER)
    protocol.receive_data(head)
    events = protocol.events_received()
    try:
        if not events:
            written = b"".join(protocol.data_to_send()).split(b" ", 2)
            status = int(written[1]) if len(written) > 1 else 400
            return _reject(status, "This is no valid HTTP request.")
        (request,) = events
        assert isinstance(request, Request)
        verdict = protocol.accept(request)
        if verdict.status_code != 101:
            return _reject(verdict.status_code, bytes(verdict.body).decode().strip())
        return _join(request)
    finally:
        _dissolve(protocol)


def _join(request: Request) -> RequestHead | Rejected:
    """Make the head of a valid request; a repeated header is one list (RFC 9110, 5.3)."""
    headers: dict[bytes, bytes] = {}
    for name_sent, value_sent in request.headers.raw_items():
        name, value = name_sent.lower().encode(), value_sent.encode("latin-1")
        if name not in headers:
            headers[name] = value
        elif name in _SINGLE:
            return _reject(400, f"More than one {name_sent} header.")
        else:
            headers[name] += b", " + value
    return RequestHead(request.path.encode(), headers)


def _dissolve(protocol: ServerProtocol) -> None:
    """Cut the Protocol's cycles, so that it goes now, not when the collector next runs.

    Its parser is a generator that refers to it, and so do the tracebacks of its errors.
    """
    protocol.parser.close()
    error: BaseException | None = protocol.handshake_exc
    while error is not None:
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


def _token(request: RequestHead) -> str | None:
    """Find the token: `Authorization: Bearer` first, then `?token=`, percent-decoded.

    >>> _token(RequestHead(b"/ws?a=1&token=x%2Ey", {}))
    'x.y'
    """
    authorization = request.headers.get(b"authorization")
    if authorization is not None:
        scheme, _, credentials = authorization.partition(b" ")
        if scheme.lower() == b"bearer":
            return _text(credentials.strip(b" \t") or None)
    _, _, query = request.target.partition(b"?")
    for pair in query.split(b"&"):
        name, _, value = pair.partition(b"=")
        if name == b"token":
            # `+` stays: base64 has it, and no token has blanks.
            return unquote(value.decode("latin-1")) or None
    return None


def _text(value: bytes | None) -> str | None:
    """Decode a header's value: ISO 8859-1 keeps every byte (RFC 9110, 5.5)."""
    return None if value is None else value.decode("latin-1")


def _reject(status: int, reason: str) -> Rejected:
    """Make the whole response; no Date, for this module has no clock (RFC 9110, 6.6.1)."""
    body = reason.encode() + b"\n"
    extra = {405: "Allow: GET\r\n", 426: "Upgrade: websocket\r\n"}.get(status, "")
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{extra}Connection: close\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return Rejected(status=status, response=head.encode() + body)
