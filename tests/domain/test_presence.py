"""Laws of `_domain.presence`: a presence's life as a table, and what others see of it."""

from itertools import product
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain.presence import (
    LEASE_TRANSITIONS,
    TRANSITIONS,
    LeaseEvent,
    LeaseState,
    PresenceEvent,
    PresenceState,
    Told,
    combined,
    shown,
    wish,
)
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


# --- several nodes -------------------------------------------------------------------------

TOLD = st.builds(
    Told,
    st.sampled_from(["online", "away"]),
    st.booleans(),
    st.sampled_from(KEPT),
    st.integers(0, 3),
)
laws = settings(max_examples=200, derandomize=True, database=None)


def test_a_lease_that_has_lapsed_is_taken_anew_and_never_renewed() -> None:
    """ABSENT becomes HELD by TAKEN alone: a late RENEWED of the old one changes nothing."""
    becomes_held = [
        (state, event)
        for state, row in LEASE_TRANSITIONS.items()
        for event, after in row.items()
        if after is LeaseState.HELD and state is not LeaseState.HELD
    ]

    assert becomes_held == [(LeaseState.ABSENT, LeaseEvent.TAKEN)]
    assert LEASE_TRANSITIONS[LeaseState.HELD][LeaseEvent.LAPSED] is LeaseState.ABSENT
    # The bus may be back before the lease has lapsed.
    assert LEASE_TRANSITIONS[LeaseState.HELD][LeaseEvent.FAILED] is LeaseState.HELD
    assert set(LEASE_TRANSITIONS[LeaseState.LEFT].values()) == {LeaseState.LEFT}


@laws
@given(st.lists(TOLD, max_size=4), st.randoms())
def test_all_nodes_see_the_same_in_whatever_order_they_heard(told: list[Told], chance) -> None:
    """What is seen does not depend on the order of the words."""
    shuffled = chance.sample(told, len(told))

    assert combined(shuffled) == combined(told)
    found, again = wish(told), wish(shuffled)
    assert (found and found.kept) == (again and again.kept)


@laws
@given(st.lists(TOLD, min_size=1, max_size=4))
def test_the_latest_wish_holds_for_all_nodes(told: list[Told]) -> None:
    """Of two at the same moment the more private one."""
    latest = max(one.kept_at for one in told)
    wishes = [one.kept for one in told if one.kept_at == latest]
    seen = combined(told)

    assert (seen == "offline") == ("invisible" in wishes)
    assert (seen == "dnd") == ("invisible" not in wishes and "dnd" in wishes)


@laws
@given(st.lists(TOLD, min_size=1, max_size=4))
def test_sessions_outdo_graces_and_the_best_of_them_wins(told: list[Told]) -> None:
    """A grace shows what was shown, until there is a session anywhere."""
    told = [Told(one.status, one.is_grace, "", 0) for one in told]
    here = [one.status for one in told if not one.is_grace] or [one.status for one in told]

    assert combined(told) == ("online" if "online" in here else "away")


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("sessions", [one for one in SESSIONS if one])
def test_a_node_alone_sees_what_one_of_many_would(sessions: list[Status], kept: str) -> None:
    """`combined` of one is `shown`, here and through the grace that follows."""
    best: Status = "online" if "online" in sessions else "away"
    here = shown(PresenceState.HERE, kept=kept, sessions=sessions, before="offline")
    grace = shown(PresenceState.GRACE, kept=kept, sessions=[], before=here)

    assert combined([Told(best, False, kept, 0)]) == here
    assert combined([Told(best, True, kept, 0)]) == grace
    assert combined([]) == shown(PresenceState.OFFLINE, kept=kept, sessions=[], before=here)
