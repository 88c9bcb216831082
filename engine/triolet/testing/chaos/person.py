"""One client that talks, listens, goes back, and comes back, whatever happens to it."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from random import Random
from typing import Final, final

import trio

from ..._model.commands import Place
from ..._model.entries import Entry, Message
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import Written
from ...client import Client, ClientEvent, State
from .. import history
from .plan import Seat
from .recording import open_recorded

# Requests that one client has on their way at once.
HANDS: Final = 3
# These say "later": the same is asked again, under the same cid.
_LATER: Final = (
    ErrorCode.OUTCOME_UNKNOWN,
    ErrorCode.RATE_LIMITED,
    ErrorCode.SHUTTING_DOWN,
    ErrorCode.STORE_UNAVAILABLE,
)
_LATER_S: Final = 0.2
_PAGE: Final = 200
_EMOJIS: Final = ("👍", "🎉", "👋")
# How often each deed is done, of a hundred; and how often somebody goes back in a room's log.
_SEND, _EDIT, _DELETE, _REACT, _MARK, _TYPE = 70, 6, 3, 8, 8, 5
_GO_BACK: Final = 0.01
# Only the last so many messages of a room are edited, deleted, reacted to.
_RECENT: Final = 20
_BACK_ENTRIES: Final = 50


@final
class Person:
    """One seat's client; `live` is all of it.

    Attributes:
        acked: acknowledgements.
        heads: the greatest acknowledged seq of each room.
        seen: how far it has seen each room.
    """

    def __init__(self, seat: Seat, write: Callable[[history.Event], None]) -> None:
        self.seat = seat
        self.acked = 0
        self.heads: dict[str, int] = {}
        self.seen = {room: seq for room, _, seq in seat.rooms}
        self._client: Client | None = None
        self._write = write
        self._random = Random(seat.seed)  # noqa: S311 - choices are to be repeatable
        self._numbers = count(1)
        # What there is to edit, and to react to, by room.
        self._mine: dict[str, list[int]] = {room: [] for room in self.seen}
        self._messages: dict[str, list[int]] = {room: [] for room in self.seen}
        self._listening: dict[str, trio.CancelScope] = {}
        self._moved = trio.lowlevel.ParkingLot()

    @property
    def is_online(self) -> bool:
        """Whether it has a connection now."""
        return self._client is not None and self._client.state is State.ONLINE

    @property
    def waiting(self) -> int:
        """How many of its requests have no answer."""
        return 0 if self._client is None else self._client.statistics().unanswered

    async def live(
        self,
        pace_s: float,
        *,
        stop: trio.Event,
        quiet: Callable[[], None],
        heads: Callable[[], Awaitable[dict[str, int]]],
        leave: Callable[[], Awaitable[None]],
    ) -> None:
        """Talk until `stop`, say `quiet`, read everything up to `heads`, and go when told.

        Args:
            pace_s: the mean pause between two requests of one hand.
            stop: when to say no more.
            quiet: is called when all that was said is answered.
            heads: waits for how far each room has got in the end.
            leave: is called when all that is read; it waits until this may go.
        """
        seat = self.seat
        async with (
            open_recorded(
                seat.urls, seat.token, name=seat.client, user=seat.user, write=self._write
            ) as self._client,
            trio.open_nursery() as nursery,
        ):
            for place in seat.rooms:
                nursery.start_soon(self._follow, self._client, place)
            await self._client.watch(seat.watched)
            async with trio.open_nursery() as hands:
                for _ in range(HANDS):
                    hands.start_soon(self._talk, self._client, pace_s, stop)
            quiet()
            await self._wait_seen(await heads())
            for place in seat.rooms:
                await self._read_all(self._client, place)
            await leave()
            nursery.cancel_scope.cancel()

    # --- what it sees ------------------------------------------------------------------

    async def _follow(self, client: Client, place: Place) -> None:
        """Follow a room from its place; again from an earlier one, when somebody goes back."""
        room, epoch, since = place
        while True:
            with (
                trio.CancelScope() as self._listening[room],
                client.room(room).events(since=(epoch, since)) as events,
            ):
                async for event in events:
                    self._note(event)
            earliest = max(place[2], self.seen[room] - _BACK_ENTRIES)
            since = self._random.randint(earliest, self.seen[room])
            await client.unsubscribe(room)

    def _note(self, event: ClientEvent) -> None:
        if isinstance(event, Entry):
            self.seen[event.room] = event.seq
            self._moved.unpark_all()
            if isinstance(event.fact, Message):
                self._messages[event.room].append(event.seq)

    async def _wait_seen(self, heads: dict[str, int]) -> None:
        while any(seq < heads[room] for room, seq in self.seen.items()):
            await self._moved.park()

    async def _read_all(self, client: Client, place: Place) -> None:
        room, _, after = place
        more = True
        while more:
            page = await client.history(room, after=after, limit=_PAGE)
            more = page.more
            after = page.messages[-1].seq if more else after

    # --- what it says ------------------------------------------------------------------

    async def _talk(self, client: Client, pace_s: float, stop: trio.Event) -> None:
        deeds = (self._send, self._edit, self._delete, self._react, self._mark, self._type)
        weights = (_SEND, _EDIT, _DELETE, _REACT, _MARK, _TYPE)
        while True:
            with trio.move_on_after(self._random.expovariate(1 / pace_s)):
                await stop.wait()
            if stop.is_set():
                return
            room = self._random.choice(list(self.seen))
            (deed,) = self._random.choices(deeds, weights)
            await deed(client, room)
            if self._random.random() < _GO_BACK:
                self._listening[room].cancel()

    async def _send(self, client: Client, room: str) -> None:
        cid = self._cid()
        text = f"{cid} " + "·" * self._random.randint(0, 200)
        written = await self._ask(lambda: client.send(room, text, cid=cid))
        if written is not None:
            self._mine[room].append(written.seq)

    async def _edit(self, client: Client, room: str) -> None:
        if self._mine[room]:
            cid, target = self._cid(), self._random.choice(self._mine[room][-_RECENT:])
            await self._ask(lambda: client.edit(room, target, f"{cid}, better", cid=cid))

    async def _delete(self, client: Client, room: str) -> None:
        if self._mine[room]:
            cid, target = self._cid(), self._mine[room].pop()
            await self._ask(lambda: client.delete(room, target, cid=cid))

    async def _react(self, client: Client, room: str) -> None:
        if self._messages[room]:
            cid, target = self._cid(), self._random.choice(self._messages[room][-_RECENT:])
            emoji, on = self._random.choice(_EMOJIS), self._random.choice((True, True, False))
            await self._ask(lambda: client.react(room, target, emoji, on=on, cid=cid))

    async def _mark(self, client: Client, room: str) -> None:
        seq = self.seen[room]
        # A full disk refuses a mark; the next one says more.
        with suppress(Refusal):
            await client.receipt(room, delivered=seq, read=seq)

    async def _type(self, client: Client, room: str) -> None:
        # A refusal's moment has passed.
        with suppress(Refusal):
            await client.typing(room, on=self._random.choice((True, True, False)))

    def _cid(self) -> str:
        return f"{self.seat.client}.{next(self._numbers)}"

    async def _ask(self, ask: Callable[[], Awaitable[Written]]) -> Written | None:
        """Ask until it is stored or refused for good; None: it is not stored."""
        while True:
            try:
                written = await ask()
            except Refusal as refusal:
                if refusal.code not in _LATER:
                    return None
            else:
                self.acked += 1
                self.heads[written.room] = max(self.heads.get(written.room, 0), written.seq)
                return written
            await trio.sleep(_LATER_S)
