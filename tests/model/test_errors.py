"""Laws of `_model.errors`: codes are stable, distinct and named; the tree is as drawn."""

import re

import pytest

from triolet._model import errors
from triolet._model.errors import (
    Close,
    CloseCode,
    ConnectionClosed,
    ErrorCode,
    OutcomeUnknown,
    Refusal,
    StoreUnavailable,
    TrioletError,
)

# The protocol's list, by hand: a code that changes here breaks every client there is.
ERRORS = {
    1001: "unauthenticated",
    1002: "token_expired",
    1003: "token_invalid",
    1004: "banned",
    1005: "captcha_required",
    2001: "malformed",
    2002: "unknown_op",
    2003: "invalid_field",
    2004: "too_large",
    2005: "hello_required",
    3001: "forbidden",
    3002: "no_such_room",
    3003: "not_a_member",
    3004: "no_such_entry",
    3005: "already_exists",
    4001: "rate_limited",
    4002: "too_many_rooms",
    4003: "too_many_sessions",
    5001: "store_unavailable",
    5002: "shutting_down",
    5003: "internal",
    5004: "outcome_unknown",
}
CLOSES = {
    1000: "BYE",
    1002: "PROTOCOL_ERROR",
    1003: "UNSUPPORTED_DATA",
    1007: "INVALID_DATA",
    1008: "POLICY_VIOLATION",
    1009: "TOO_BIG",
    1011: "INTERNAL",
    1012: "DRAINING",
    4001: "UNAUTHENTICATED",
    4002: "TOKEN_EXPIRED",
    4003: "BANNED",
    4008: "TOO_SLOW",
    4009: "NO_HELLO",
    4029: "TOO_MANY",
}


def test_error_codes_are_the_protocols() -> None:
    """Each code has its reason, and there are no others."""
    assert {code.value: code.reason for code in ErrorCode} == ERRORS


def test_close_codes_are_the_protocols() -> None:
    """Each close code has its name, and there are no others."""
    assert {code.value: code.name for code in CloseCode} == CLOSES


@pytest.mark.parametrize("codes", [ErrorCode, CloseCode])
def test_no_code_has_two_names(codes: type[ErrorCode | CloseCode]) -> None:
    """`__members__` holds aliases too: there are none."""
    assert len(codes.__members__) == len(list(codes))


def test_a_family_is_the_first_digit() -> None:
    """1xxx identity, 2xxx the request, 3xxx permission and state, 4xxx limits, 5xxx ours."""
    assert sorted({code // 1000 for code in ErrorCode}) == [1, 2, 3, 4, 5]


def test_a_client_stops_on_two_closes_only() -> None:
    """4001 and 4003 are final; after every other close a client comes back."""
    assert [code.value for code in CloseCode if code.is_final] == [4001, 4003]


def test_the_tree_is_as_drawn() -> None:
    """The docstring's tree and the classes are the same, parents included."""
    drawn: dict[str, str] = {"TrioletError": "Exception"}
    path = ["TrioletError"]
    for line in (errors.__doc__ or "").splitlines():
        branch = re.match(r"    ((?:│   |    )*)[├└]── (\w+)", line)
        if branch:
            depth = len(branch[1]) // 4 + 1
            path[depth:] = [branch[2]]
            drawn[branch[2]] = path[depth - 1]
    found = {
        kind.__name__: kind.__base__.__name__
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, BaseException)
    }

    assert found == drawn


def test_a_refusal_says_its_reason_when_it_has_no_words() -> None:
    """The message is never empty; `str` names the code, the reason and the message."""
    bare, told = Refusal(ErrorCode.NO_SUCH_ROOM), Refusal(ErrorCode.FORBIDDEN, "not here")

    assert (bare.message, bare.retry_after_ms) == ("no such room", None)
    assert str(bare) == "3002 no_such_room: no such room"
    assert str(told) == "3001 forbidden: not here"
    assert Refusal(ErrorCode.RATE_LIMITED, retry_after_ms=5).retry_after_ms == 5


def test_other_errors_carry_what_their_reader_needs() -> None:
    """When to come back, and how a connection ended."""
    assert StoreUnavailable("down").retry_after_ms == 1000
    assert StoreUnavailable("down", retry_after_ms=7).retry_after_ms == 7
    assert str(OutcomeUnknown("lost")) == "lost"
    assert str(ConnectionClosed(4001, "unauthenticated")) == "closed with 4001 unauthenticated"
    assert str(ConnectionClosed(1006)) == "closed with 1006"
    assert (ConnectionClosed(4002, "x").code, ConnectionClosed(4002, "x").reason) == (4002, "x")
    assert Close(1000) == Close(1000, "")


def test_one_root_catches_all() -> None:
    """Whatever Triolet raises on purpose is a `TrioletError`, and that is an Exception."""
    assert issubclass(TrioletError, Exception)
    for error in (Refusal(ErrorCode.BANNED), StoreUnavailable("x"), ConnectionClosed(1000)):
        assert isinstance(error, TrioletError)
