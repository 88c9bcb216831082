"""Laws of `_domain.presence`: a presence's life as a table, and what others see of it."""

from itertools import product
from typing import get_args

import pytest

from triolet._domain.presence import TRANSITIONS, PresenceEvent, PresenceState, shown
from triolet._model.commands import Status
from triolet._model.events import VisibleStatus

KEPT = ["", "dnd", "invisible"]
SHOWN: list[VisibleStatus] = list(get_args(VisibleStatus))
SESSIONS: list[list[Status]] = [[], ["away"], ["online"], ["away", "online"], ["online", "away"]]


def test_each_state_answers_each_event() -> None:
    """The table is total: no `KeyError` waits for a rare order of events."""
    assert set(TRANSITIONS) == set(PresenceState)
    for row in TRANSITIONS.values():
        assert set(row) == set(PresenceEvent)


def test_a_session_makes_one_present_from_everywhere() -> None:
    """SESSION_OPENED leads to HERE, also out of a grace."""
    opened = {row[PresenceEvent.SESSION_OPENED] for row in TRANSITIONS.values()}

    assert opened == {PresenceState.HERE}


def test_offline_comes_through_a_grace_only() -> None:
    """A page reload does not flicker: the end of the last session never means offline."""
    to_offline = [
        (state, event)
        for state, row in TRANSITIONS.items()
        for event, after in row.items()
        if after is PresenceState.OFFLINE and state is not PresenceState.OFFLINE
    ]

    assert to_offline == [(PresenceState.GRACE, PresenceEvent.GRACE_OVER)]
    assert TRANSITIONS[PresenceState.HERE][PresenceEvent.LAST_SESSION_ENDED] is PresenceState.GRACE


def test_a_stale_grace_changes_nothing() -> None:
    """A grace that ends after a session came back leaves it here."""
    assert TRANSITIONS[PresenceState.HERE][PresenceEvent.GRACE_OVER] is PresenceState.HERE


def test_the_invisible_look_offline() -> None:
    """Privacy holds in every state, also in a grace that began while they were visible."""
    for state, sessions, before in product(PresenceState, SESSIONS, SHOWN):
        assert shown(state, kept="invisible", sessions=sessions, before=before) == "offline"


def test_who_is_not_here_is_offline() -> None:
    """Whatever was wished or shown before, offline is offline."""
    for kept, sessions, before in product(KEPT, SESSIONS, SHOWN):
        state = PresenceState.OFFLINE
        assert shown(state, kept=kept, sessions=sessions, before=before) == "offline"


def test_a_grace_shows_what_was_shown() -> None:
    """Nobody sees that the sessions are gone until the grace is over."""
    for kept, before in product(["", "dnd"], SHOWN):
        assert shown(PresenceState.GRACE, kept=kept, sessions=[], before=before) == before


def test_dnd_is_the_users_wish() -> None:
    """It outlives sessions and outdoes them."""
    for sessions, before in product(SESSIONS, SHOWN):
        assert shown(PresenceState.HERE, kept="dnd", sessions=sessions, before=before) == "dnd"


@pytest.mark.parametrize(
    ("sessions", "expected"),
    [
        (["online"], "online"),
        (["away"], "away"),
        (["away", "online", "away"], "online"),
        (["away", "away"], "away"),
    ],
)
@pytest.mark.parametrize("before", SHOWN)
def test_the_best_session_wins(
    sessions: list[Status], expected: VisibleStatus, before: VisibleStatus
) -> None:
    """Online at the phone is online; sessions may come as any iterable, read once."""
    state = PresenceState.HERE

    assert shown(state, kept="", sessions=iter(sessions), before=before) == expected
