"""One client that talks, listens, comes back, and remembers in a history what it saw."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from itertools import count
from random import Random
from typing import Final, final

import trio

from ..._model.commands import Place
from ..._model.entries import Delete, Edit, Entry, Fact, Message, React
from ..._model.errors import ErrorCode, Refusal
from ..._model.events import Receipts, Typing, Written
from ...client import Backoff, Client, ClientEvent, ClientLimits, State, connect
from .. import history
from .plan import Seat

# A restart takes a second; the usual ceiling of 30 s is for servers that stay away.
BACKOFF: Final = Backoff(base_s=0.1, ceiling_s=0.4)
# A silent server is found out two heartbeats and this later, a closed one costs no farewell.
LIMITS: Final = ClientLimits(
    silence_margin_s=0.5, close_timeout_s=0.2, dial_timeout_s=3, welcome_timeout_s=3
)
# Requests that one client has on their way at once.
HANDS: Final = 3
# These say "later": the same is asked again, under the same cid. An attempt before, of which the
# client says nothing, may have been stored.
_LATER: Final = (
    ErrorCode.OUTCOME_UNKNOWN,
    ErrorCode.RATE_LIMITED,
    ErrorCode.SHUTTING_DOWN,
    ErrorCode.STORE_UNAVAILABLE,
)
_LATER_S: Final = 0.2
_PAGE: Final = 200
_EMOJIS: Final = ("👍", "🎉", "👋")


@final
class Person:
    """One seat's client; `live` is all of it.

    Attributes:
        acked: acknowledgements.
        retried: requests that were unanswered when a connection broke.
        heads: the greatest acknowledged seq of each room.
    """

    def __init__(
        self, seat: Seat, write: Callable[[history.Event], None], now: Callable[[], float]
    ) -> None:
        self.seat = seat
        self.acked = self.retried = 0
        self.heads: dict[str, int] = {}
        self.client: Client | None = None
        self._write = write
        self._now = now
        self._random = Random(seat.seed)  # noqa: S311 - choices are to be repeatable
        self._numbers = count(1)
        self._subs = count(1)
        self._conn = 0
        # What there is to edit, react to, and read, by room.
        self._mine: dict[str, list[int]] = {room: [] for room, _, _ in seat.rooms}
        self._messages: dict[str, list[int]] = {room: [] for room, _, _ in seat.rooms}
        self.seen: dict[str, int] = {room: seq for room, _, seq in seat.rooms}
        self._listening: dict[str, trio.CancelScope] = {}

    @property
    def is_online(self) -> bool:
        """Whether it has a connection now."""
        return self.client is not None and self.client.state is State.ONLINE

    @property
    def waiting(self) -> int:
        """How many of its requests have no answer."""
        return 0 if self.client is None else self.client.statistics().unanswered

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
        self._tell(history.Opened, user=seat.user)
        async with (
            connect(
                seat.url,
                token=seat.token,
                device=seat.client,
                backoff=BACKOFF,
                limits=LIMITS,
                start_offline=True,
            ) as self.client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._watch_connection, self.client)
            nursery.start_soon(self._hear, self.client)
            for place in seat.rooms:
                nursery.start_soon(self._follow, self.client, place)
            async with trio.open_nursery() as hands:
                for _ in range(HANDS):
                    hands.start_soon(self._talk, self.client, pace_s, stop)
            quiet()
            await self._wait_seen(await heads())
            for place in seat.rooms:
                await self._read_all(self.client, place)
            await leave()
            nursery.cancel_scope.cancel()
        self._tell(history.Left)

    def _tell(self, kind: Callable[..., history.Event], **fields: object) -> None:
        self._write(kind(t=self._now(), client=self.seat.client, conn=self._conn, **fields))

    # --- what it sees ------------------------------------------------------------------

    async def _watch_connection(self, client: Client) -> None:
        was_online = False
        async for state in client.states():
            if state is State.ONLINE:
                self._conn += 1
                assert client.welcome is not None
                self._tell(history.Connected, session=client.welcome.session)
            elif was_online:
                self.retried += client.statistics().unanswered
                code = 1006 if client.last_close is None else client.last_close.code
                self._tell(history.Disconnected, code=code, told=code != 1006)
            was_online = state is State.ONLINE

    async def _hear(self, client: Client) -> None:
        async for event in client.events():
            match event:
                case Receipts():
                    self._tell(history.Receipts, room=event.room, marks=event.marks)
                case Typing():
                    self._tell(history.Typing, room=event.room, users=event.users, more=event.more)

    async def _follow(self, client: Client, place: Place) -> None:
        """Follow a room from its place; again from an earlier one, when `_again` says so."""
        room, epoch, since = place
        while True:
            with (
                trio.CancelScope() as self._listening[room],
                client.room(room).events(since=(epoch, since)) as events,
            ):
                sub = next(self._subs)
                self._tell(
                    history.Subscribed, sub=sub, room=room, epoch=epoch, pos=since, head=since
                )
                async for event in events:
                    self._note(sub, event)
            since = self._random.randint(max(0, self.seen[room] - 50), self.seen[room])
            await client.unsubscribe(room)

    def _note(self, sub: int, event: ClientEvent) -> None:
        if not isinstance(event, Entry):
            return
        self._tell(history.Seen, sub=sub, room=event.room, entry=history.logged(event))
        self.seen[event.room] = event.seq
        if isinstance(event.fact, Message):
            self._messages[event.room].append(event.seq)

    async def _wait_seen(self, heads: dict[str, int]) -> None:
        rooms = [room for room, _, _ in self.seat.rooms]
        while any(self.seen[room] < heads.get(room, 0) for room in rooms):  # noqa: ASYNC110
            await trio.sleep(0.05)

    async def _read_all(self, client: Client, place: Place) -> None:
        room, after = place[0], place[2]
        while True:
            page = await client.history(room, after=after, limit=_PAGE)
            epoch, head = page.as_of
            upto = page.messages[-1].seq if page.more else head
            self._tell(
                history.Folded,
                room=room,
                epoch=epoch,
                head=head,
                after=after,
                upto=upto,
                messages=tuple(map(history.folded_row, page.messages)),
            )
            after = upto
            if not page.more:
                return

    # --- what it says ------------------------------------------------------------------

    async def _talk(self, client: Client, pace_s: float, stop: trio.Event) -> None:
        while True:
            with trio.move_on_after(self._random.expovariate(1 / pace_s)):
                await stop.wait()
            if stop.is_set():
                return
            room = self._random.choice(self.seat.rooms)[0]
            deeds = (self._send, self._edit, self._delete, self._react, self._mark, self._type)
            (deed,) = self._random.choices(deeds, (70, 6, 3, 8, 8, 4))
            await deed(client, room)
            if self._random.random() < 0.01:
                self._listening[room].cancel()

    async def _send(self, client: Client, room: str) -> None:
        cid = self._cid()
        body = {"text": f"{cid} " + "·" * self._random.randint(0, 200)}
        fact = Message(body=body)
        written = await self._ask("send", room, cid, fact, lambda: client.send(room, body, cid=cid))
        if written is not None:
            self._mine[room].append(written.seq)

    async def _edit(self, client: Client, room: str) -> None:
        if self._mine[room]:
            cid, target = self._cid(), self._random.choice(self._mine[room][-20:])
            body = {"text": f"{cid}, better"}
            fact = Edit(target, body=body)
            await self._ask(
                "edit", room, cid, fact, lambda: client.edit(room, target, body, cid=cid)
            )

    async def _delete(self, client: Client, room: str) -> None:
        if self._mine[room]:
            cid, target = self._cid(), self._mine[room].pop()
            await self._ask(
                "delete", room, cid, Delete(target), lambda: client.delete(room, target, cid=cid)
            )

    async def _react(self, client: Client, room: str) -> None:
        if self._messages[room]:
            cid, target = self._cid(), self._random.choice(self._messages[room][-20:])
            emoji, on = self._random.choice(_EMOJIS), self._random.random() < 0.7
            fact = React(target, emoji, on)
            await self._ask(
                "react", room, cid, fact, lambda: client.react(room, target, emoji, on=on, cid=cid)
            )

    async def _mark(self, client: Client, room: str) -> None:
        seq = self.seen[room]
        if not seq:
            return
        self._tell(history.Asked, op="receipt", room=room, delivered=seq, read=seq)
        with suppress(Refusal):
            await client.receipt(room, delivered=seq, read=seq)

    async def _type(self, client: Client, room: str) -> None:
        on = self._random.random() < 0.8
        self._tell(history.Asked, op="typing", room=room, on=on)
        # A mark that was refused is gone by now; a state is not promised.
        with suppress(Refusal):
            await client.typing(room, on=on)

    def _cid(self) -> str:
        return f"{self.seat.client}.{next(self._numbers)}"

    async def _ask(
        self, op: str, room: str, cid: str, fact: Fact, ask: Callable[[], Awaitable[Written]]
    ) -> Written | None:
        """Ask until it is stored or refused for good; None: it is not stored."""
        while True:
            self._tell(history.Sent, op=op, room=room, cid=cid, fact=history.trace(fact))
            try:
                written = await ask()
            except Refusal as refusal:
                if refusal.code not in _LATER:
                    self._tell(history.Refused, room=room, cid=cid, code=int(refusal.code))
                    return None
                self._tell(history.Unknown, room=room, cid=cid)
            else:
                self._acknowledged(room, cid, written)
                return written
            await trio.sleep(_LATER_S)

    def _acknowledged(self, room: str, cid: str, written: Written) -> None:
        self.acked += 1
        self.heads[room] = max(self.heads.get(room, 0), written.seq)
        self._tell(
            history.Acked,
            room=room,
            cid=cid,
            seq=written.seq,
            at=written.at,
            duplicate=written.duplicate,
        )
