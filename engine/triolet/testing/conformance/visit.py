"""One connection to the scripted server, which answers as a good one would; scenes override."""

import itertools
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final, final

import msgspec
import trio

from .log import ROOM, USER, Line, Map
from .websocket import Gone, ServerSocket

if TYPE_CHECKING:
    from .stage import Stage

_ONE_DAY_MS: Final = 86_400_000
# Messages that wait in either direction; a scene has dozens.
_QUEUE_MAX: Final = 1000
# Within which a client that lives answers a ping, on a busy machine.
_PONG_TIMEOUT_S: Final = 5.0
_decoders: Final[dict[str, Callable[[bytes], object]]] = {
    "json": msgspec.json.decode,
    "msgpack": msgspec.msgpack.decode,
}
_encoders: Final[dict[str, Callable[[object], bytes]]] = {
    "json": msgspec.json.encode,
    "msgpack": msgspec.msgpack.encode,
}


@final
class Asked(msgspec.Struct, frozen=True):
    """One message of the client, and when it came (s)."""

    at: float
    op: str
    fields: dict[str, object]

    @property
    def text(self) -> str:
        """The text of a `send`."""
        body = self.fields.get("body")
        return str(body.get("text")) if isinstance(body, dict) else ""


@final
class Visit:
    """A connection, its subprotocol agreed.

    Attributes:
        number: 1 for the first one of a scene that came so far.
        position: how far the client was told of the room; None: it does not follow it.
        asked: everything it said, in order.
    """

    def __init__(self, stage: "Stage", socket: ServerSocket, form: str, number: int) -> None:
        self.stage = stage
        self.socket = socket
        self.form = form
        self.number = number
        self.position: int | None = None
        self.asked: list[Asked] = []
        # How many pieces each message is sent in.
        self.pieces = 1
        self._outgoing, self._outbox = trio.open_memory_channel[Map | bytes](_QUEUE_MAX)
        self._incoming, self._inbox = trio.open_memory_channel[bytes](_QUEUE_MAX)

    # --- sending -----------------------------------------------------------------------

    def put(self, message: Map) -> None:
        """Send a map, after what was put before."""
        self._outgoing.send_nowait(message)

    def ok(self, asked: Asked, **fields: object) -> None:
        """Answer a request."""
        self.put({"op": "ok", "ref": asked.fields.get("ref"), **fields})

    def refuse(self, asked: Asked, code: int, reason: str, **more: int) -> None:
        """Answer a request with an error."""
        self.put(
            {
                "op": "error",
                "ref": asked.fields.get("ref"),
                "code": code,
                "reason": reason,
                "message": "as the scene wants it",
                **more,
            }
        )

    async def _write(self) -> None:
        async for message in self._outbox:
            if isinstance(message, bytes):
                await self.socket.ping(message)
                continue
            payload = _encoders[self.form](message)
            await self.socket.send(payload, is_text=self.form == "json", pieces=self.pieces)

    async def settle(self) -> None:
        """Wait until the client has read what was put: it answers a ping behind it.

        Raises:
            Gone: it does not, for `_PONG_TIMEOUT_S`.
        """
        ping = b"settle %d" % next(_made)
        self._outgoing.send_nowait(ping)
        with trio.move_on_after(_PONG_TIMEOUT_S):
            await self.socket.wait_pong(ping)
            return
        self.stage.complain(f"a ping was not answered within {_PONG_TIMEOUT_S} s")
        raise Gone("no pong")

    def tell(self, line: Line) -> None:
        """Send an entry to a client that follows the room and has not had it."""
        if self.position is not None and line.seq > self.position:
            self.position = line.seq
            self.put(line.entry())

    # --- receiving ---------------------------------------------------------------------

    async def run(self, react: Callable[["Visit", Asked], Awaitable[None]]) -> None:
        """Hand each message of the client to the scene, and send what is put.

        Raises:
            Gone: the connection has ended; in a group.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._write)
            nursery.start_soon(self._receive)
            async for payload in self._inbox:
                asked = self._read(payload)
                self.asked.append(asked)
                await react(self, asked)

    async def _receive(self) -> None:
        # Apart from the reaction, which may wait for a pong.
        while True:
            self._incoming.send_nowait(await self.socket.message())

    def _read(self, payload: bytes) -> Asked:
        try:
            fields = _decoders[self.form](payload)
        except ValueError:
            fields = None
        if not isinstance(fields, dict) or not isinstance(fields.get("op"), str):
            self.stage.complain(f"a message is no {self.form} map with an op: {payload[:60]!r}")
            raise Gone("malformed")
        return Asked(trio.current_time(), fields["op"], fields)

    # --- what a good server answers ----------------------------------------------------

    def welcome(self, **more: object) -> None:
        """Answer `hello`."""
        now_ms = self.stage.now_ms()
        self.put(
            {
                "op": "welcome",
                "session": f"session-{self.number}",
                "user": USER,
                "device": "device",
                "now": now_ms,
                "heartbeat_s": 25,
                "limits": {"inflight_max": 64, "body_bytes_max": 32_768, "subscriptions_max": 1000},
                "expires_at": now_ms + _ONE_DAY_MS,
                **more,
            }
        )

    def subscribed(self, asked_from: tuple[str, int] | None, **more: object) -> Map:
        """Return what an answer to `subscribe` says of the room."""
        log = self.stage.log
        recovered = self._is_prefix(asked_from)
        return {
            "room": ROOM,
            "epoch": log.epoch,
            "head": log.head,
            "floor": log.floor,
            "role": "member",
            "recovered": recovered,
            "unread": 0,
            "read": 0,
            "members": 2,
            "typing": [],
            **more,
        }

    def _is_prefix(self, since: tuple[str, int] | None) -> bool:
        log = self.stage.log
        return since is not None and since[0] == log.epoch and since[1] >= log.floor

    def follow(self, since: tuple[str, int] | None) -> None:
        """Start the cursor, and send what lies before the head."""
        log = self.stage.log
        self.position = since[1] if since is not None and self._is_prefix(since) else log.head
        for line in log.after(self.position):
            self.tell(line)

    def store(self, asked: Asked, *, tell: bool = True) -> tuple[Line, bool]:
        """Write a `send` unless its cid is known; return it, and whether it was."""
        cid = str(asked.fields.get("cid") or f"made-{next(_made)}")
        found = self.stage.log.find(cid)
        if found is not None:
            return found, True
        return self.stage.log.append(asked.text, sender=USER, cid=cid, tell=tell), False

    def written(self, asked: Asked, line: Line, *, duplicate: bool) -> None:
        """Answer a `send`."""
        at = line.entry()["at"]
        self.ok(asked, room=ROOM, seq=line.seq, at=at, duplicate=duplicate)


_made = itertools.count(1)
