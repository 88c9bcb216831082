"""What a run showed: figures from its history and its outcome, as a table."""

from collections.abc import Iterable, Sequence
from math import ceil
from typing import final

from msgspec import Struct
from rich.table import Table

from .. import history
from ..checker import Promise, Verdict
from .campaign import Outcome


@final
class Figures(Struct, kw_only=True):
    """What is counted in a history.

    Attributes:
        clients: how many there were.
        acked: acknowledgements by the server, of durable requests.
        duplicates: those that said: it was stored before.
        repeated: requests said again under the same cid.
        refused: requests that were refused for good.
        seen: entries given to applications.
        connections: welcomes.
        back_s: from each loss of a connection to the next welcome of that client, sorted.
    """

    clients: int = 0
    acked: int = 0
    duplicates: int = 0
    repeated: int = 0
    refused: int = 0
    seen: int = 0
    connections: int = 0
    back_s: list[float]


def count(events: Iterable[history.Event]) -> Figures:
    """Count what is in a history."""
    found = Figures(back_s=[])
    said: dict[tuple[str, str], None] = {}
    lost_at: dict[str, float] = {}
    # Those of the wire are what the client made these of.
    theirs: dict[tuple[str, int], None] = {}
    for event in events:
        match event:
            case history.Opened():
                found.clients += 1
            case history.Sent():
                key = event.client, event.cid
                found.repeated += key in said
                said[key] = None
            case history.Acked():
                found.acked += 1
                found.duplicates += event.duplicate
            case history.Refused():
                found.refused += 1
            case history.Subscribed(wire=False):
                theirs[event.client, event.sub] = None
            case history.Seen():
                found.seen += (event.client, event.sub) in theirs
            case history.Disconnected() if event.conn:
                # Tries that end before their welcome are part of the way back.
                lost_at.setdefault(event.client, event.t)
            case history.Connected():
                found.connections += 1
                if event.client in lost_at:
                    found.back_s.append(event.t - lost_at.pop(event.client))
            case _:
                pass
    found.back_s.sort()
    return found


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the value below which so many percent of sorted `values` are; 0 of none.

    >>> percentile([1, 2, 3, 4], 50), percentile([1, 2, 3, 4], 99), percentile([], 50)
    (2, 4, 0)
    """
    if not values:
        return 0
    return values[max(0, ceil(len(values) * percent / 100) - 1)]


def rows(figures: Figures, outcome: Outcome) -> list[tuple[str, str]]:
    """Return the table's lines, what and how much."""
    downs_s = sorted(outcome.downs_s)
    found = [
        ("cycles", f"{outcome.cycles} in {outcome.seconds:.0f} s"),
        ("faults", ", ".join(f"{n} {name}" for name, n in outcome.struck.items()) or "none"),
        ("clients", f"{figures.clients}, {figures.connections} connections"),
        ("acknowledged", f"{figures.acked}, {figures.duplicates} of them stored before"),
        ("asked again", f"{figures.repeated}"),
        ("refused", f"{figures.refused}"),
        ("entries told", f"{figures.seen}"),
        ("client back", _times(figures.back_s)),
    ]
    if downs_s:
        found.append(("process away", _times(downs_s)))
    for name, after in outcome.after.items():
        before = outcome.before[name]
        if before is not None and after is not None:
            found += [
                (f"{name}: sockets", f"{before.sockets} → {after.sockets}"),
                (f"{name}: files", f"{before.files} → {after.files}"),
                (f"{name}: threads", f"{before.threads} → {after.threads}"),
                (f"{name}: MiB", f"{before.resident_kib >> 10} → {after.resident_kib >> 10}"),
            ]
    return found


def wrongs(verdict: Verdict) -> str:
    """Return how often what a user would call lost, repeated or reordered was found.

    >>> from triolet.testing.checker import Rule
    >>> wrongs(Verdict((), {}, {Rule.SEEN_ONCE: 2, Rule.NO_GHOST: 1}, 9))
    '0 lost, 2 repeated, 0 out of order, 1 else'
    """
    found = dict.fromkeys((Promise.STORED, Promise.ONCE, Promise.ORDER), 0)
    others = 0
    for rule, times in verdict.found.items():
        if rule.promise in found:
            found[rule.promise] += times
        else:
            others += times
    lost, repeated, reordered = found.values()
    return f"{lost} lost, {repeated} repeated, {reordered} out of order, {others} else"


def _times(values_s: Sequence[float]) -> str:
    p50, p99 = percentile(values_s, 50), percentile(values_s, 99)
    return f"{p50:.2f} s p50, {p99:.2f} s p99, {len(values_s)} times"


def table(lines: Iterable[tuple[str, str]]) -> Table:
    """Return it as rich shows it."""
    shown = Table(show_header=False, box=None)
    for name, value in lines:
        shown.add_row(name, value)
    return shown
