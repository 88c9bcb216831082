"""Laws of `_domain.cursor`: a subscription's life as a table."""

from triolet._domain.cursor import TRANSITIONS, CursorEvent, CursorState


def test_each_state_answers_each_event() -> None:
    """The table is total: no `KeyError` waits for a rare order of events."""
    assert set(TRANSITIONS) == set(CursorState)
    for row in TRANSITIONS.values():
        assert set(row) == set(CursorEvent)


def test_closed_is_terminal() -> None:
    """Nothing opens a closed cursor again: a page that comes late is thrown away."""
    assert set(TRANSITIONS[CursorState.CLOSED].values()) == {CursorState.CLOSED}


def test_the_end_comes_from_everywhere() -> None:
    """ENDED closes, whatever the state."""
    assert {row[CursorEvent.ENDED] for row in TRANSITIONS.values()} == {CursorState.CLOSED}


def test_live_and_behind_change_into_each_other() -> None:
    """Overflow demotes, the head promotes, and saying so twice changes nothing."""
    for state in (CursorState.LIVE, CursorState.BEHIND):
        assert TRANSITIONS[state][CursorEvent.OVERFLOWED] is CursorState.BEHIND
        assert TRANSITIONS[state][CursorEvent.REACHED_HEAD] is CursorState.LIVE
