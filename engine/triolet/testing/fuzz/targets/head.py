"""The HTTP head: the engine's strict pass against `websockets`' and h11's reading of it.

What the engine accepts, both others must read as the same request, and `websockets` must accept
with the same key. What it refuses, `websockets` must refuse with the same status, but for the
engine's own rules: which Host, Origin and subprotocols there may be. And a head that is not the
engine's is none that `websockets` would upgrade on its path.
"""

from collections.abc import Sequence
from random import Random
from typing import ClassVar, Final, final

import h11
from websockets.http11 import Request
from websockets.server import ServerProtocol

from triolet._wire.handshake import Accepted, Rejected, answer, is_upgrade

from ..heads import head
from ..violation import Violation

_END: Final = b"\r\n\r\n"
_PATH: Final = "/ws"
# What the engine refuses although it is a good WebSocket upgrade, by the words it says.
_OWN_RULES: Final = (
    b"A Host header is required.",
    b"This Origin is not allowed.",
    b"No known subprotocol is offered",
    b"More than one ",
)
# Malformed, and two ways of being too long.
_UNREADABLE: Final = (400, 414, 431)
# Two words where one counts, of which the engine could only choose one.
_SINGLE: Final = ("host", "authorization")
_SWITCHING: Final = 101


@final
class HeadTarget:
    """See the module, and `target.Target`."""

    name: ClassVar[str] = "head"
    unit: ClassVar[str] = "heads"
    batch: ClassVar[int] = 1

    def invent(self, chance: Random) -> bytes:
        """See `Target`."""
        return head(chance)

    def judge(self, inputs: Sequence[bytes]) -> int:
        """See `Target`."""
        for data in inputs:
            # The listener cuts a head where it first ends; what follows is not a head's.
            end = data.find(_END)
            _judge(data if end < 0 else data[: end + len(_END)])
        return len(inputs)


def _judge(data: bytes) -> None:
    request, status = _read_by_websockets(data)
    if not is_upgrade(data):
        path = "" if request is None else request.path.partition("?")[0]
        if status == _SWITCHING and path == _PATH:
            raise Violation("an upgrade on the engine's path is taken for plain HTTP")
        return
    ours = answer(data, origin_allowed=_is_allowed)
    if isinstance(ours, Rejected):
        _judge_refusal(ours, data, status)
    else:
        _judge_acceptance(ours, data, request, status)


def _is_allowed(origin: str, host: str) -> bool:
    return origin.endswith(host)


def _judge_refusal(ours: Rejected, data: bytes, status: int) -> None:
    fields, _, body = ours.response.partition(_END)
    if not fields.startswith(f"HTTP/1.1 {ours.status} ".encode()):
        raise Violation("a refusal's status line says something else")
    if f"Content-Length: {len(body)}".encode() not in fields.split(b"\r\n"):
        raise Violation("a refusal's length is not its body's")
    is_own_rule = body.startswith(_OWN_RULES)
    if ours.status in _UNREADABLE and status in _UNREADABLE and _has_controls(data):
        # Too long, and malformed as well: which of the two is noticed first is nobody's rule.
        return
    if (status == _SWITCHING) != is_own_rule or (not is_own_rule and ours.status != status):
        raise Violation(f"refused with {ours.status} where websockets says {status}")


def _has_controls(data: bytes) -> bool:
    """Whether there are bytes that no request head may have (RFC 9110, 5.5)."""
    return any(byte < 0x20 and byte not in b"\r\n\t" for byte in data)


def _judge_acceptance(ours: Accepted, data: bytes, request: Request | None, status: int) -> None:
    if status != _SWITCHING or request is None:
        raise Violation(f"accepted where websockets says {status}")
    seen = [(name.lower(), value) for name, value in request.headers.raw_items()]
    for single in _SINGLE:
        if sum(name == single for name, _ in seen) > 1:
            raise Violation(f"accepted with two {single} headers")
    names = dict(seen)
    if ours.host != names.get("host") or ours.origin != names.get("origin"):
        raise Violation("another Host or Origin than websockets reads")
    if b"\r\n\r\n" in ours.response[:-4] or ours.response.count(b"\n") != ours.response.count(
        b"\r\n"
    ):
        raise Violation("the response has lines of the client's making")
    _compare_with_h11(data, seen)


def _read_by_websockets(data: bytes) -> tuple[Request | None, int]:
    """Return the request, if it is one, and the status `websockets` answers with."""
    protocol = ServerProtocol()
    protocol.receive_data(data)
    if data[-len(_END) :] != _END:
        protocol.receive_eof()
    events = protocol.events_received()
    request: Request | None = None
    status = 400
    if events:
        (event,) = events
        assert isinstance(event, Request)
        request, status = event, protocol.accept(event).status_code
    else:
        written = b"".join(protocol.data_to_send()).split(b" ", 2)
        status = int(written[1]) if len(written) > 1 else status
    # It refers to itself, by its parser and by its errors' tracebacks.
    protocol.parser.close()
    protocol.handshake_exc = None
    return request, status


def _compare_with_h11(data: bytes, seen: list[tuple[str, str]]) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        event = connection.next_event()
    except h11.RemoteProtocolError as error:
        raise Violation(f"accepted where h11 says: {error}") from None
    if not isinstance(event, h11.Request):
        raise Violation("accepted where h11 reads no request")
    theirs = [(name.decode(), value.decode("latin-1")) for name, value in event.headers]
    if sorted(theirs) != sorted(seen):
        raise Violation("other headers than h11 reads")
    # What follows the head is WebSocket's; if h11 waits for a body, they disagree.
    if not isinstance(connection.next_event(), h11.EndOfMessage):
        raise Violation("h11 reads a body where the engine reads frames")
