"""What the sequencer tells the hub of what it has committed."""

from typing import Protocol

from .._model.entries import Fact, Record


class Sink(Protocol):
    """Where committed records go: the hub."""

    def offer(self, record: Record) -> None:
        """Take one committed record."""
        ...

    def reseat(self, room: str, fact: Fact) -> None:
        """Take a membership that changed without an entry."""
        ...

    def revoked(self, room: str, acl_ver: int, seq: int | None) -> None:
        """Know that somebody loses a right, decided on `acl_ver`, by the entry `seq` if any."""
        ...

    def deleted(self, room: str) -> None:
        """Know that a room is no more."""
        ...

    def missed(self, room: str) -> None:
        """Look for entries of the room that were stored without being offered."""
        ...
