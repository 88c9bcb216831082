"""Following: each entry once and in order, whatever the wire does; positions move as told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from triolet._model.events import Reset, Subscription
from triolet.client._following import TRANSITIONS, Following, Phase, Step, Verdict


def row(**fields):
    known = {
        "room": "r",
        "epoch": "e1",
        "head": 0,
        "floor": 0,
        "role": "member",
        "recovered": True,
        "unread": 0,
        "read": 0,
        "members": 2,
        "typing": (),
    }
    return Subscription(**{**known, **fields})


def following(head=0):
    made = Following()
    made.grant(row(head=head), None, is_rebase=False)
    return made


def judge(made, seq, *, has_space=True):
    return made.judge("r", seq, has_space=has_space)


def test_table_is_total():
    assert set(Phase) == set(TRANSITIONS)
    for steps in TRANSITIONS.values():
        assert set(Step) == set(steps)


@given(st.lists(st.one_of(st.integers(1, 12), st.sampled_from(["drop", "full", "lost"]))))
def test_delivered_entries_are_contiguous_and_once(moves):
    """Numbers are entries that arrive, in any order; the rest is trouble, after which it asks."""
    made = following()
    delivered = []
    for move in moves:
        if move == "lost":
            made.lost()
        elif move == "drop":
            for followed in made.held():
                followed.step(Step.DRAINED)
        elif judge(made, 1 if move == "full" else move, has_space=move != "full") is Verdict.NEXT:
            delivered.append(move)
        for _, epoch, seq in made.ask():
            assert (epoch, seq) == ("e1", len(delivered))
            made.grant(row(head=12), (epoch, seq), is_rebase=False)

    assert list(range(1, len(delivered) + 1)) == delivered
    assert made.position("r") == ("e1", len(delivered))


def test_only_entries_move_a_position():
    made = following(head=5)

    assert Verdict.NEXT is judge(made, 6)
    made.grant(row(head=99), ("e1", 6), is_rebase=False)

    assert made.position("r") == ("e1", 6)


def test_entries_had_before_are_dropped():
    made = following(head=5)

    assert [judge(made, seq) for seq in (5, 4, 1)] == [Verdict.DUPLICATE] * 3


def test_gap_is_asked_for_from_the_position_and_entries_until_then_are_ignored():
    made = following(head=5)

    assert Verdict.GAP is judge(made, 8)
    assert made.ask() == [("r", "e1", 5)]
    assert Verdict.STRAY is judge(made, 9)
    made.grant(row(head=9), ("e1", 5), is_rebase=False)
    assert Verdict.NEXT is judge(made, 6)


def test_second_gap_with_nothing_between_is_stuck():
    made = following(head=5)
    judge(made, 8)
    made.ask()
    made.grant(row(head=9), ("e1", 5), is_rebase=False)

    assert Verdict.STUCK is judge(made, 8)


def test_gap_after_progress_is_a_gap_again():
    made = following(head=5)
    judge(made, 8)
    made.ask()
    made.grant(row(head=9), ("e1", 5), is_rebase=False)
    judge(made, 6)

    assert Verdict.GAP is judge(made, 8)


def test_entries_of_rooms_not_followed_are_strays():
    assert Verdict.STRAY is judge(Following(), 1)


def test_held_room_waits_for_space_through_a_lost_connection():
    made = following(head=5)

    assert Verdict.HELD is judge(made, 6, has_space=False)
    made.lost()
    assert made.ask() == []
    (held,) = made.held()
    held.step(Step.DRAINED)
    assert made.ask() == [("r", "e1", 5)]


def test_new_epoch_of_a_prefix_is_taken_silently():
    """Positions after it are of the new epoch; there is nothing to drop."""
    made = following(head=5)

    assert made.grant(row(epoch="e2", head=9), ("e1", 5), is_rebase=False) is None
    assert made.position("r") == ("e2", 5)


@pytest.mark.parametrize("recovered", [True, False])
def test_fork_moves_the_position_back_and_tells(recovered):
    made = following(head=9)
    forked = row(epoch="e2", head=20, since=("e1", 7), recovered=recovered)

    reset = made.grant(forked, ("e1", 9), is_rebase=False)

    assert Reset(room="r", epoch="e2", head=20, since=("e1", 7)) == reset
    assert made.position("r") == ("e2", 7)
    assert Verdict.NEXT is judge(made, 8)


def test_since_that_takes_nothing_back_is_no_reset():
    made = following(head=9)

    assert made.grant(row(head=9, since=("e1", 9)), ("e1", 9), is_rebase=False) is None
    assert made.position("r") == ("e1", 9)


def test_unrecovered_goes_on_from_the_head_and_tells():
    made = following(head=9)

    reset = made.grant(
        row(epoch="e2", head=50, floor=40, recovered=False), ("e1", 9), is_rebase=False
    )

    assert Reset(room="r", epoch="e2", head=50, floor=40) == reset
    assert made.position("r") == ("e2", 50)


def test_without_since_nothing_is_reset():
    made = Following()

    assert made.grant(row(head=50, recovered=False), None, is_rebase=False) is None
    assert made.position("r") == ("e1", 50)


def test_position_the_caller_chose_may_lie_behind():
    made = following(head=9)

    made.grant(row(head=12), ("e1", 3), is_rebase=True)

    assert Verdict.NEXT is judge(made, 4)


def test_second_subscription_from_the_head_skips_nothing():
    """What the first cursor had yet to bring is a gap to the second, and asked for."""
    made = following(head=5)

    made.grant(row(head=9), None, is_rebase=False)

    assert Verdict.GAP is judge(made, 10)
    assert made.ask() == [("r", "e1", 5)]


@pytest.mark.parametrize(
    ("told", "position"),
    [
        ({"since": ("e1", 7)}, ("e2", 7)),
        ({"since": ("e1", 20)}, ("e2", 9)),
        ({"floor": 30, "since": UNSET}, ("e2", 40)),
    ],
)
def test_reset_moves_to_the_fork_or_to_the_head(told, position):
    made = following(head=9)

    made.reset(Reset(room="r", epoch="e2", head=40, **told))

    assert position == made.position("r")


def test_reset_and_forget_of_unknown_rooms_change_nothing():
    made = following(head=9)

    made.reset(Reset(room="other", epoch="e2", head=40))
    made.forget(["other"])

    assert made.position("r") == ("e1", 9)
    assert made.position("other") is None
    assert made.places(["other", "r"]) == [("r", "e1", 9)]
