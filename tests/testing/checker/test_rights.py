"""Law: a removal ends a right, until it is given again, or the room is public."""

import pytest

from triolet.testing import history
from triolet.testing.checker import Rule, check


def member(user, role=None):
    return history.Trace(kind="member", user=user, role=role)


def meta(*, public):
    return history.Trace(kind="meta", public=public)


MESSAGE = history.Trace(kind="message", body="00")


def found(*facts, sender="ben", head=1, wire=True):
    """Judge a log of `facts`, all of which came on ben's cursor, granted at `head`."""
    entries, n = [], 0
    for seq, fact in enumerate(facts, 1):
        n += fact.kind == "message"
        who = sender if fact.kind == "message" else "owner"
        entries.append(history.Logged(seq=seq, n=n, at=seq, sender=who, cid=f"c{seq}", fact=fact))
    start = history.Subscribed(
        1, "b", 1, sub=1, room="r", epoch="e", pos=head, head=head, wire=wire
    )
    seen = [history.Seen(2, "b", 1, sub=1, room="r", entry=entry) for entry in entries[head:]]
    stored = history.Stored(3, room="r", epoch="e", head=len(entries), entries=tuple(entries))
    return set(check([history.Opened(0, "b", user="ben"), start, *seen, stored]).found)


def test_a_member_sees_and_writes() -> None:
    assert found(member("ben", "member"), MESSAGE) == set()


@pytest.mark.parametrize("head", [1, 2])
def test_a_removed_member_sees_their_removal_last(head) -> None:
    facts = (member("ben", "member"), member("ben"), MESSAGE)

    assert found(*facts[:2], sender="eva", head=head) == set()
    assert found(*facts, sender="eva", head=head) == {Rule.NOTHING_AFTER_REMOVAL}


def test_a_removed_member_writes_nothing() -> None:
    facts = (member("ben", "member"), member("ben"), MESSAGE)

    assert found(*facts, wire=False) == {Rule.WRITTEN_BY_RIGHT}


def test_what_others_lose_is_nothing_to_ben() -> None:
    assert found(member("ben", "member"), member("eva"), MESSAGE) == set()


def test_who_was_let_in_again_sees_what_came_meanwhile() -> None:
    facts = (member("ben", "member"), member("ben"), MESSAGE, member("ben", "member"), MESSAGE)

    # A cursor granted later; the one before ended with the removal.
    assert found(*facts[:4], sender="eva", head=4) == set()
    assert found(*facts, sender="eva", head=3) == {Rule.NOTHING_AFTER_REMOVAL}


def test_guests_read_and_may_join_without_an_entry_while_a_room_is_public() -> None:
    begun = (meta(public=True), member("ben", "member"), member("ben"))

    assert found(*begun, MESSAGE) == set()
    assert found(*begun, meta(public=False), MESSAGE) == set()
    # Public again after the removal, and before what was seen.
    assert found(member("ben", "member"), member("ben"), meta(public=True), MESSAGE) == set()


def test_a_room_that_was_public_once_is_private_later() -> None:
    begun = (meta(public=True), meta(public=False), member("ben", "member"), member("ben"))
    rules = {Rule.NOTHING_AFTER_REMOVAL, Rule.WRITTEN_BY_RIGHT}

    assert found(*begun, MESSAGE, head=3) == rules
