"""Triolet's log, filled before anybody comes, and those who read in it: pages and resumes.

Room r holds messages 1 … M after its one first entry, in the order in which all rooms were
written in turn; message m of it says so, and lies at seq m + 1.
"""

import random
from typing import Final, Literal, NamedTuple, final

import msgspec
from msgspec import Struct, field

from ..errors import Unexpected
from ..load.asking import Asker
from ..load.frames import BINARY, masked
from . import Step
from .triolet_crowd import Entry, read

AUTHOR: Final = "author"
# Entries of a room before its messages: who made it.
BASE: Final = 1
# A message's text, with its number in front.
_TEXT_BYTES: Final = 100
_FILLING: Final = "hello there, this is a chat message " * 3

_encode: Final = msgspec.msgpack.Encoder().encode


def room_name(room: int) -> str:
    """Return what a room is called."""
    return f"log-{room:03d}"


def text_at(room: int, message: int) -> str:
    """Return what a message says.

    >>> text_at(1, 23)[:12]
    '1.23 hello t'
    """
    return f"{room}.{message} {_FILLING}"[:_TEXT_BYTES]


def cid_of(message: int) -> str:
    """Return a message's cid."""
    return f"{message:x}"


class Log(NamedTuple):
    """What is filled in.

    Attributes:
        rooms: how many.
        messages: of each of them.
    """

    rooms: int
    messages: int

    @property
    def head(self) -> int:
        """The last seq of each room."""
        return BASE + self.messages


@final
class _Body(Struct, frozen=True, forbid_unknown_fields=True):
    text: str


@final
class _Folded(Struct, frozen=True, forbid_unknown_fields=True):
    seq: int
    n: int
    at: int
    cid: str
    body: _Body
    sender: str = field(name="from")
    reactions: dict[str, object] = field(default_factory=dict)


@final
class _Page(Struct, frozen=True, tag="ok", tag_field="op", forbid_unknown_fields=True):
    ref: int
    messages: tuple[_Folded, ...]
    more: bool
    as_of: tuple[str, int]


_read_page: Final = msgspec.msgpack.Decoder(_Page).decode


@final
class PageReader(Asker):
    """See `Asker`: a question is a page of history, at a place of its own choice."""

    is_settled = True

    def __init__(self, log: Log, count: int, seed: int) -> None:
        self._log = log
        self._count = min(count, log.messages)
        self._chance = random.Random(seed)
        # The room, and the number of the page's last message.
        self._room = self._last = self._ref = 0

    def prepare(self) -> list[Step]:
        """Return what is said once, before the load: nothing."""
        return []

    def ask(self) -> bytes:
        """See `Asker.ask`."""
        self._ref += 1
        self._room = self._chance.randrange(self._log.rooms)
        self._last = self._chance.randint(self._count, self._log.messages)
        command = {
            "op": "history",
            "ref": self._ref,
            "room": room_name(self._room),
            "before": BASE + self._last + 1,
            "limit": self._count,
        }
        return masked(BINARY, _encode(command))

    def take(self, payload: bytes) -> bool:
        """See `Asker.take`."""
        try:
            page = _read_page(payload)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unexpected(f"{error}: {payload[:200]!r}") from None
        first = self._last - self._count + 1
        if (page.ref, page.more, page.as_of[1]) != (self._ref, first > 1, self._log.head):
            raise Unexpected(f"no page that ends with {self._last}: {page}")
        expected = range(first, self._last + 1)
        for number, one in zip(expected, page.messages, strict=False):
            _judge(self._room, number, (one.seq, one.cid, one.sender, one.body.text))
        if len(page.messages) != self._count:
            raise Unexpected(f"{len(page.messages)} messages instead of {self._count}")
        return True


@final
class _Subscribed(Struct, frozen=True, tag="ok", tag_field="op"):
    ref: int
    epoch: str
    head: int
    recovered: bool
    room: str


@final
class _Done(Struct, frozen=True, tag="ok", tag_field="op"):
    ref: int


_read_subscribed: Final = msgspec.msgpack.Decoder(_Subscribed).decode
_read_done: Final = msgspec.msgpack.Decoder(_Done).decode


@final
class Resumer(Asker):
    """See `Asker`: a question is a `subscribe` from so many entries before the head.

    It is answered once the last of them has come; then the room is left again.
    """

    is_settled = True

    def __init__(self, log: Log, behind: int, seed: int) -> None:
        self._log = log
        self._behind = min(behind, log.messages)
        self._chance = random.Random(seed)
        self._epoch = ""
        self._room = self._ref = 0
        # What comes next: the acknowledgement of leaving, of coming, then entries.
        self._next: Literal["left", "subscribed", "entries"] = "subscribed"
        self._at = 0

    def ask(self) -> bytes:
        """See `Asker.ask`."""
        left = b""
        if self._ref:
            self._ref += 1
            left = self._frame("unsubscribe")
        self._next = "left" if left else "subscribed"
        self._room = self._chance.randrange(self._log.rooms)
        self._at = self._log.head - self._behind
        self._ref += 1
        return left + self._frame("subscribe", since=(self._epoch, self._at))

    def _frame(self, op: str, **fields: object) -> bytes:
        command = {"op": op, "ref": self._ref, "room": room_name(self._room)}
        return masked(BINARY, _encode(command | fields))

    def prepare(self) -> list[Step]:
        """Return what finds out the log's epoch, without which nobody resumes."""

        def is_told(payload: bytes) -> bool:
            self._epoch = _read_subscribed(payload).epoch
            return True

        def is_left(payload: bytes) -> bool:
            return _read_done(payload).ref == 0

        return [Step(self._frame("subscribe"), is_told), Step(self._frame("unsubscribe"), is_left)]

    def take(self, payload: bytes) -> bool:
        """See `Asker.take`."""
        try:
            if self._next == "entries":
                return self._take_entry(payload)
            if self._next == "left":
                self._judge_left(_read_done(payload))
            else:
                self._judge_subscribed(_read_subscribed(payload))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Unexpected(f"{error}: {payload[:200]!r}") from None
        return False

    def _judge_left(self, found: _Done) -> None:
        if found.ref != self._ref - 1:
            raise Unexpected(f"leaving was answered: {found}")
        self._next = "subscribed"

    def _judge_subscribed(self, found: _Subscribed) -> None:
        expected = (self._ref, room_name(self._room), self._log.head, True)
        if (found.ref, found.room, found.head, found.recovered) != expected:
            raise Unexpected(f"a resume from {self._at} was answered: {found}")
        self._next = "entries"

    def _take_entry(self, payload: bytes) -> bool:
        found = read(payload)
        if found is None:
            return False
        if not isinstance(found, Entry) or found.room != room_name(self._room):
            raise Unexpected(f"no entry of {room_name(self._room)}: {found}")
        self._at += 1
        if found.seq != self._at:
            raise Unexpected(f"an entry at {found.seq} instead of {self._at}")
        _judge(self._room, self._at - BASE, (found.seq, found.cid, found.sender, found.body.text))
        return self._at == self._log.head


def _judge(room: int, number: int, found: tuple[int, str, str, str]) -> None:
    """Judge the seq, cid, sender and text of a message."""
    if found != (BASE + number, cid_of(number), AUTHOR, text_at(room, number)):
        raise Unexpected(f"message {number} of room {room} is {found}")
