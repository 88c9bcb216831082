"""Laws of `_domain.session`: a session's life as a table, and how a refused hello ends."""

import pytest

from triolet._domain.session import (
    CLOSE_OF_REFUSED_HELLO,
    TRANSITIONS,
    SessionEvent,
    SessionState,
)
from triolet._model.errors import CloseCode, ErrorCode

ORDER = [SessionState.OPENING, SessionState.OPEN, SessionState.CLOSING, SessionState.ENDED]


def test_each_state_answers_each_event() -> None:
    """The table is total: no `KeyError` waits for a rare order of events."""
    assert set(TRANSITIONS) == set(SessionState) == set(ORDER)
    for row in TRANSITIONS.values():
        assert set(row) == set(SessionEvent)


def test_ended_is_terminal() -> None:
    """Nothing revives a session that has ended."""
    assert set(TRANSITIONS[SessionState.ENDED].values()) == {SessionState.ENDED}


def test_a_session_never_goes_back() -> None:
    """Opening, open, closing, ended: no event leads to an earlier state."""
    for state, row in TRANSITIONS.items():
        for after in row.values():
            assert ORDER.index(after) >= ORDER.index(state)


@pytest.mark.parametrize("state", ORDER[:3])
def test_a_lost_connection_ends_a_session_at_once(state: SessionState) -> None:
    """GONE leads to ENDED from everywhere: there is nobody left to say farewell to."""
    assert TRANSITIONS[state][SessionEvent.GONE] is SessionState.ENDED


def test_only_an_opening_session_is_admitted() -> None:
    """ADMITTED opens from OPENING; a closing one stays closed to it."""
    admitted = {state: row[SessionEvent.ADMITTED] for state, row in TRANSITIONS.items()}

    assert admitted == {
        SessionState.OPENING: SessionState.OPEN,
        SessionState.OPEN: SessionState.OPEN,
        SessionState.CLOSING: SessionState.CLOSING,
        SessionState.ENDED: SessionState.ENDED,
    }


def test_a_close_is_written_once() -> None:
    """CLOSE leads to CLOSING once; closing twice is closing."""
    assert TRANSITIONS[SessionState.OPENING][SessionEvent.CLOSE] is SessionState.CLOSING
    assert TRANSITIONS[SessionState.OPEN][SessionEvent.CLOSE] is SessionState.CLOSING
    assert TRANSITIONS[SessionState.CLOSING][SessionEvent.CLOSE] is SessionState.CLOSING


@pytest.mark.parametrize(
    ("refused", "close"),
    [
        # Come back with another token.
        (ErrorCode.TOKEN_EXPIRED, 4002),
        # Stop.
        (ErrorCode.BANNED, 4003),
        (ErrorCode.UNAUTHENTICATED, 4001),
        (ErrorCode.TOKEN_INVALID, 4001),
        # Come back later.
        (ErrorCode.TOO_MANY_SESSIONS, 4029),
        (ErrorCode.RATE_LIMITED, 4029),
        # Come back: it is not the client's doing.
        (ErrorCode.STORE_UNAVAILABLE, 1012),
        (ErrorCode.SHUTTING_DOWN, 1012),
        (ErrorCode.INTERNAL, 1011),
    ],
)
def test_a_refused_hello_ends_as_it_must(refused: ErrorCode, close: int) -> None:
    """A client stops only when its identity is at fault, and it cannot mend it."""
    assert CLOSE_OF_REFUSED_HELLO.get(refused, CloseCode.UNAUTHENTICATED) == close


def test_every_close_is_one_of_the_protocols() -> None:
    """The table holds known codes only."""
    for close in CLOSE_OF_REFUSED_HELLO.values():
        assert close in list(CloseCode)
