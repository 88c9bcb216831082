"""Somebody in the demo: a real client, and a memory of everything they were told."""

import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

import trio
from rich.text import Text

from triolet import connect
from triolet._model.entries import Entry, FoldedMessage
from triolet._model.errors import TrioletError
from triolet._model.events import Reset
from triolet.client import Backoff, Client, State

from ..chat import words
from ..chat.bell import Bell
from ..chat.changes import Back, Change, Lost, MarksMoved, Said, TypingChanged
from ..chat.conversation import Conversation
from ..chat.keepers import Marker
from ..chat.text import text_of
from .proof import Evidence
from .stage import Stage

# Whatever a scene waits for comes within half a second; a busy machine gets a minute.
STEP_TIMEOUT_S: Final = 60
# Eager to come back: the show waits for it.
_BACKOFF: Final = Backoff(base_s=0.2, factor=1.5, ceiling_s=1)
_PAGE_MESSAGES: Final = 200
# They are told even where only the outline is.
_OUTLINE: Final = (Lost, Back)
# Number and gap before a name in a message.
_NUMBER_CELLS: Final = 4


@final
class Stuck(TrioletError):
    """What a scene waited for did not come."""


@final
class Person:
    """One of the two; made by `open_person`.

    Attributes:
        name: who.
        conversation: what their screen would show.
        is_outlined: only the connection's coming and going is told.
    """

    def __init__(self, name: str, colour: str, client: Client, stage: Stage) -> None:
        self.name = name
        self.conversation = Conversation("", name)
        self.is_outlined = False
        self._colour = colour
        self._client = client
        self._stage = stage
        self._marker = Marker(client)
        self._bell = Bell()
        self._start = 0
        self._said: dict[str, str] = {}
        self._acknowledged: dict[str, int] = {}
        self._entries: list[Entry] = []

    # --- what they do ----------------------------------------------------------------------

    async def go_to(self, other: str) -> None:
        """Open the direct room with somebody, and watch them."""
        room = (await self._client.direct(other)).room
        conversation = Conversation(room, self.name)
        # Nothing is written before both are here, so no entry is missed between.
        found = await self._client.subscribe(room)
        conversation.open(found)
        conversation.load(await self._client.history(room))
        self.conversation, self._start = conversation, found.head
        self._marker.turn_to(room)
        watching = await self._client.watch([other])
        self._tell(conversation.see(watching.users))

    async def type(self) -> None:
        """Begin to write."""
        await self._client.typing(self.conversation.room)

    async def say(self, text: str) -> int:
        """Write, and return where it is stored, however long that takes."""
        cid = secrets.token_urlsafe(12)
        self._said[cid] = text
        if not self.is_outlined:
            self._show_message("", self.name, text, f"  {words.WAITING}")
        room = self.conversation.room
        written = await self._client.send(room, text, cid=cid)
        self._acknowledged[cid] = written.seq
        self._tell(self.conversation.stored(cid, written))
        return written.seq

    async def amend(self, seq: int, text: str) -> None:
        """Change what was written."""
        await self._client.edit(self.conversation.room, seq, text)

    async def react(self, seq: int, emoji: str) -> None:
        """Put an emoji to something."""
        await self._client.react(self.conversation.room, seq, emoji)

    def read(self) -> None:
        """Look at everything there is."""
        self._marker.shown(self.conversation.received)

    async def leave_desk(self, *, is_away: bool) -> None:
        """Go away, or return."""
        await self._client.presence("away" if is_away else "online")

    # --- what they wait for ----------------------------------------------------------------

    async def until(self, what: str, is_so: Callable[[Conversation], bool]) -> None:
        """Wait until something is so on their screen.

        Raises:
            Stuck: it was not within `STEP_TIMEOUT_S`.
        """
        with trio.move_on_after(STEP_TIMEOUT_S):
            while not is_so(self.conversation):
                await self._bell.wait()
            return
        raise Stuck(f"{self.name} waited {STEP_TIMEOUT_S} s, and {what} did not come")

    @property
    def acknowledged(self) -> int:
        """How many of their messages the server has acknowledged."""
        return len(self._acknowledged)

    @property
    def unanswered(self) -> int:
        """How many it has not, yet."""
        return len(self._said) - len(self._acknowledged)

    async def testify(self) -> Evidence:
        """Read the whole room again, and return what they remember."""
        history: list[FoldedMessage] = []
        more = True
        while more:
            after = history[-1].seq if history else self._start
            page = await self._client.history(
                self.conversation.room, after=after, limit=_PAGE_MESSAGES
            )
            history += page.messages
            more = page.more
        return Evidence(
            name=self.name,
            start=self._start,
            said=self._said,
            acknowledged=self._acknowledged,
            entries=self._entries,
            history=history,
        )

    # --- what they are told ----------------------------------------------------------------

    async def hear(self) -> None:
        """Take in what the server tells, until the client ends."""
        async for event in self._client.events():
            if isinstance(event, Reset):
                raise Stuck(f"{self.name} was told that the log is another: {event}")
            if isinstance(event, Entry):
                self._entries.append(event)
            self._tell(self.conversation.apply(event))
            self._marker.received(self.conversation.received)

    async def follow_line(self) -> None:
        """Take in how the connection is, until the client ends."""
        async for state in self._client.states():
            is_online = state is State.ONLINE
            conversation = self.conversation
            self._tell(conversation.went_online() if is_online else conversation.went_offline())

    async def keep_marks(self) -> None:
        """Tell the server what was received and read, until cancelled."""
        await self._marker.run()

    def _tell(self, changes: Sequence[Change]) -> None:
        for change in changes:
            if isinstance(change, _OUTLINE) or not self.is_outlined:
                self._show(change)
        self._bell.ring()

    def _show(self, change: Change) -> None:
        match change:
            case Said(message):
                # My own was shown when I said it.
                if message.sender != self.name:
                    text = text_of(message.body)
                    self._show_message(str(message.seq), message.sender, text)
            case _:
                self._stage.tell(self.name, Text(words.tell(change), _style_of(change)))

    def _show_message(self, number: str, sender: str, text: str, mark: str = "") -> None:
        style = "bold" if sender == self.name else f"bold {self._colour}"
        head = f"{number:>{_NUMBER_CELLS - 2}}  "
        drawn = Text.assemble((head, "dim"), (f"{sender}  ", style), text, (mark, "dim"))
        self._stage.tell(self.name, drawn, indent=len(head) + len(sender) + 2)


def _style_of(change: Change) -> str:
    match change:
        case MarksMoved(_, _, is_read) if is_read:
            return "cyan"
        case TypingChanged():
            return "dim italic"
        case Lost():
            return "yellow"
        case Back():
            return "green"
        case _:
            return "dim"


@asynccontextmanager
async def open_person(
    name: str, url: str, *, token: Callable[[], str], colour: str, stage: Stage
) -> AsyncIterator[Person]:
    """Have somebody connected for the length of a block.

    Args:
        name: who.
        url: the server.
        token: makes what proves who they are.
        colour: of the other one's name.
        stage: where their screen is shown.
    """
    async with connect(url, token=token, backoff=_BACKOFF) as client:
        person = Person(name, colour, client, stage)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(person.hear)
            nursery.start_soon(person.follow_line)
            nursery.start_soon(person.keep_marks)
            yield person
            nursery.cancel_scope.cancel()
