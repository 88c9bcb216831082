"""What must hold in the end, whatever happened between: pure, from what both people remember."""

from collections import Counter
from collections.abc import Sequence
from typing import Final, final

from msgspec import Struct

from triolet._model.entries import Entry, FoldedMessage, Message

# Faults told one by one; a server that loses everything need not fill the screen.
_TOLD_MAX: Final = 5


@final
class Evidence(Struct, frozen=True, kw_only=True):
    """What one person remembers.

    Attributes:
        name: who.
        start: the place from which they followed the room.
        said: the `cid` of every message they wrote, and its text.
        acknowledged: where the server said each is, by `cid`.
        entries: what they were told live, in the order of telling.
        history: the whole room as the server tells it in the end.
    """

    name: str
    start: int
    said: dict[str, str]
    acknowledged: dict[str, int]
    entries: Sequence[Entry]
    history: Sequence[FoldedMessage]


@final
class Row(Struct, frozen=True):
    """One line of the table: what was counted, and a figure for each person."""

    label: str
    figures: tuple[int, ...]


@final
class Verdict(Struct, frozen=True):
    """The table, and what is wrong; nothing was lost if nothing is."""

    rows: tuple[Row, ...]
    faults: tuple[str, ...]


def judge(people: Sequence[Evidence]) -> Verdict:
    """Return what the evidence shows.

    Nothing was lost, if: every message was acknowledged; each that was is in the history
    exactly once, where the acknowledgement said; everybody was told every entry once, in one
    order, without a gap; and all histories are the same.
    """
    faults: list[str] = []
    for person in people:
        faults += _unacknowledged(person)
        for witness in people:
            faults += _misplaced(person, witness)
        faults += _gaps(person)
        faults += _untold(person)
    faults += _disagreements(people)
    return Verdict(tuple(_table(people)), _shorten(faults))


def _table(people: Sequence[Evidence]) -> list[Row]:
    counts = [Counter(message.cid for message in person.history) for person in people]
    pairs = list(zip(people, counts, strict=True))
    return [
        Row("messages written", tuple(len(person.said) for person in people)),
        Row("acknowledged", tuple(len(person.acknowledged) for person in people)),
        Row(
            "of these in the history",
            tuple(sum(cid in count for cid in person.acknowledged) for person, count in pairs),
        ),
        Row(
            "more than once",
            tuple(sum(count[cid] > 1 for cid in person.acknowledged) for person, count in pairs),
        ),
        Row("entries told live, in order", tuple(len(person.entries) for person in people)),
    ]


def _unacknowledged(person: Evidence) -> list[str]:
    missing = [text for cid, text in person.said.items() if cid not in person.acknowledged]
    return [f"{person.name}: never acknowledged: “{text}”" for text in missing]


def _misplaced(person: Evidence, witness: Evidence) -> list[str]:
    """Look for what `person` was acknowledged in the history that `witness` fetched."""
    places: dict[str, list[int]] = {}
    for message in witness.history:
        if message.sender == person.name:
            places.setdefault(message.cid, []).append(message.seq)
    faults = []
    for cid, seq in person.acknowledged.items():
        found = places.get(cid, [])
        if found != [seq]:
            where = f"at {found}" if found else "nowhere"
            text = person.said.get(cid, cid)
            faults.append(f"{person.name}: “{text}” was acknowledged at {seq} and is {where}")
    return faults


def _gaps(person: Evidence) -> list[str]:
    faults, expected = [], person.start + 1
    for entry in person.entries:
        if entry.seq != expected:
            faults.append(f"{person.name}: was told {entry.seq} where {expected} was due")
        expected = entry.seq + 1
    return faults


def _untold(person: Evidence) -> list[str]:
    told = [entry.cid for entry in person.entries if isinstance(entry.fact, Message)]
    kept = [message.cid for message in person.history if message.seq > person.start]
    if told == kept:
        return []
    return [f"{person.name}: was told {len(told)} messages live, the history has {len(kept)}"]


def _disagreements(people: Sequence[Evidence]) -> list[str]:
    first, *others = people
    faults = []
    for other in others:
        start = max(first.start, other.start)
        both = [[entry for entry in one.entries if entry.seq > start] for one in (first, other)]
        if both[0] != both[1]:
            faults.append(f"{first.name} and {other.name} were told different entries")
        # Reactions are told from each one's own side (`mine`), so messages are compared by hand.
        kept = [
            [(message.seq, message.sender, message.cid, message.body) for message in one.history]
            for one in (first, other)
        ]
        if kept[0] != kept[1]:
            faults.append(f"{first.name} and {other.name} have different histories")
    return faults


def _shorten(faults: list[str]) -> tuple[str, ...]:
    rest = len(faults) - _TOLD_MAX
    return (*faults[:_TOLD_MAX], *([f"and {rest} more"] if rest > 0 else []))
