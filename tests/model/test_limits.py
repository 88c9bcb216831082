"""Laws of `_model.limits`: each bound is positive, or says what its zero means; units last."""

import inspect
import re

import pytest
from msgspec import structs

from triolet._model.limits import Limits

LIMITS = Limits()
FIELDS = [field.name for field in structs.fields(Limits)]
# Seconds, counts, bytes, rates a second, days, entries: the last word says which.
UNITS = r"_(s|ms|max|rate|burst|days|entries|bytes_high|bytes_low|factor)"
# Zero means something, and the comment says what.
MAY_BE_ZERO = ["dedupe_days", "retention_days", "retention_entries", "lb_delay_s", "service_factor"]


def comments() -> dict[str, str]:
    """The comment above each field; fields that stand together share the one above them."""
    found, comment, was_comment = {}, "", False
    for line in inspect.getsource(Limits).splitlines():
        text = line.strip()
        is_comment = text.startswith("# ") and not text.startswith("# ---")
        if is_comment:
            comment = f"{comment} {text[2:]}" if was_comment else text[2:]
        elif not text or text.startswith("# ---"):
            comment = ""
        elif match := re.match(r"(\w+): (?:int|float) =", text):
            found[match[1]] = comment
        was_comment = is_comment
    return found


@pytest.mark.parametrize("name", FIELDS)
def test_the_unit_comes_last(name: str) -> None:
    """A reader of a setting needs no other page to know what its number counts."""
    assert re.search(UNITS + r"\Z", name)


@pytest.mark.parametrize("name", FIELDS)
def test_a_bound_is_positive(name: str) -> None:
    """A bound of zero or less is none, but for those few whose zero is documented."""
    value = getattr(LIMITS, name)

    assert value == 0 if name in MAY_BE_ZERO else value > 0


@pytest.mark.parametrize("name", FIELDS)
def test_a_bound_has_its_reason(name: str) -> None:
    """Above each number a comment says why it is what it is, or what it bounds."""
    assert len(comments()[name]) > 20


@pytest.mark.parametrize("name", MAY_BE_ZERO)
def test_a_zero_is_explained(name: str) -> None:
    """`0: …` in the comment says what zero means."""
    assert "0: " in comments()[name]


@pytest.mark.parametrize(
    ("less", "more"),
    [
        # A body and its frame; a signal is a body.
        ("body_bytes_max", "message_bytes_max"),
        ("signal_bytes_max", "body_bytes_max"),
        # An outbox calms down before it is full.
        ("outbox_bytes_low", "outbox_bytes_high"),
        # One page, or one message, does not overflow an outbox that was empty.
        ("message_bytes_max", "outbox_bytes_high"),
        ("page_bytes_max", "outbox_bytes_high"),
        # What is early fits into the gap it waits for; a gap fits into the ring.
        ("early_max", "gap_max"),
        ("gap_max", "ring_entries_max"),
        # A message fits into a batch, a batch into what may wait.
        ("message_bytes_max", "batch_bytes_max"),
        ("batch_bytes_max", "pending_bytes_max"),
        # A stalled peer is found after it missed a heartbeat, a gap before a head check.
        ("heartbeat_s", "stall_s"),
        ("gap_wait_s", "head_check_s"),
        # Told to everybody in small rooms only; the feed's rooms are the larger of the two.
        ("receipts_members_max", "feed_members_max"),
        ("feed_members_max", "entry_joins_members_max"),
        # A rate's burst is at least a second's worth.
        ("commands_rate", "commands_burst"),
        ("signals_rate", "signals_burst"),
        ("hellos_rate", "hellos_burst"),
    ],
)
def test_bounds_agree(less: str, more: str) -> None:
    """A bound that lies inside another is not the greater of the two."""
    assert getattr(LIMITS, less) <= getattr(LIMITS, more)


def test_limits_are_values() -> None:
    """Frozen and equal by value: who wants others makes others."""
    assert Limits(grace_s=2) == structs.replace(LIMITS, grace_s=2)
    with pytest.raises(AttributeError):
        LIMITS.grace_s = 3  # type: ignore[misc]
