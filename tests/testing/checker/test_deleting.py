"""Law: a room that was deleted takes nothing, is not told of, and is refused as if there were none.

The store decides at once; a node knows what it has said; when all is quiet everybody knows.
"""

import pytest

from triolet._model.errors import ErrorCode
from triolet.testing import history
from triolet.testing.checker import Rule, check

FACT = history.Trace(kind="member", user="anna", role="owner")
FIRST = history.Logged(seq=1, n=0, at=1, sender="anna", cid="make", fact=FACT)
BEGUN = (
    history.Opened(0, "a", user="anna"),
    history.Opened(0, "b", user="ben"),
    history.Connected(0, "a", 1),
    history.Connected(0, "b", 1),
    history.Subscribed(1, "b", 1, sub=1, room="r", epoch="e", pos=1, head=1, wire=True),
)
LOG = history.Stored(4, room="r", epoch="e", head=1, entries=(FIRST,))
ENDED = (LOG, history.Deleted(4, room="r", seq=1, user="anna", cid="end"))
TOLD = history.Closed(5, "b", 1, sub=1, room="r", reason="deleted", seq=1)
QUIET = history.Settled(20)


def sent(t, cid="x", *, op="send", client="b", conn=1):
    return history.Sent(t, client, conn, op=op, room="r", cid=cid)


def acked(t, cid="x", *, seq=2, client="b", conn=1, duplicate=False):
    return history.Acked(t, client, conn, room="r", cid=cid, seq=seq, duplicate=duplicate)


def refused(t, code, cid="x"):
    return history.Refused(t, "b", 1, room="r", cid=cid, code=int(code))


def found(*events):
    return set(check((*BEGUN, *events)).found)


def judged(*events):
    return {rule: n for rule, n in check((*BEGUN, *events)).judged.items() if "GONE" in rule.name}


# --- the deletion itself -------------------------------------------------------------------


def test_a_deletion_that_everybody_hears_of_is_good_and_every_rule_was_applied():
    asked = (sent(3, "end", op="delete_room", client="a"), *ENDED)
    events = (*asked, acked(5, "end", seq=1, client="a"), TOLD)
    late = (sent(6), refused(7, ErrorCode.NO_SUCH_ROOM), QUIET)

    assert found(*events, *late) == set()
    assert judged(*events, *late) == {
        Rule.GONE_TAKES_NOTHING: 1,
        Rule.GONE_IS_SAID: 1,
        Rule.GONE_IS_NOTICED: 2,
        Rule.GONE_IS_NOT_TOLD: 1,
        Rule.GONE_FOR_EVER: 1,
    }


def test_a_deletion_comes_behind_the_last_entry_whose_seq_it_names():
    last = history.Logged(
        seq=2, n=1, at=1, sender="anna", cid="x", fact=history.Trace(kind="message", body="00")
    )
    log = history.Stored(4, room="r", epoch="e", head=2, entries=(FIRST, last))
    gone = history.Deleted(4, room="r", seq=2, user="anna", cid="end")
    said = (
        history.Sent(2, "a", 1, op="send", room="r", cid="x", fact=last.fact),
        acked(2, client="a"),
        sent(3, "end", op="delete_room", client="a"),
    )

    assert found(*said, log, gone, acked(5, "end", seq=2, client="a")) == set()
    assert found(*said, log, gone, acked(5, "end", seq=1, client="a")) == {
        Rule.ACKED_IS_STORED,
        Rule.LATER_IS_AFTER,
        Rule.AS_SENT,
    }


@pytest.mark.parametrize(
    "gone", [(), (history.Deleted(4, room="r", seq=1, user="anna", cid="other"),)]
)
def test_an_acknowledged_deletion_has_deleted_the_room(gone):
    asked = (sent(3, "end", op="delete_room", client="a"), acked(3, "end", seq=1, client="a"))

    assert found(*asked, LOG, *gone) == {Rule.ACKED_IS_STORED}


def test_a_refused_deletion_has_not():
    asked = (sent(3, "end", op="delete_room", client="a"),)
    answer = history.Refused(5, "a", 1, room="r", cid="end", code=int(ErrorCode.FORBIDDEN))

    assert found(*asked, *ENDED, answer) == {Rule.REFUSED_IS_NOT_STORED}
    # Another try of it may have.
    assert found(*asked, *asked, *ENDED, answer) == set()


def test_an_owner_deletes_and_nobody_else():
    by_ben = history.Deleted(4, room="r", seq=1, user="ben", cid="end")

    assert found(LOG, by_ben, TOLD) == {Rule.WRITTEN_BY_RIGHT}


def test_what_was_acknowledged_before_is_judged_by_the_log_up_to_the_deletion():
    assert found(sent(2), acked(3), *ENDED, TOLD) == {Rule.ACKED_IS_STORED}


def test_who_finds_no_room_may_have_written_before_it_went():
    said = history.Logged(
        seq=2, n=1, at=1, sender="ben", cid="x", fact=history.Trace(kind="message", body="00")
    )
    log = history.Stored(4, room="r", epoch="e", head=2, entries=(FIRST, said))
    gone = history.Deleted(4, room="r", seq=2, user="anna", cid="end")
    tried = history.Sent(2, "b", 1, op="send", room="r", cid="x", fact=said.fact)

    assert found(tried, log, gone, refused(5, ErrorCode.NO_SUCH_ROOM), TOLD) == set()
    assert found(tried, log, gone, refused(5, ErrorCode.FORBIDDEN), TOLD) == {
        Rule.REFUSED_IS_NOT_STORED
    }


# --- what is asked afterwards --------------------------------------------------------------


def test_what_is_sent_after_the_commit_is_not_acknowledged_wherever_it_was_sent():
    stored_too = {Rule.ACKED_IS_STORED}

    assert found(*ENDED, sent(5), acked(6)) == {Rule.GONE_TAKES_NOTHING} | stored_too
    # Nor as a duplicate of what was there once.
    assert Rule.GONE_TAKES_NOTHING in found(
        sent(2, "make", op="create", client="a"),
        acked(3, "make", seq=1, client="a"),
        *ENDED,
        sent(5, "make", op="create", client="a"),
        acked(6, "make", seq=1, client="a", duplicate=True),
    )


def test_what_was_on_its_way_may_have_come_first():
    said = history.Logged(
        seq=2, n=1, at=1, sender="ben", cid="x", fact=history.Trace(kind="message", body="00")
    )
    log = history.Stored(4, room="r", epoch="e", head=2, entries=(FIRST, said))
    gone = history.Deleted(4, room="r", seq=2, user="anna", cid="end")
    tried = history.Sent(2, "b", 1, op="send", room="r", cid="x", fact=said.fact)

    assert found(tried, log, gone, acked(6), TOLD) == set()
    # Nobody can tell which of two tries is answered: judged as the first.
    assert found(tried, log, gone, tried, acked(6), TOLD) == set()


def test_a_retry_of_the_deletion_is_answered_as_the_first_time():
    asked = (sent(3, "end", op="delete_room", client="a"), *ENDED)
    again = (
        sent(6, "end", op="delete_room", client="a"),
        acked(7, "end", seq=1, client="a", duplicate=True),
    )

    assert found(*asked, acked(5, "end", seq=1, client="a"), *again) == set()


def test_a_node_that_has_not_heard_of_it_answers_what_needs_no_store():
    gone_on = (*ENDED, sent(5, op="leave"), acked(6, seq=0))
    known = (*ENDED, TOLD, sent(5, op="leave"), acked(6, seq=0))

    assert found(*gone_on) == set()
    assert found(*known) == {Rule.GONE_TAKES_NOTHING}


@pytest.mark.parametrize(
    ("op", "code", "rules"),
    [
        ("send", ErrorCode.NO_SUCH_ROOM, set()),
        ("send", ErrorCode.RATE_LIMITED, set()),
        ("send", ErrorCode.STORE_UNAVAILABLE, set()),
        ("send", ErrorCode.NOT_A_MEMBER, {Rule.GONE_IS_SAID}),
        ("create", ErrorCode.ALREADY_EXISTS, set()),
        ("create", ErrorCode.NO_SUCH_ROOM, {Rule.GONE_IS_SAID}),
    ],
)
def test_who_was_told_is_refused_for_that_reason(op, code, rules):
    assert found(*ENDED, TOLD, sent(6, op=op), refused(7, code)) == rules
    # Who was not may be told what that node knows.
    assert found(*ENDED, sent(6, op=op), refused(7, code), TOLD) == set()


def test_another_connection_may_be_to_a_node_that_has_not_heard_of_it():
    moved = (history.Disconnected(6, "b", 1), history.Connected(7, "b", 2))
    later = (sent(8, conn=2), history.Refused(9, "b", 2, room="r", cid="x", code=3003))

    assert found(*ENDED, TOLD, *moved, *later) == set()
    # Until all is quiet.
    assert found(*ENDED, TOLD, *moved, QUIET, *later) == {Rule.GONE_IS_SAID}


def test_what_nobody_answers_says_nothing():
    unknown = history.Unknown(7, "b", 1, room="r", cid="x")
    again = (sent(8), refused(9, ErrorCode.NOT_A_MEMBER))

    assert found(*ENDED, sent(6), unknown, TOLD, *again) == {Rule.GONE_IS_SAID}


# --- what is told afterwards ---------------------------------------------------------------


def tellings(t, asked=None):
    where = {"t": t, "client": "b", "conn": 1, "room": "r"}
    return [
        history.Folded(**where, epoch="e", head=1, after=0, upto=1, messages=(), asked=asked),
        history.Unread(**where, epoch="e", head=1, unread=0, read=1, asked=asked),
        history.Receipts(**where, marks=(("anna", 1, 1),), asked=asked),
    ]


@pytest.mark.parametrize("which", range(3))
def test_nothing_is_told_to_who_knows_but_answers_to_earlier_questions(which):
    assert found(*ENDED, tellings(4.5)[which], TOLD) == set()
    assert found(*ENDED, TOLD, tellings(7, asked=3)[which]) == set()
    assert found(*ENDED, TOLD, tellings(7, asked=6)[which]) == {Rule.GONE_IS_NOT_TOLD}
    assert found(*ENDED, TOLD, tellings(8.5)[which]) == {Rule.GONE_IS_NOT_TOLD}


def test_a_feed_may_be_a_little_late_and_later_while_something_is_broken():
    page, feed, marks = tellings(7)
    late = tellings(8.5)[1]
    deaf = history.Fault(1, verb="drop_bus", what="the bus", phase="begins")
    mended = history.Fault(8, verb="mend_bus", what="the bus", phase="ends")

    assert found(*ENDED, TOLD, feed) == set()
    assert found(*ENDED, TOLD, page) == found(*ENDED, TOLD, marks) == {Rule.GONE_IS_NOT_TOLD}
    assert found(deaf, *ENDED, TOLD, late) == found(deaf, *ENDED, TOLD, mended, late) == set()
    assert found(deaf, *ENDED, TOLD, mended, tellings(11.5)[1]) == {Rule.GONE_IS_NOT_TOLD}


def test_nobody_follows_it_again():
    again = history.Subscribed(7, "b", 1, sub=2, room="r", epoch="e", pos=1, head=1, wire=True)

    assert found(*ENDED, TOLD, again) == {Rule.GONE_IS_NOT_TOLD}
    assert found(*ENDED, TOLD, QUIET, tellings(21)[0]) == {Rule.GONE_IS_NOT_TOLD}


def test_when_all_is_quiet_nobody_who_is_there_follows_it():
    assert found(*ENDED, QUIET) == {Rule.GONE_IS_NOTICED}
    assert found(*ENDED, history.Disconnected(6, "b", 1), QUIET) == set()


def test_it_is_never_there_again():
    assert found(*ENDED, TOLD, LOG) == {Rule.GONE_FOR_EVER}
