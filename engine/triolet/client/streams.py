"""Streams of events: bounded, lossless for entries, and never in the way of a reply.

A consumer that does not keep up costs its buffer and nothing more:

- *Entries.* When a stream is full, the client stops reading its socket, and the server demotes
  it as a slow reader. But only for `patience_s`, and only while no request waits for an
  answer, for that lies behind the entries: a consumer that answers what it reads would wait
  for ever, and WebSocket pings would go unanswered. After that the stream's rooms are put on
  hold: their positions stay, the server is told to stop sending them, and below half they are
  asked for again from there. Nothing is lost, nothing comes twice, other rooms go on.
- *State* (receipts, typing, presence, feed, sync): the latest wins; one place each.
- *Signals and announcements* are dropped when the stream is full, and counted.

Entries of a followed room that no stream listens to wait at the server, too:
an application may subscribe first and listen later.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Generic, TypeAlias, TypeVar, cast, final
from weakref import WeakValueDictionary

import trio

from .._model.entries import Entry
from .._model.errors import Close, ConnectionClosed
from .._model.events import Closed, Reset
from ._coalesce import Key, key_of, merge
from ._effects import ClientEvent
from .limits import ClientLimits

_T = TypeVar("_T")


@final
class _Slot:
    __slots__ = ("event", "key", "size")

    def __init__(self, event: ClientEvent, size: int, key: Key | None) -> None:
        self.event = event
        self.size = size
        self.key = key


@final
class EventStream(Generic[_T]):
    """What comes after it was opened, in order, for one consumer: `async for event in stream`.

    It ends when its room is unsubscribed or closed, or the client ends;
    it raises `ConnectionClosed` when the server has ended the client for good.
    Close it, use it in a `with` block, or drop it: what it had buffered is gone then,
    and its rooms wait for no one.
    """

    def __init__(
        self,
        limits: ClientLimits,
        *,
        entries_only: bool,
        before: Callable[[], Awaitable[object]] | None,
        on_space: Callable[[], None],
        on_closed: Callable[[], None],
    ) -> None:
        self._limits = limits
        self._entries_only = entries_only
        self._before = before
        self._on_space = on_space
        self._on_closed = on_closed
        self._slots: deque[_Slot] = deque()
        self._state: dict[Key, _Slot] = {}
        self._count = 0
        self._bytes = 0
        self._is_full = False
        self._is_ended = False
        self._end: Close | None = None
        self._wake = trio.Event()

    @property
    def has_space(self) -> bool:
        """Whether an entry would be taken: false from full until half empty."""
        return not self._is_full

    def push(self, event: ClientEvent, size: int) -> bool:
        """Take an event, for the client only; False: there is no space for one of its kind."""
        if self._is_ended or (self._entries_only and not isinstance(event, Entry)):
            return True
        key = key_of(event)
        if key is not None and key in self._state:
            slot = self._state[key]
            slot.event = merge(slot.event, event)
            return True
        is_owed = key is not None or isinstance(event, Entry | Reset | Closed)
        if self._is_full and not is_owed:
            return False
        slot = _Slot(event, size, key)
        self._slots.append(slot)
        if key is None:
            self._weigh(1, size)
        else:
            self._state[key] = slot
        self._wake.set()
        return True

    def _weigh(self, count: int, size: int) -> None:
        self._count += count
        self._bytes += size
        limits = self._limits
        if self._count >= limits.stream_events_max or self._bytes >= limits.stream_bytes_max:
            self._is_full = True
        elif (
            self._is_full
            and self._count <= limits.stream_events_max // 2
            and self._bytes <= limits.stream_bytes_max // 2
        ):
            self._is_full = False
            self._on_space()

    def end(self, close: Close | None) -> None:
        """Let nothing more in; `close` is raised once the buffer is empty, if there is one."""
        if not self._is_ended:
            self._is_ended = True
            self._end = close
            self._wake.set()

    def close(self) -> None:
        """Stop listening; what is buffered is dropped."""
        self.end(None)
        self._slots.clear()
        self._state.clear()
        self._on_closed()

    def __enter__(self) -> "EventStream[_T]":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __aiter__(self) -> "EventStream[_T]":
        return self

    async def __anext__(self) -> _T:
        if self._before is not None and not self._is_ended:
            await self._before()
            self._before = None
        await trio.lowlevel.checkpoint()
        while not self._slots:
            if self._is_ended:
                if self._end is not None:
                    raise ConnectionClosed(self._end.code, self._end.reason)
                raise StopAsyncIteration
            if self._wake.is_set():
                self._wake = trio.Event()
            await self._wake.wait()
        return self._take()

    def _take(self) -> _T:
        slot = self._slots.popleft()
        if slot.key is None:
            self._weigh(-1, -slot.size)
        else:
            del self._state[slot.key]
        return cast(_T, slot.event)


_Listeners: TypeAlias = WeakValueDictionary[int, EventStream[ClientEvent]]
_Before: TypeAlias = Callable[[], Awaitable[object]] | None


@final
class Streams:
    """All streams of one client, by room; those under None listen to everything.

    They are held weakly: a consumer that leaves its loop and drops its stream is gone.
    """

    def __init__(self, limits: ClientLimits, *, on_space: Callable[[], None]) -> None:
        self._limits = limits
        self._on_space = on_space
        self._by_room: dict[str | None, _Listeners] = {None: WeakValueDictionary()}
        self._last_number = 0
        self._is_ended = False
        self._end: Close | None = None
        self.dropped = 0

    def events(self, room: str | None = None, before: _Before = None) -> EventStream[ClientEvent]:
        """Open a stream of all events, or of one room's; `before` runs at its first use."""
        return self._open(room, before, entries_only=False)

    def entries(self, room: str, before: _Before = None) -> EventStream[Entry]:
        """Open a stream of one room's entries."""
        return cast(EventStream[Entry], self._open(room, before, entries_only=True))

    def _open(
        self, room: str | None, before: _Before, *, entries_only: bool
    ) -> EventStream[ClientEvent]:
        self._last_number = number = self._last_number + 1
        stream: EventStream[ClientEvent] = EventStream(
            self._limits,
            entries_only=entries_only,
            before=before,
            on_space=self._on_space,
            on_closed=lambda: self._closed(room, number),
        )
        if self._is_ended:
            stream.end(self._end)
            return stream
        self._by_room.setdefault(room, WeakValueDictionary())[number] = stream
        self._on_space()
        return stream

    def _closed(self, room: str | None, number: int) -> None:
        listeners = self._by_room.get(room)
        if listeners is not None and listeners.pop(number, None) is not None:
            self._on_space()

    def _listening(self, room: str | None) -> list[EventStream[ClientEvent]]:
        found = list(self._by_room[None].values())
        if room in self._by_room and room is not None:
            listeners = list(self._by_room[room].values())
            if not listeners:
                del self._by_room[room]
            found.extend(listeners)
        return found

    def has_space(self, room: str) -> bool:
        """Whether somebody takes a room's entries, and everybody who does has space."""
        listening = self._listening(room)
        return bool(listening) and all(stream.has_space for stream in listening)

    def push(self, event: ClientEvent, size: int) -> bool:
        """Give an event to all who listen to it; return whether they all have space still."""
        has_space = True
        for stream in self._listening(getattr(event, "room", None)):
            self.dropped += not stream.push(event, size)
            has_space = has_space and stream.has_space
        return has_space

    def end_room(self, room: str) -> None:
        """End the streams of one room."""
        for stream in list(self._by_room.pop(room, {}).values()):
            stream.end(None)

    def end(self, close: Close | None) -> None:
        """End all streams; `close` is raised to their consumers, if there is one."""
        self._is_ended = True
        self._end = close
        for listeners in list(self._by_room.values()):
            for stream in list(listeners.values()):
                stream.end(close)
