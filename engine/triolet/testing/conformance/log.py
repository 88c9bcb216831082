"""The scripted server's room: a log as PROTOCOL.md describes it, with what scenes need of it."""

from collections.abc import Callable
from typing import Final, TypeAlias, final

from msgspec import Struct

# A message of the wire, decoded.
Map: TypeAlias = dict[str, object]

ROOM: Final = "tea"
USER: Final = "anna"
OTHER: Final = "ben"
# When the first entry was written (ms); each later one is a second younger.
_BEGAN_AT: Final = 1_700_000_000_000


@final
class Line(Struct, frozen=True):
    """One message of the log."""

    seq: int
    text: str
    sender: str
    cid: str

    def entry(self) -> Map:
        """Return the map that is on the wire."""
        return {
            "op": "entry",
            "room": ROOM,
            "seq": self.seq,
            "n": self.seq,
            "kind": "message",
            "from": self.sender,
            "at": _BEGAN_AT + 1000 * self.seq,
            "cid": self.cid,
            "body": {"text": self.text},
        }

    def folded(self) -> Map:
        """Return the map that a page of history has."""
        entry = {key: value for key, value in self.entry().items() if key not in _ENTRY_ONLY}
        return {**entry, "reactions": {}}


_ENTRY_ONLY: Final = ("op", "room", "kind")


@final
class Log:
    """A room's log of messages only, so that `n` is `seq`."""

    def __init__(self) -> None:
        self.epoch = "first"
        self.floor = 0
        self.lines: list[Line] = []
        # Told of each new line.
        self.listeners: list[Callable[[Line], None]] = []

    @property
    def head(self) -> int:
        """The last seq, 0 when there is none."""
        return len(self.lines)

    def append(self, text: str, *, sender: str = OTHER, cid: str = "", tell: bool = True) -> Line:
        """Write a message, and tell it to those who listen."""
        seq = self.head + 1
        line = Line(seq, text, sender, cid or f"{sender}-{seq}")
        self.lines.append(line)
        if tell:
            for listener in self.listeners:
                listener(line)
        return line

    def find(self, cid: str) -> Line | None:
        """Return the client's message with this cid, if it is stored."""
        return next((one for one in self.lines if (one.sender, one.cid) == (USER, cid)), None)

    def after(self, seq: int) -> list[Line]:
        """Return what comes after a position."""
        return self.lines[seq:]

    def fork(self, seq: int) -> None:
        """Lose what is above `seq`, and begin a new epoch, as a restored backup does."""
        del self.lines[seq:]
        self.epoch += "'"

    @property
    def texts(self) -> list[tuple[int, str]]:
        """Who has read everything shows this."""
        return [(line.seq, line.text) for line in self.lines if line.seq > self.floor]
