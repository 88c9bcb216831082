"""Laws of `_domain.receipts`: marks only move forward, and never beyond the head."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._domain.receipts import Marks, advance
from triolet._model.errors import ErrorCode, Refusal

laws = settings(derandomize=True, deadline=None, max_examples=100)

SEQ = st.integers(0, 20)
MARKS = st.tuples(SEQ, SEQ).map(lambda pair: Marks(max(pair), min(pair)))
# What one receipt says: at least one of the two.
SAID = st.tuples(st.none() | SEQ, st.none() | SEQ).filter(lambda said: said != (None, None))
Said = tuple[int | None, int | None]


def after(marks: Marks, said: Said, head: int) -> Marks:
    return advance(marks, delivered=said[0], read=said[1], head=head)


@laws
@given(MARKS, SAID, SEQ)
def test_marks_only_move_forward(marks: Marks, said: Said, head: int) -> None:
    """A late or repeated receipt takes nothing back."""
    moved = after(marks, said, head)

    assert moved.delivered >= marks.delivered
    assert moved.read >= marks.read


@laws
@given(MARKS, SAID, SEQ)
def test_marks_are_clamped_to_the_head(marks: Marks, said: Said, head: int) -> None:
    """Nobody has read what does not exist; a mark that stood further stays."""
    moved = after(marks, said, head)

    assert moved.delivered <= max(marks.delivered, head)
    assert moved.read <= max(marks.read, head)


@laws
@given(MARKS, SAID, SEQ)
def test_a_mark_gets_where_it_was_asked_to(marks: Marks, said: Said, head: int) -> None:
    """Each mark reaches the lesser of what was said and the head."""
    moved = after(marks, said, head)

    assert moved.delivered >= min(said[0] or 0, head)
    assert moved.read == max(marks.read, min(said[1] or 0, head))


@laws
@given(MARKS, SAID, SEQ)
def test_who_read_a_message_has_got_it(marks: Marks, said: Said, head: int) -> None:
    """`read` ≤ `delivered`, before and after; and `delivered` moves no further than needed."""
    moved = after(marks, said, head)

    assert moved.read <= moved.delivered
    assert moved.delivered in (marks.delivered, min(said[0] or 0, head), moved.read)


@laws
@given(MARKS, SAID, SEQ)
def test_saying_it_twice_is_saying_it_once(marks: Marks, said: Said, head: int) -> None:
    """A client repeats its marks on every resubscribe."""
    once = after(marks, said, head)

    assert after(once, said, head) == once


@laws
@given(MARKS, SAID, SAID, SEQ)
def test_the_order_of_receipts_does_not_matter(
    marks: Marks, one: Said, other: Said, head: int
) -> None:
    """Two devices of a user race, and end at the same marks."""
    assert after(after(marks, one, head), other, head) == after(
        after(marks, other, head), one, head
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ((None, 0), Marks(0, 0)),
        ((0, None), Marks(0, 0)),
        ((None, 1), Marks(1, 1)),
        ((1, None), Marks(1, 0)),
        ((3, 1), Marks(3, 1)),
        ((1, 3), Marks(3, 3)),
        ((9, 9), Marks(5, 5)),
    ],
)
def test_a_first_receipt_moves_what_it_names(said: Said, expected: Marks) -> None:
    """From nothing, with the head at 5."""
    assert after(Marks(0, 0), said, 5) == expected


def test_a_receipt_says_something() -> None:
    """Neither mark given: refused as a mistake of the client."""
    with pytest.raises(Refusal) as caught:
        advance(Marks(1, 1), delivered=None, read=None, head=5)

    assert caught.value.code is ErrorCode.INVALID_FIELD
