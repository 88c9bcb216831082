"""The newest entries, in memory: where they are in the log, before `places` and `cids` know.

Entries gather in a window; a full one is folded into the tables by and by, while the next one
gathers. A folded window is kept until the next one is folded, for readers whose snapshot is a
little old. The writer's thread owns all of it; readers hold a `View`, whose lists only grow,
and take from it what their own snapshot of `heads` covers.

Everything here follows from `log` and `store.indexed`: after a rollback it is thrown away and
read again.
"""

import sqlite3
from typing import Final, NamedTuple, TypeAlias, final

from .rows import MESSAGE

# Entries of one window. With 16,384 instead of 8,192 a third less is written (1.2 KB a message
# over 200 rooms) and the CPU falls by a tenth; with 32,768 little more. A window takes about
# 5 MB, and 25 ms to read when the store is opened.
WINDOW_ENTRIES: Final = 16_384

# Where a cid's first record is: seq, at, op. A plain tuple is made in 0.05 µs, a Struct in 0.12.
First: TypeAlias = tuple[int, int, str]

MESSAGES: Final = 0
OTHERS: Final = 1


@final
class Lane:
    """Seqs and log ids of one room's messages, or of its other entries, side by side."""

    __slots__ = ("ids", "seqs")

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.seqs: list[int] = []


@final
class Tail:
    """One room's part of a window."""

    __slots__ = ("cids", "lanes", "messages", "others")

    def __init__(self) -> None:
        self.messages = Lane()
        self.others = Lane()
        self.lanes = (self.messages, self.others)
        self.cids: dict[str, First] = {}


@final
class Window:
    """Entries next to each other in the log, by room id."""

    __slots__ = ("count", "first_id", "last_id", "tails")

    def __init__(self, first_id: int) -> None:
        self.first_id = first_id
        self.last_id = first_id - 1
        self.count = 0
        self.tails: dict[int, Tail] = {}

    def tail(self, room_id: int) -> Tail:
        """Return a room's part, made when it is the first time."""
        tail = self.tails.get(room_id)
        if tail is None:
            tail = self.tails[room_id] = Tail()
        return tail


class View(NamedTuple):
    """What a reader may see: every entry after `dropped_upto`, in windows, oldest first."""

    dropped_upto: int
    windows: tuple[Window, ...]


@final
class Recent:
    """The windows: one gathering, perhaps one being folded, perhaps one folded."""

    def __init__(self) -> None:
        self.filling = Window(1)
        self.folding: Window | None = None
        self.view = View(0, (self.filling,))

    def load(self, connection: sqlite3.Connection) -> None:
        """Begin anew from what the tables say is not folded yet."""
        (indexed,) = connection.execute("SELECT indexed FROM store").fetchone()
        window = Window(indexed + 1)
        for log_id, room_id, seq, kind, key, at, op in connection.execute(
            "SELECT id, room_id, seq, kind, sender || ' ' || cid, at, op FROM log "
            "WHERE id > ? ORDER BY id",
            (indexed,),
        ):
            tail = window.tail(room_id)
            lane = tail.messages if kind == MESSAGE else tail.others
            lane.ids.append(log_id)
            lane.seqs.append(seq)
            if op is not None:
                tail.cids[key] = (seq, at, op)
            window.count += 1
            window.last_id = log_id
        self.filling, self.folding = window, None
        self.view = View(indexed, (window,))

    def rotate(self) -> Window:
        """Have the gathering window folded, and gather in a new one."""
        window = self.folding = self.filling
        self.filling = Window(window.last_id + 1)
        dropped_upto, windows = self.view
        self.view = View(dropped_upto, (*windows, self.filling))
        return window

    def folded(self) -> None:
        """Know that the window is in the tables: the one before it may go."""
        window = self.folding
        assert window is not None, "a window was being folded"
        self.folding = None
        self.view = View(window.first_id - 1, (window, self.filling))

    def first(self, room_id: int, key: str) -> First | None:
        """Return what a cid became, if the tables may not know it yet."""
        found = None
        tail = self.filling.tails.get(room_id)
        if tail is not None:
            found = tail.cids.get(key)
        if found is None and self.folding is not None:
            tail = self.folding.tails.get(room_id)
            if tail is not None:
                found = tail.cids.get(key)
        return found
