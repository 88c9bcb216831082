"""Three small tasks that keep the server told: what I got and read, whom I watch, that I type."""

import logging
from collections.abc import Callable, Iterable
from typing import Final, final

from triolet._model.errors import Refusal
from triolet._model.events import PresenceRow
from triolet.client import Client

from .bell import Bell

_log = logging.getLogger("triolet.chat")

# People whose presence is watched: the members of one room that a screen could list.
WATCHED_MAX: Final = 200


@final
class Marker:
    """Moves my marks: delivered for what came, read for what was shown; the latest of each."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._room = ""
        self._wished = (0, 0)
        self._bell = Bell()

    def turn_to(self, room: str) -> None:
        """Begin with another room."""
        self._room, self._wished = room, (0, 0)

    def received(self, seq: int) -> None:
        """What came up to `seq` has been received."""
        self._wish(max(seq, self._wished[0]), self._wished[1])

    def shown(self, seq: int) -> None:
        """What came up to `seq` has been shown."""
        self._wish(max(seq, self._wished[0]), max(seq, self._wished[1]))

    def _wish(self, delivered: int, read: int) -> None:
        if self._room and (delivered, read) != self._wished:
            self._wished = (delivered, read)
            self._bell.ring()

    async def run(self) -> None:
        """Tell the server, until cancelled."""
        told_room, told = "", (0, 0)
        while True:
            await self._bell.wait()
            room, (delivered, read) = self._room, self._wished
            if room != told_room:
                told_room, told = room, (0, 0)
            if delivered > told[0] or read > told[1]:
                await self._tell(room, delivered, read if read > told[1] else None)
                told = (delivered, read)

    async def _tell(self, room: str, delivered: int, read: int | None) -> None:
        try:
            await self._client.receipt(room, delivered=delivered, read=read)
        except Refusal as refusal:
            # Who was just put out of a room has nothing to mark there; `Closed` tells them.
            _log.debug("a mark was refused: %s", refusal)


@final
class Watcher:
    """Watches the people one meets.

    Args:
        client: the connection.
        on_seen: takes how they are.
    """

    def __init__(self, client: Client, on_seen: Callable[[tuple[PresenceRow, ...]], None]) -> None:
        self._client = client
        self._on_seen = on_seen
        self._watched: dict[str, None] = {}
        self._new: dict[str, None] = {}
        self._bell = Bell()

    def meet(self, users: Iterable[str]) -> None:
        """Watch these people too, as long as there is room for more."""
        for user in users:
            if user not in self._watched and len(self._watched) < WATCHED_MAX:
                self._watched[user] = self._new[user] = None
                self._bell.ring()

    async def run(self) -> None:
        """Ask the server, until cancelled; it tells changes by itself."""
        while True:
            await self._bell.wait()
            new, self._new = self._new, {}
            try:
                found = await self._client.watch(new)
            except Refusal as refusal:
                # Strangers, to the server; they are shown without presence.
                _log.debug("watching was refused: %s", refusal)
            else:
                self._on_seen(found.users)


@final
class Typist:
    """Says that I am typing, and that I have stopped."""

    def __init__(self, client: Client) -> None:
        self._client = client
        # Where a message is being written, None: nowhere; and what the server was told.
        self._wished: str | None = None
        self._told: str | None = None
        self._bell = Bell()

    def typed(self, room: str, text: str) -> None:
        """Take the line as it is now; commands are nobody's business."""
        is_message = bool(text.strip()) and not text.startswith("/")
        self._wished = room if room and is_message else None
        if self._wished is not None or self._told is not None:
            self._bell.ring()

    def sent(self) -> None:
        """A message left, which ends typing by itself."""
        self._wished = self._told = None

    async def run(self) -> None:
        """Tell the server, until cancelled; the client tells it at most every 2 s."""
        while True:
            await self._bell.wait()
            room, told, self._told = self._wished, self._told, self._wished
            if told is not None and told != room:
                await self._type(told, on=False)
            if room is not None:
                await self._type(room, on=True)

    async def _type(self, room: str, *, on: bool) -> None:
        try:
            await self._client.typing(room, on=on)
        except Refusal as refusal:
            # Readers of a channel, say, do not write there: they are told when they try.
            _log.debug("typing was refused: %s", refusal)
