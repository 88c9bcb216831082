"""The chat behind its face: one client, one conversation at a time, and the tasks between.

Lines are taken one by one, so that a command that goes to another room is over before the next
line means something. What goes to the server waits in a second queue, in order, so that writing
goes on while the connection is gone.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final, TypeAlias, final

import trio
from msgspec import UNSET
from msgspec.structs import replace

from triolet._model.entries import Entry
from triolet._model.errors import ConnectionClosed
from triolet._model.events import Closed, Feed, InboxRow, Notice, PresenceRow, Reset, Synced
from triolet.client import Client, ClientEvent, State

from . import words
from .bell import Bell
from .changes import Change
from .commands import parse
from .conversation import Conversation
from .deeds import execute
from .face import Face, Line
from .keepers import Marker, Typist, Watcher
from .text import clean_line, text_of

# An hour offline of somebody who types fast; beyond it, reading stops.
LINES_MAX: Final = 1000
# A screenful, and what one may scroll back to.
HISTORY_MESSAGES: Final = 50
# Rooms whose titles and unread counts are asked for at the start.
INBOX_ROOMS: Final = 200

Deed: TypeAlias = Callable[[], Awaitable[None]]


@final
class Chat:
    """One person's chat; `run` it once.

    Args:
        client: the connection.
        face: what shows it and takes in lines.
        me: who I am.
        address: whom the client reaches, to be shown.
        calendar: tells times.
        now_ms: the wall clock.
        is_strict: nobody looks: not to get to a room is an error, not a note.

    Attributes:
        conversation: what is shown; its room is empty in the lobby.
        line: where the connection stands.
        inbox: my rooms as last heard, by name.
        unread: how much waits in each room that is not shown.
        unsent: what I said and the server has not answered, by `cid`.
    """

    def __init__(
        self,
        client: Client,
        face: Face,
        *,
        me: str,
        address: str,
        calendar: words.Calendar,
        now_ms: Callable[[], int],
        is_strict: bool = False,
    ) -> None:
        self.client = client
        self.face = face
        self.me = me
        self.calendar = calendar
        self.now_ms = now_ms
        self.is_strict = is_strict
        self.conversation = Conversation("", me)
        self.conversation.is_online = False
        self.line = Line(state=client.state, address=address)
        self.inbox: dict[str, InboxRow] = {}
        self.unread: dict[str, int] = {}
        self.unsent: dict[str, str] = {}
        self._told: dict[str, None] = {}
        self.typist = Typist(client)
        self._marker = Marker(client)
        self._watcher = Watcher(client, self._on_seen)
        self._lines_in, self._lines = trio.open_memory_channel[str](LINES_MAX)
        self._deeds_in, self._deeds = trio.open_memory_channel[Deed](LINES_MAX)
        # Held while rooms change, so that no event is applied to the one that was left.
        self._turning = trio.Lock()
        self._changed = Bell()
        self._left = trio.Event()
        self._is_leaving = False
        face.begin(self)

    async def run(self, opening: Deed) -> None:
        """Chat until somebody leaves.

        Args:
            opening: what to do first: go to a room, or show which there are.

        Raises:
            ConnectionClosed: the server will not have us.
        """
        try:
            await self._run(opening)
        except BaseExceptionGroup as group:
            # Each task that asks hears of it; one telling is enough.
            closed, others = group.split(ConnectionClosed)
            if closed is None or others is not None:
                raise
            raise _first(closed) from None

    async def _run(self, opening: Deed) -> None:
        with self.client.events() as events:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hear, events)
                nursery.start_soon(self._follow_line)
                nursery.start_soon(self._read_lines, opening)
                nursery.start_soon(self._do_deeds)
                nursery.start_soon(self._marker.run)
                nursery.start_soon(self._watcher.run)
                nursery.start_soon(self.typist.run)
                nursery.start_soon(self.face.run)
                await self._left.wait()
                nursery.cancel_scope.cancel()

    # --- what the face asks ----------------------------------------------------------------

    @property
    def unread_elsewhere(self) -> int:
        """How many messages wait in other rooms."""
        return sum(self.unread.values())

    async def submit(self, text: str) -> None:
        """Take a line; waits while `LINES_MAX` wait already."""
        await self._lines_in.send(text)

    def typed(self, text: str) -> None:
        """Take the line as it is now."""
        self.typist.typed(self.conversation.room, text)

    def seen(self, seq: int) -> None:
        """Take in that what came up to `seq` has been shown."""
        self._marker.shown(seq)

    async def finish(self) -> None:
        """Leave once everything submitted has been done."""
        await self._lines_in.send("/quit")

    def quit(self) -> None:
        """Leave once everything said has been sent, or now if asked again."""
        if not self.unsent or self._is_leaving:
            self.leave()
            return
        self._is_leaving = True
        waiting = words.count(len(self.unsent), "message")
        self.tell(f"{waiting} not sent yet; once more leaves all the same", is_error=True)

    def leave(self) -> None:
        """Leave now."""
        self._left.set()

    # --- what deeds need -------------------------------------------------------------------

    async def wait_settled(self) -> None:
        """Wait until everything of mine in this room has come to its place in the log."""
        await trio.lowlevel.checkpoint()
        while self.conversation.pending:
            await self._changed.wait()

    async def later(self, deed: Deed) -> None:
        """Have something done when everything before it has been."""
        await self._deeds_in.send(deed)

    def show(self, changes: list[Change]) -> None:
        """Have changes of the present conversation shown."""
        self.face.show(changes)
        self._changed.ring()

    def tell(self, text: str, *, is_error: bool = False) -> None:
        """Have a note shown."""
        self.show(self.conversation.note(text, is_error=is_error))

    async def enter(self, room: str) -> str | None:
        """Go to a room; return my role there, None for a guest.

        Raises:
            Refusal: there is none, or none for me.
        """
        async with self._turning:
            found = await self.client.subscribe(room)
            page = await self.client.history(room, limit=HISTORY_MESSAGES)
            left, conversation = self.conversation, Conversation(room, self.me)
            conversation.open(found)
            conversation.title = await self._title(room)
            conversation.load(page, read=found.read if found.role else None)
            conversation.is_online = self.client.state is State.ONLINE
            conversation.presence = left.presence
            self._turn_to(conversation)
            if left.room and left.room != room:
                await self.client.unsubscribe(left.room)
            return found.role

    async def _title(self, room: str) -> str:
        if room.startswith("dm:"):
            return ""
        await self.refresh_inbox()
        row = self.inbox.get(room)
        return "" if row is None else clean_line(row.title)

    async def refresh_inbox(self) -> None:
        """Ask for my rooms, as many as one screen could list."""
        inbox = await self.client.rooms(limit=INBOX_ROOMS)
        self._take_inbox(inbox.rooms)

    def _turn_to(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.unread.pop(conversation.room, None)
        self._told.pop(conversation.room, None)
        self._marker.turn_to(conversation.room)
        if conversation.room:
            self._marker.received(conversation.received)
            self._watcher.meet(conversation.others)
        self.face.turn_to(conversation)

    def _to_lobby(self, why: str) -> None:
        lobby = Conversation("", self.me)
        lobby.is_online = self.conversation.is_online
        lobby.presence = self.conversation.presence
        self._turn_to(lobby)
        self.tell(why)

    # --- what the server tells -------------------------------------------------------------

    async def _hear(self, events: AsyncIterator[ClientEvent]) -> None:
        async for event in events:
            async with self._turning:
                await self._take(event)

    async def _take(self, event: ClientEvent) -> None:
        conversation = self.conversation
        match event:
            case Reset() if event.room == conversation.room:
                await self._reload(event)
            case Closed() if event.room == conversation.room:
                self._to_lobby(f"you are not in {event.room} any more ({clean_line(event.reason)})")
            case Feed():
                self._take_feed(event)
            case Notice(kind="announcement"):
                self.tell(f"announcement: {text_of(event.body)}")
            case Synced():
                self._take_inbox(event.rooms)
                self.show(conversation.apply(event))
            case _:
                self.show(conversation.apply(event))
                if isinstance(event, Entry):
                    self._marker.received(conversation.received)
                    self._watcher.meet(conversation.others)

    async def _reload(self, reset: Reset) -> None:
        """The server has another log than we had seen: read it anew."""
        page = await self.client.history(reset.room, limit=HISTORY_MESSAGES)
        self.conversation.load(page)
        if reset.since is UNSET:
            self.tell("what was missed is too much to tell; this is where it stands")
        else:
            self.tell(f"the server has lost what came after [{reset.since[1]}]", is_error=True)

    def _take_inbox(self, rows: tuple[InboxRow, ...]) -> None:
        for row in rows:
            self.inbox[row.room] = row
            if row.room != self.conversation.room:
                self.unread[row.room] = row.unread
        self.face.refresh()

    def _take_feed(self, feed: Feed) -> None:
        for room, _, _, unread, _ in feed.rooms:
            if room == self.conversation.room:
                continue
            before, self.unread[room] = self.unread.get(room, 0), unread
            if unread > before and room not in self._told:
                # Once, until it has been looked at; the count is in the status.
                self._told[room] = None
                self.tell(words.elsewhere(room, self.me))
        for room in feed.added:
            if room != self.conversation.room and words.partner(room, self.me) is None:
                self.tell(f"you are in {room} now: /join {room}")
        for room in feed.removed:
            self.unread.pop(room, None)
            self._told.pop(room, None)
            self.inbox.pop(room, None)
        self.face.refresh()

    def _on_seen(self, rows: tuple[PresenceRow, ...]) -> None:
        self.show(self.conversation.see(rows))

    async def _follow_line(self) -> None:
        async for state in self.client.states():
            is_online = state is State.ONLINE
            retry_at = trio.current_time() + self.client.retry_delay_s
            was_online = self.line.was_online or is_online
            self.line = replace(self.line, state=state, retry_at=retry_at, was_online=was_online)
            if is_online:
                self.show(self.conversation.went_online())
            else:
                self.show(self.conversation.went_offline())
            self.face.refresh()

    # --- what is written -------------------------------------------------------------------

    async def _read_lines(self, opening: Deed) -> None:
        await opening()
        async for line in self._lines:
            command = parse(line)
            if command is not None:
                await execute(self, command)

    async def _do_deeds(self) -> None:
        async for deed in self._deeds:
            await deed()
            if self._is_leaving and not self.unsent:
                self.leave()


def _first(group: BaseExceptionGroup[ConnectionClosed]) -> ConnectionClosed:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ConnectionClosed)
    return error
