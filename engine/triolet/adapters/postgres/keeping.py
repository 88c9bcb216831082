"""Marks and people, as the columns that are written: in one order, so that no nodes deadlock."""

from collections.abc import Sequence
from typing import Final

from msgspec.structs import replace

from ...ports.people import Person
from ...ports.store import Mark
from .kinds import INT8, INT8S, TEXT, TEXTS
from .statement import Statement

# What is written here may be written twice: an answer that is lost is asked for again by whoever
# needs it.
PUT_MARKS: Final = Statement(
    "SELECT triolet.put_marks($1, $2, $3, $4, $5)", TEXTS, TEXTS, INT8S, INT8S, INT8S, writes=True
)
PUT_PEOPLE: Final = Statement(
    "SELECT triolet.put_people($1, $2, $3)", TEXTS, TEXTS, INT8S, writes=True
)
SHOW_TO: Final = Statement("SELECT triolet.show_to($1, $2)", TEXT, TEXT, writes=True)
FORGET: Final = Statement("SELECT triolet.forget($1)", TEXT, writes=True)
REVOKE: Final = Statement("SELECT triolet.revoke($1, $2)", TEXT, INT8, writes=True)
FORGET_REVOCATIONS: Final = Statement(
    "SELECT triolet.forget_revocations($1, $2)", INT8, INT8, writes=True
)


def marks_columns(marks: Sequence[Mark]) -> list[list[object]]:
    """Return columns of marks, the greatest of each member."""
    merged: dict[tuple[str, str], Mark] = {}
    for mark in marks:
        kept = merged.get((mark.room, mark.user), mark)
        further = kept if kept.read >= mark.read else mark
        delivered = max(kept.delivered, mark.delivered)
        merged[mark.room, mark.user] = replace(further, delivered=delivered)
    rows = [(m.room, m.user, m.delivered, m.read, m.read_n) for m in merged.values()]
    return [list(column) for column in zip(*rows, strict=True)]


def people_columns(people: Sequence[Person]) -> list[list[object]]:
    """Return columns of people, the latest status and the greatest `last_seen` of each."""
    merged: dict[str, Person] = {}
    for person in people:
        kept = merged.get(person.user, person)
        last_seen = max(kept.last_seen, person.last_seen)
        merged[person.user] = Person(person.user, person.status, last_seen)
    rows = [(user, p.status, p.last_seen) for user, p in sorted(merged.items())]
    return [list(column) for column in zip(*rows, strict=True)]
