"""Law: a mark is somebody's own: they set it, wrote, or joined."""

from triolet.testing import history
from triolet.testing.checker import Rule, check

JOINED = history.Trace(kind="member", user="anna", role="member")
SAID = history.Trace(kind="message", body="00")


def entry(seq, sender, cid, fact):
    return history.Logged(seq=seq, n=max(0, seq - 1), at=1, sender=sender, cid=cid, fact=fact)


LOG = (entry(1, "anna", "c1", JOINED), entry(2, "ben", "c2", SAID))
OPENED = (history.Opened(0, "anna-1", user="anna"), history.Opened(0, "ben-1", user="ben"))
STORED = history.Stored(9, room="r", epoch="e", head=2, entries=LOG)
TOLD = history.Receipts(5, "ben-1", 1, room="r", marks=(("anna", 2, 2),))


def found(*events):
    return set(check([*OPENED, *events, STORED]).found) & {Rule.MARK_CLAIMED}


def test_a_mark_that_nobody_set_is_found():
    assert found(TOLD) == {Rule.MARK_CLAIMED}


def test_who_set_it_may_have_it():
    asked = history.Asked(4, "anna-1", 1, op="receipt", room="r", read=2)

    assert found(asked, TOLD) == set()


def test_who_may_have_come_back_without_an_entry_has_read_up_to_then():
    """In public and large rooms joining is a row, and no entry tells where the head was."""
    sent = history.Sent(4, "anna-1", 1, op="join", room="r", cid="again")

    assert found(sent, TOLD) == set()


def test_a_join_that_is_an_entry_excuses_nothing():
    sent = history.Sent(4, "anna-1", 1, op="join", room="r", cid="c1")

    assert found(sent, TOLD) == {Rule.MARK_CLAIMED}


def unread(t, head, read):
    return history.Unread(
        t, "ben-1", 1, room="r", epoch="e", head=head, unread=head - read, read=read
    )


def moved_back(*events):
    return Rule.MARK_FORWARD in set(check([*OPENED, *events, STORED]).found)


def test_a_mark_that_goes_back_is_found():
    assert moved_back(unread(5, 2, 2), unread(6, 2, 1))


def test_an_answer_that_was_overtaken_is_older_and_says_so():
    """`subscribe`'s keeps its place among the entries; `sync`'s, made later, may come first."""
    assert not moved_back(unread(5, 2, 2), unread(6, 1, 1))
    assert moved_back(unread(5, 2, 2), unread(6, 1, 1), unread(7, 2, 1))
