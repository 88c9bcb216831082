"""Revocations in memory, for every hello asks for one: a thread that reads the file costs more.

This process alone writes the file (`files.sole_server`), so what its one writing thread has
committed is all there is. All changes are made in that thread, also when whoever asked for
them has been cancelled meanwhile.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final, final

from ...ports.people import Revocation

# About 150 bytes each; with more of them, each question is one to the file.
REVOCATIONS_MAX: Final = 100_000


@final
class Revocations:
    """What the file holds, as long as that is known and not too much."""

    def __init__(self, *, most: int = REVOCATIONS_MAX) -> None:
        self._most = most
        # `not_before` by subject, ms; None: not known at present.
        self._of: dict[str, int] | None = None
        # Until some are forgotten, so that they are not read again to find that out.
        self._has_too_many = False

    def known(self, *subjects: str) -> int | None:
        """Return the greatest `not_before` in ms, 0 if nothing is revoked; None: ask the file."""
        of = self._of
        return None if of is None else max(of.get(one, 0) for one in subjects)

    # --- in the writer's thread ----------------------------------------------------------

    def load(self, connection: sqlite3.Connection) -> None:
        """Read all of them, unless there are too many."""
        rows = connection.execute(
            "SELECT user, not_before FROM revocations LIMIT ?", (self._most + 1,)
        ).fetchall()
        self._has_too_many = len(rows) > self._most
        self._of = None if self._has_too_many else dict(rows)

    def keep(self, connection: sqlite3.Connection, revocation: Revocation) -> None:
        """Take one that has been committed; the greatest of a subject wins."""
        of, subject = self._of, revocation.subject
        if of is not None and (subject in of or len(of) < self._most):
            of[subject] = max(of.get(subject, 0), revocation.not_before)
        elif not self._has_too_many:
            self.load(connection)

    def forget(self, connection: sqlite3.Connection, subjects: Sequence[str]) -> None:
        """Let go of what has been removed, and it was committed."""
        of = self._of
        if of is None:
            self.load(connection)
            return
        for subject in subjects:
            of.pop(subject, None)

    def doubt(self) -> None:
        """One failed, and may be stored all the same: the file is asked until they are read."""
        self._of = None
