"""Deletions: a deleted body is gone from the store and from all that is sent later on.

And what is gone was deleted: nothing else takes a body away.
"""

from typing import final

from ..history import Event, Seen, Stored, Subscribed
from .logs import Log, Logs
from .promises import Findings, Rule


@final
class Erasing:
    """Remembers which bodies were still told, and to whom they may no longer have been."""

    def __init__(self, findings: Findings, logs: Logs) -> None:
        self._findings = findings
        self._logs = logs
        # Room → seq → the latest head at which a cursor was granted that was told its body.
        self._told: dict[str, dict[int, tuple[int, Seen]]] = {}
        self._erased: dict[tuple[str, int], Event] = {}
        self._stored: dict[tuple[str, int], Stored] = {}

    def seen(self, event: Seen, start: Subscribed) -> None:
        """An entry came on a cursor that was granted at some head."""
        entry = event.entry
        if entry.fact.erased:
            self._erased.setdefault((event.room, entry.seq), event)
        elif entry.fact.body and entry.seq <= start.head:
            told = self._told.setdefault(event.room, {})
            if entry.seq not in told or told[entry.seq][0] < start.head:
                told[entry.seq] = (start.head, event)

    def stored(self, event: Stored) -> None:
        """The store has these entries in the end."""
        for entry in event.entries:
            if entry.fact.erased:
                self._erased.setdefault((event.room, entry.seq), event)
            elif entry.fact.body:
                self._stored[event.room, entry.seq] = event

    def finish(self) -> None:
        """Judge, once the logs are known."""
        for log in self._logs.rooms.values():
            self._judge(log)

    def _judge(self, log: Log) -> None:
        final = log.final()
        deletions: dict[int, tuple[int, Event]] = {}
        for seq in sorted(final):
            entry, event = final[seq]
            if entry.fact.kind == "delete":
                deletions.setdefault(entry.fact.target, (seq, event))
        for seq, (entry, _) in final.items():
            if entry.fact.kind not in ("message", "edit"):
                continue
            target = seq if entry.fact.kind == "message" else entry.fact.target
            deletion = deletions.get(target)
            if deletion is not None:
                self._deleted(log, seq, *deletion)
            elif log.floor < target:
                self._kept(log, seq)

    def _deleted(self, log: Log, seq: int, by: int, event: Event) -> None:
        self._findings.judge(Rule.DELETED_IS_GONE)
        stored = self._stored.get((log.room, seq))
        head, told = self._told.get(log.room, {}).get(seq, (0, None))
        if stored is None and head < by:
            return
        where = "is in the store" if stored is not None else "was told again"
        self._findings.add(
            Rule.DELETED_IS_GONE,
            (log.room, seq),
            f"{log.room} {seq} was deleted at {by}, and its body {where}",
            event,
            told if head >= by else None,
            stored,
        )

    def _kept(self, log: Log, seq: int) -> None:
        self._findings.judge(Rule.ERASED_BY_DELETION)
        erased = self._erased.get((log.room, seq))
        if erased is not None:
            self._findings.add(
                Rule.ERASED_BY_DELETION,
                (log.room, seq),
                f"{log.room} {seq} has no body any more, and nobody deleted it",
                erased,
            )
