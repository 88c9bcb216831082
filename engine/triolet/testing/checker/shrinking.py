"""Counter-examples: the fewest events of a history that still break the same promise.

A smaller history is taken only if the checker finds *the same* violation in it: the rule and
the key, which names positions, places and people. So nothing is shown that the whole history
does not show: leaving out an entry makes another gap, but not this one.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Final, final

import msgspec

from ..history import Event, Fault, Opened, Stored
from .judging import Checker
from .promises import Bounds, Violation

# Smaller histories are tried until so many events have been judged, about 20 s.
EVENTS_MAX: Final = 2_000_000


@final
class _Search:
    """Asks the checker whether a part of a history still breaks the same promise."""

    def __init__(self, violation: Violation, bounds: Bounds, events_max: int) -> None:
        self._violation = violation
        self._bounds = bounds
        self.left = events_max

    def breaks(self, events: Sequence[Event]) -> bool:
        """Whether the violation is there."""
        self.left -= len(events)
        checker = Checker(self._bounds, sought=self._violation)
        for event in events:
            checker.take(event)
        return not checker.finish().holds


def counter_example(
    events: Sequence[Event],
    violation: Violation,
    bounds: Bounds | None = None,
    *,
    events_max: int = EVENTS_MAX,
) -> list[Event]:
    """Return the shortest part of a history that can be found to break the same promise.

    Args:
        events: the history in which `check` found the violation, with the same `bounds`.
        violation: which one to show.
        bounds: those of `check`.
        events_max: how much to try: judge at most so many events, in all attempts together.
    """
    search = _Search(violation, bounds or Bounds(), events_max)
    found = next((part for part in _closures(events, violation) if search.breaks(part)), None)
    if found is None:
        # Found in the whole history; more than it can be asked of.
        return list(events)
    found = _without_clients(found, search)
    found = _minimised(found, search.breaks, lambda: search.left > 0)
    return _trimmed(found, violation, search)


def _closures(events: Sequence[Event], violation: Violation) -> Iterator[list[Event]]:
    """Yield parts that may be enough, the smallest first, the whole last."""
    evidence = {id(event) for event in violation.evidence}
    clients = {event.client for event in violation.evidence if event.client}
    rooms = {getattr(event, "room", "") for event in violation.evidence} - {""}
    opened = [event for event in events if isinstance(event, Opened)]

    def about(event: Event) -> bool:
        return getattr(event, "room", "") in rooms or isinstance(event, Opened | Fault)

    yield [event for event in events if id(event) in evidence or event in opened]
    yield [event for event in events if about(event) and event.client in (*clients, "")]
    yield [event for event in events if about(event)]
    yield list(events)


def _without_clients(events: list[Event], search: _Search) -> list[Event]:
    for client in sorted({event.client for event in events if event.client}):
        if search.left <= 0:
            break
        fewer = [event for event in events if event.client != client]
        if search.breaks(fewer):
            events = fewer
    return events


def _minimised(
    events: list[Event],
    breaks: Callable[[Sequence[Event]], bool],
    may_go_on: Callable[[], bool],
) -> list[Event]:
    """Leave out halves, quarters, … single events, as long as that changes nothing (ddmin)."""
    size = max(1, len(events) // 2)
    while True:
        start, is_smaller = 0, False
        while start < len(events) and may_go_on():
            fewer = events[:start] + events[start + size :]
            if fewer and breaks(fewer):
                events, is_smaller = fewer, True
            else:
                start += size
        if not may_go_on() or (size == 1 and not is_smaller):
            return events
        if size > 1:
            size //= 2


def _trimmed(events: list[Event], violation: Violation, search: _Search) -> list[Event]:
    """Show of a stored log only what is about the violation, and one entry on each side."""
    seqs = [part for part in violation.key if isinstance(part, int)]
    for index, event in enumerate(events):
        if isinstance(event, Stored):
            near = tuple(
                entry for entry in event.entries if any(abs(entry.seq - seq) <= 1 for seq in seqs)
            )
            shorter = msgspec.structs.replace(event, entries=near)
            fewer = [*events[:index], shorter, *events[index + 1 :]]
            if search.breaks(fewer):
                events = fewer
    return events
