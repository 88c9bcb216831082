"""Folding: a page of history is what the log up to its head folds to, for whoever reads it.

A fold of its own, on digests, written from the protocol and not from the engine's.
"""

from itertools import islice
from typing import Final, final

from ..history import Folded, FoldedRow, Logged, Trace
from .logs import Log, Logs
from .promises import Findings, Rule

# As the protocol has it.
_USERS_MAX: Final = 10
_EMOJIS_MAX: Final = 50


@final
class _Message:
    """One message while it is being folded; `is_known`: its present body is."""

    __slots__ = ("body", "edited_at", "entry", "erased", "is_known", "reactions")

    def __init__(self, entry: Logged) -> None:
        self.entry = entry
        self.edited_at = 0
        self.erased = False
        self.reactions: dict[str, dict[str, None]] = {}
        self.says(entry.fact)

    def says(self, fact: Trace) -> None:
        """Take a body; who learned of an entry after its deletion never knew it."""
        self.body = fact.body
        self.is_known = not fact.erased

    def change(self, entry: Logged) -> None:
        """Apply an edit, a deletion or a reaction."""
        fact = entry.fact
        if fact.kind == "edit":
            self.edited_at = entry.at
            if not self.erased:
                self.says(fact)
        elif fact.kind == "delete":
            self.erased, self.body, self.is_known = True, "", True
        elif fact.on:
            self.reactions.setdefault(fact.emoji, {}).setdefault(entry.sender)
        else:
            users = self.reactions.get(fact.emoji, {})
            users.pop(entry.sender, None)
            if not users:
                self.reactions.pop(fact.emoji, None)

    def row(self, like: FoldedRow) -> FoldedRow:
        """Return how it reads; a body that is not known is taken to be that of `like`."""
        entry = self.entry
        return FoldedRow(
            seq=entry.seq,
            n=entry.n,
            at=entry.at,
            sender=entry.sender,
            cid=entry.cid,
            body=self.body if self.is_known else like.body,
            about=entry.fact.about,
            edited_at=self.edited_at,
            erased=self.erased,
            reactions=tuple(
                (emoji, len(users), tuple(islice(users, _USERS_MAX)))
                for emoji, users in islice(sorted(self.reactions.items()), _EMOJIS_MAX)
            ),
        )


@final
class Folding:
    """Remembers all pages that were read, and folds the logs once they are known."""

    def __init__(self, findings: Findings, logs: Logs) -> None:
        self._findings = findings
        self._logs = logs
        self._pages: dict[tuple[str, str], list[Folded]] = {}

    def folded(self, event: Folded) -> None:
        """Somebody read a page."""
        self._pages.setdefault((event.room, event.epoch), []).append(event)

    def finish(self) -> None:
        """Judge, once the logs are known."""
        for (room, epoch), pages in self._pages.items():
            log = self._logs.log(room)
            if log.floor == 0 and (log.stored is None or log.stored.epoch == epoch):
                pages.sort(key=lambda page: page.head)
                self._judge(log, epoch, pages)

    def _judge(self, log: Log, epoch: str, pages: list[Folded]) -> None:
        """Fold a log once, and compare each page when its head is reached.

        A log that is not known from its first entry on says nothing: an edit may be missing.
        """
        view = log.view(epoch)
        messages: dict[int, _Message] = {}
        done = 0
        for page in pages:
            for seq in range(done + 1, page.head + 1):
                if seq not in view:
                    return
                _apply(messages, view[seq][0])
            done = page.head
            self._findings.judge(Rule.FOLD_EQUALS_LOG)
            self._compare(log, page, messages)

    def _compare(self, log: Log, page: Folded, messages: dict[int, _Message]) -> None:
        rows = {row.seq: row for row in page.messages}
        if list(rows) != sorted(rows):
            self._add(log, page, 0, "its messages are in another order")
        for seq in range(page.after + 1, min(page.upto, page.head) + 1):
            message, row = messages.get(seq), rows.pop(seq, None)
            if message is None and row is None:
                continue
            if message is None:
                self._add(log, page, seq, f"there is no message {seq}")
            elif row is None:
                self._add(log, page, seq, f"message {seq} is missing")
            elif message.row(row) != row:
                self._add(log, page, seq, f"message {seq} reads otherwise: {_differ(message, row)}")
        for seq in rows:
            self._add(log, page, seq, f"message {seq} is none of those asked for")

    def _add(self, log: Log, page: Folded, seq: int, why: str) -> None:
        known = log.view(page.epoch).get(seq)
        self._findings.add(
            Rule.FOLD_EQUALS_LOG,
            (page.client, page.room, page.head, seq),
            f"{page.client} read {page.room} as of {page.head}: {why}",
            None if known is None else known[1],
            page,
        )


def _apply(messages: dict[int, _Message], entry: Logged) -> None:
    fact = entry.fact
    if fact.kind == "message":
        messages[entry.seq] = _Message(entry)
    elif fact.target in messages:
        messages[fact.target].change(entry)


def _differ(message: _Message, row: FoldedRow) -> str:
    expected = message.row(row)
    return ", ".join(
        f"{name} {getattr(row, name)!r} instead of {getattr(expected, name)!r}"
        for name in FoldedRow.__struct_fields__
        if getattr(row, name) != getattr(expected, name)
    )
