"""The notifier: who is to be told of what was committed, though they may not be looking.

The engine rings it, once for each fact, on the node that committed it. What it hears is a
doorbell: a node that dies between the commit and the ring has rung nobody, so whoever must not
miss anything looks at the store for what was committed about that time (`Store.active_rooms`).
"""

from collections.abc import Sequence
from typing import Protocol

from .._model.entries import Fact
from .store import Mark


class Notifier(Protocol):
    """See the module."""

    def committed(self, room: str, sender: str, fact: Fact, seq: int, at: int) -> None:
        """Take what is stored, after everybody who is connected here was handed it.

        Called in the engine's thread, within the turn of a batch: it must neither wait, nor
        raise, nor take more than a few microseconds.

        Args:
            room: where.
            sender: who wrote it.
            fact: what; of several in one draft, each is told.
            seq: its place in the room's log.
            at: when (ms).
        """
        ...

    def read(self, marks: Sequence[Mark]) -> None:
        """Take marks that the store has now, of members who got further on any node.

        Called at most once a second for all that moved here, and for what other nodes tell; as
        `committed`, it must neither wait nor raise. What other nodes wrote may not be told.
        """
        ...
