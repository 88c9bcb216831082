"""Laws of `_domain.inbox`: unread is derived from the log, so no counter can drift."""

from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain.inbox import unread

laws = settings(derandomize=True, deadline=None, max_examples=100)

# A log as booleans: is the entry at this seq a message?
LOGS = st.lists(st.booleans(), max_size=30)
SEQS = st.integers(0, 30)


def n_at(log: list[bool], seq: int) -> int:
    """Messages up to `seq`."""
    return sum(log[:seq])


def unread_in(log: list[bool], *, read: int, floor: int) -> int:
    n = sum(log)
    return unread(n, read_n=n_at(log, read), floor_n=n_at(log, floor))


@laws
@given(LOGS, SEQS, SEQS)
def test_unread_counts_the_messages_above_the_mark_and_the_floor(
    log: list[bool], read: int, floor: int
) -> None:
    """It is what one would count by hand: messages, not entries, that can still be read."""
    counted = sum(is_message for is_message in log[max(read, floor) :])

    assert unread_in(log, read=read, floor=floor) == counted


@laws
@given(LOGS, SEQS, SEQS, SEQS)
def test_reading_on_and_pruning_only_lower_it(
    log: list[bool], read: int, floor: int, more: int
) -> None:
    """Marks and floors move forward, and unread never rises by that."""
    before = unread_in(log, read=read, floor=floor)

    assert unread_in(log, read=read + more, floor=floor) <= before
    assert unread_in(log, read=read, floor=floor + more) <= before


@laws
@given(LOGS, SEQS, SEQS, st.booleans())
def test_an_entry_raises_it_by_one_if_it_is_a_message(
    log: list[bool], read: int, floor: int, is_message: bool
) -> None:
    """Edits, deletions, reactions and joins do not count."""
    read, floor = min(read, len(log)), min(floor, len(log))
    before = unread_in(log, read=read, floor=floor)

    assert unread_in([*log, is_message], read=read, floor=floor) == before + is_message


@laws
@given(st.integers(0, 2**53), st.integers(0, 2**53), st.integers(0, 2**53))
def test_unread_is_bounded(n: int, read_n: int, floor_n: int) -> None:
    """0 ≤ unread ≤ n, whatever the marks claim."""
    assert 0 <= unread(n, read_n=read_n, floor_n=floor_n) <= n
