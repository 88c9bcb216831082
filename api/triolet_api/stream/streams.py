"""`/v1/stream`: a session, with all a WebSocket's has, whose carrier goes to the client only.

What the client wants of it goes by `POST /v1/commands`, to any node.
"""

from typing import Annotated, Final, final

import msgspec
import trio
from msgspec import Meta, Struct, field
from quart import Response

from triolet._model.commands import Device, Hello, Place, Subscribe, Watch
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.events import Failed
from triolet._model.ids import Room, User
from triolet._runtime.engine import Engine
from triolet._runtime.pipe import Carriage, Pipe
from triolet._wire.codec import encode_command
from triolet.ports.gate import Opening

from ..endpoints import EVENT_STREAM, Access, Call, endpoint
from .carrying import StreamBody
from .events import EventWriter, Positions, read_id

# Rooms of one `subscribe`, see `_model.commands`.
_ROOMS_PER_REQUEST: Final = 200
# Streams at once: half of the HTTP connections of a node, so that requests find one.
STREAMS_MAX: Final = 500
_REFUSALS: Final = (
    ErrorCode.INVALID_FIELD,
    ErrorCode.TOO_MANY_SESSIONS,
    ErrorCode.SHUTTING_DOWN,
    ErrorCode.STORE_UNAVAILABLE,
)


@final
class StreamQuery(Struct, frozen=True):
    """What a stream follows; with few rooms, its events' ids tell where it stands in them.

    Attributes:
        room: each room to follow, from now on, or from where `Last-Event-ID` says.
        watch: each person whose presence is told.
        device: a name for this connection among the user's others.
    """

    room: Annotated[list[Room], Meta(max_length=100)] = field(default_factory=list)
    watch: Annotated[list[User], Meta(max_length=100)] = field(default_factory=list)
    device: Device | None = None


@final
class StreamRequest(Struct, frozen=True):
    """What a stream follows, for a client that keeps positions by itself.

    Attributes:
        subscribe: each room to follow as `[room, epoch, seq]`: after that position, or, where
            it is none (`["tea", "", 0]`), from now on.
        watch: each person whose presence is told.
        device: a name for this connection among the user's others.
    """

    subscribe: Annotated[list[Place], Meta(max_length=1000)] = field(default_factory=list)
    watch: Annotated[list[User], Meta(max_length=500)] = field(default_factory=list)
    device: Device | None = None


@final
class Streams:
    """Endpoints of streams."""

    def __init__(self, engine: Engine, *, streams_max: int = STREAMS_MAX) -> None:
        self._engine = engine
        self._streams_max = streams_max
        self._count = 0

    @endpoint(
        "GET",
        "/v1/stream",
        access=Access.USER,
        rate="stream",
        refuses=_REFUSALS,
        produces=EVENT_STREAM,
        takes_query_token=True,
    )
    async def follow(self, call: Call, query: StreamQuery) -> Response:
        """Follow rooms by server-sent events, as a browser's `EventSource` does.

        Each event is a message of the protocol in JSON: first `welcome`, then the answers to
        the subscription, then what happens; at the end `close`. A browser that reconnects sends
        `Last-Event-ID`, and goes on where it was in each of its rooms.
        """
        places: list[Place] = [(room, "", 0) for room in dict.fromkeys(query.room)]
        last = call.header("Last-Event-ID")
        if last:
            try:
                places = read_id(last, [room for room, _, _ in places])
            except ValueError:
                message = "`Last-Event-ID`: not of a stream of these rooms"
                raise Refusal(ErrorCode.INVALID_FIELD, message) from None
        return await self._stream(
            call, query.device, places, query.watch, EventWriter(Positions(places))
        )

    @endpoint(
        "POST",
        "/v1/stream",
        access=Access.USER,
        rate="stream",
        refuses=_REFUSALS,
        produces=EVENT_STREAM,
    )
    async def follow_from(self, call: Call, body: StreamRequest) -> Response:
        """Follow rooms by server-sent events, from positions that the client keeps.

        The events are those of `GET`, without ids.
        """
        return await self._stream(call, body.device, body.subscribe, body.watch, EventWriter(None))

    async def _stream(
        self,
        call: Call,
        device: str | None,
        places: list[Place],
        watched: list[str],
        writer: EventWriter,
    ) -> Response:
        if self._count >= self._streams_max:
            message = "this node carries no more streams"
            raise Refusal(ErrorCode.TOO_MANY_SESSIONS, message, retry_after_ms=5000)
        self._count += 1
        pipe: Pipe | None = None
        try:
            limits = self._engine.limits
            agent = (call.header("User-Agent") or "")[:200]
            carriage = Carriage(
                opening=Opening(address=call.address, agent=agent),
                text=True,
                # A response that nobody iterates asks for nothing: it was cut off before.
                silence_s=2 * limits.heartbeat_s + limits.stall_s,
            )
            pipe = self._engine.open_pipe(call.identity, carriage)
            first = await self._welcomed(pipe, Hello(device=device, agent=agent))
            # Revoked or banned meanwhile, when no session was here to be ended?
            self._engine.admission.check(call.identity, carriage.opening)
            await _subscribe(pipe, places, watched)
        except BaseException:
            self._count -= 1
            if pipe is not None:
                pipe.hang_up()
            raise
        body = StreamBody(
            pipe, first, writer, heartbeat_s=limits.heartbeat_s, ended=self._one_has_ended
        )
        response = Response(body, 200, content_type=EVENT_STREAM)
        response.timeout = None
        # Whoever is in between passes each event on at once.
        response.headers["X-Accel-Buffering"] = "no"
        response.headers["Cache-Control"] = "no-store"
        return response

    def _one_has_ended(self) -> None:
        self._count -= 1

    async def _welcomed(self, pipe: Pipe, hello: Hello) -> bytes:
        """Say hello, and return the welcome.

        Raises:
            Refusal: it is none.
        """
        try:
            await pipe.send(encode_command(hello, "json"))
            first = await pipe.receive()
        except (trio.EndOfChannel, trio.BrokenResourceError):
            raise Refusal(ErrorCode.SHUTTING_DOWN, "come back", retry_after_ms=1000) from None
        if first.startswith(b'{"op":"error"'):
            failed = msgspec.json.decode(first, type=Failed)
            code = ErrorCode(failed.code)
            raise Refusal(code, failed.message, retry_after_ms=failed.retry_after_ms)
        return first


async def _subscribe(pipe: Pipe, places: list[Place], watched: list[str]) -> None:
    """Ask for what a stream is to follow; the answers are its first events."""
    try:
        for start in range(0, len(places), _ROOMS_PER_REQUEST):
            command = Subscribe(rooms=places[start : start + _ROOMS_PER_REQUEST])
            await pipe.send(encode_command(command, "json"))
        if watched:
            await pipe.send(encode_command(Watch(users=watched), "json"))
    except trio.BrokenResourceError:
        # It has ended already; the stream will tell why.
        return
