"""Standing: what a client wishes is said once more to each connection, the latest only."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from triolet._model.commands import SetPresence, SetReceipt, SetTyping
from triolet._model.events import Subscription
from triolet.client._standing import Heads, Marks, Standing


def row(room="r", read=0, receipts=UNSET):
    return Subscription(
        room=room,
        epoch="e",
        head=99,
        floor=0,
        role="member",
        recovered=True,
        unread=0,
        read=read,
        members=2,
        typing=(),
        receipts=receipts,
    )


def marked(*commands, rooms_max=10):
    marks = Marks(rooms_max)
    for command in commands:
        marks.move(command)
    return marks


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=1))
def test_marks_only_move_forward(moves):
    marks = marked(*(SetReceipt(room="r", delivered=d, read=r) for d, r in moves))

    delivered, read = (max(column) for column in zip(*moves, strict=True))
    latest = SetReceipt(room="r", delivered=delivered or None, read=read or None)
    assert marks.untold(but=()) == ([latest] if delivered or read else [])


def test_marks_are_repeated_when_the_server_is_behind():
    marks = marked(SetReceipt(room="r", delivered=9, read=5))

    assert SetReceipt(room="r", delivered=9, read=5) == marks.behind(row(read=5), "anna")
    assert marks.behind(row(read=4, receipts=(("anna", 9, 4),)), "anna") is not None
    assert marks.behind(row(read=5, receipts=(("anna", 8, 5), ("ben", 9, 9))), "anna") is not None
    assert marks.behind(row(read=5, receipts=(("anna", 9, 5),)), "anna") is None
    assert marks.behind(row(read=9), "anna") is None
    assert marks.behind(row(room="other"), "anna") is None


def test_marks_are_told_once_their_latest_is():
    marks = marked(SetReceipt(room="r", read=5), SetReceipt(room="r", read=7))

    marks.told(SetReceipt(room="r", read=5))
    assert len(marks.untold(but=())) == 1
    marks.told(SetReceipt(room="r", read=7))
    assert marks.untold(but=()) == []
    marks.told(SetReceipt(room="other", read=7))


def test_a_mark_at_nothing_is_not_repeated():
    """A `receipt` that says nothing is refused."""
    assert marked(SetReceipt(room="r", delivered=0, read=0)).untold(but=()) == []


def test_untold_marks_of_followed_rooms_wait_for_their_subscription():
    marks = marked(SetReceipt(room="a", read=1), SetReceipt(room="b", read=1))

    assert [SetReceipt(room="b", read=1)] == marks.untold(but=["a"])


def test_refused_marks_are_forgotten():
    marks = marked(SetReceipt(room="r", read=1))

    marks.forget("r")

    assert marks.untold(but=()) == []


def test_marks_are_bounded():
    marks = marked(*(SetReceipt(room=f"r{i}", read=1) for i in range(5)), rooms_max=3)

    assert [told.room for told in marks.untold(but=())] == ["r2", "r3", "r4"]


def standing():
    return Standing(typing_s=6, renewal_s=2)


def test_watches_and_status_are_kept():
    made = standing()
    made.watch(["ben", "eva", "ben"])
    made.unwatch(["eva", "ida"])
    made.show("away")

    assert list(made.watched) == ["ben"]
    assert made.unwatched(["ben", "eva"]) == ["eva"]
    assert [SetPresence(status="away")] == made.again(0)
    made.show(None)
    assert made.again(0) == []


def test_typing_is_renewed_at_most_every_two_seconds():
    made = standing()
    keys = [0, 0.5, 1.9, 2.1, 3, 4.2]

    spared = [made.is_renewal(SetTyping(room="r", on=True), now) for now in keys]

    assert spared == [False, True, True, False, True, False]


def test_typing_stopped_is_told_and_begun_again_at_once():
    made = standing()
    made.is_renewal(SetTyping(room="r", on=True), 0)

    assert not made.is_renewal(SetTyping(room="r", on=False), 0.1)
    assert not made.is_renewal(SetTyping(room="r", on=True), 0.2)


def test_typing_ends_after_its_time():
    made = standing()
    made.is_renewal(SetTyping(room="old", on=True), 0)
    made.is_renewal(SetTyping(room="new", on=True), 3)
    made.is_renewal(SetTyping(room="sent", on=True), 3)
    made.stop_typing("sent")

    assert [SetTyping(room="new", on=True)] == made.again(6)


def test_heads_never_move_back_within_an_epoch():
    heads = Heads(10)
    heads.heard("r", "e1", 5)
    heads.heard("r", "e1", 3)
    assert heads.sync().have == [("r", "e1", 5)]
    heads.heard("r", "e2", 3)
    assert heads.sync().have == [("r", "e2", 3)]


def test_heads_are_bounded_by_the_latest_heard():
    heads = Heads(2)
    heads.heard_feed([("a", "e", 1, 0, 0), ("b", "e", 1, 0, 0), ("a", "e", 2, 0, 0)])
    heads.heard("c", "e", 1)

    assert heads.sync().have == [("a", "e", 2), ("c", "e", 1)]
    heads.forget(["a", "unknown"])
    assert heads.sync().have == [("c", "e", 1)]
