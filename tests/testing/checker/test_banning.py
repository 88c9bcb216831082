"""Law: who is banned is not let in, does not stay, is not heard, and is told nothing, in time.

The store decides; every node knows of it within a second, and a node knows what it has said.
"""

import pytest
from msgspec.structs import replace

from triolet._model.errors import ErrorCode
from triolet.testing import history
from triolet.testing.checker import Bounds, Rule, check
from triolet.testing.checker.bans import Bans
from triolet.testing.checker.people import Troubles

BEGUN = (
    history.Opened(0, "a", user="anna"),
    history.Opened(0, "b", user="ben"),
    history.Greeted(0, "a", node="n0"),
    history.Connected(0, "a", 1),
    history.Greeted(0, "b", node="n1"),
    history.Connected(0, "b", 1),
)
BANNED = history.Banned(10, user="ben")
PARDONED = history.Pardoned(100, user="ben")
FACT = history.Trace(kind="message", body="00")


def away(t, code=4003, conn=1):
    return history.Disconnected(t, "b", conn, code=code, told=True)


def knock(t, answer=None, *, node="n1", code=4003):
    """Somebody says hello, and is sent away, unless there is another answer."""
    hello = history.Greeted(t, "b", 1, node=node)
    return (hello, answer or away(t + 0.1, code))


def let_in(t, node="n1"):
    return knock(t, history.Connected(t + 0.1, "b", 2), node=node)


def sent(t, cid="x", client="b"):
    return history.Sent(t, client, 1, op="send", room="r", cid=cid, fact=FACT)


def acked(t, cid="x", client="b"):
    return history.Acked(t, client, 1, room="r", cid=cid, seq=1)


def found(*events, bounds=None):
    return {rule for rule in check((*BEGUN, *events), bounds).found if rule.name[:3] == "BAN"}


def broken(since, until, what="the bus"):
    begins = history.Fault(since, verb="drop_bus", what=what, phase="begins")
    return begins, replace(begins, t=until, phase="ends")


# --- who comes and goes --------------------------------------------------------------------


def test_a_ban_that_is_carried_out_is_good_and_every_rule_was_applied():
    verdict = check((*BEGUN, BANNED, away(10.5), *knock(20), PARDONED, *let_in(102)))

    assert verdict.found == {}
    assert {rule: n for rule, n in verdict.judged.items() if rule.name.startswith("BAN")} == {
        Rule.BAN_ENDS_SESSIONS: 1,
        Rule.BAN_HAS_CAUSE: 2,
        Rule.BAN_IS_SAID: 2,
        Rule.BAN_LETS_NOBODY_IN: 1,
        Rule.BAN_TAKES_NOTHING: 1,
        Rule.BAN_TELLS_NOTHING: 1,
    }


def test_who_says_hello_a_second_after_the_commit_is_not_let_in_anywhere():
    assert found(BANNED, away(10.1), *let_in(10.9), away(11)) == set()
    assert found(BANNED, away(10.1), *let_in(11)) == {Rule.BAN_LETS_NOBODY_IN}


def test_a_node_that_has_said_so_lets_nobody_in_from_then_on_whatever_is_broken():
    said = replace(BANNED, t=10.2, node="n1")
    deaf = broken(5, 300)

    assert found(deaf[0], BANNED, said, away(10.1), *let_in(10.3)) == {Rule.BAN_LETS_NOBODY_IN}
    assert found(deaf[0], BANNED, said, away(10.1), *let_in(10.3, "n0")) == set()
    assert found(deaf[0], BANNED, away(10.1), *let_in(10.3)) == set()


def test_a_node_that_begins_lets_nobody_in_before_it_knows_of_all_bans_whatever_is_broken():
    deaf = broken(5, 300)[0]
    new, old = (history.Started(t, node="n1") for t in (10.2, 9))

    assert found(deaf, BANNED, away(10.1), new, *let_in(10.3)) == {Rule.BAN_LETS_NOBODY_IN}
    assert found(deaf, old, BANNED, away(10.1), *let_in(10.3)) == set()


def test_a_hello_that_was_on_its_way_when_the_ban_was_lifted_may_be_let_in():
    hello, welcome = let_in(99.9)

    assert found(BANNED, away(10.1), hello, PARDONED, replace(welcome, t=101)) == set()


def test_nodes_have_time_to_ask_the_store_when_what_was_broken_is_mended():
    begins, ends = broken(5, 50)
    events = (begins, BANNED, away(10.1))

    assert found(*events, *let_in(40)) == set()
    assert found(*events, ends, *let_in(62), away(62.2)) == set()
    assert found(*events, ends, *let_in(64)) == {Rule.BAN_LETS_NOBODY_IN}


def test_who_was_let_in_wrongly_is_blamed_for_that_alone():
    late = (*let_in(20), sent(30), acked(31), away(150))

    assert found(BANNED, away(10.1), *late) == {Rule.BAN_LETS_NOBODY_IN}


def test_who_is_in_is_sent_away_before_a_silent_connection_would_be_given_up():
    assert found(BANNED, away(73)) == set()
    assert found(BANNED, away(75)) == {Rule.BAN_ENDS_SESSIONS}
    assert found(BANNED, history.Settled(75)) == {Rule.BAN_ENDS_SESSIONS}
    assert found(BANNED, PARDONED) == {Rule.BAN_ENDS_SESSIONS}
    assert found(BANNED, replace(PARDONED, t=70), away(90)) == set()
    assert found(*broken(5, 50), BANNED, away(112)) == set()


# --- why they are sent away ----------------------------------------------------------------


def test_who_is_banned_is_told_so():
    assert found(BANNED, away(10.1), *knock(20, code=4001)) == {Rule.BAN_IS_SAID}
    # That they have no token may come first, and where clocks are wrong that is not so.
    assert found(BANNED, away(10.1), *knock(20, code=4002)) == set()
    said, skewed = replace(BANNED, node="n1"), broken(15, 18, "clocks")
    assert found(BANNED, said, away(10.1), *skewed, *knock(20, code=4001)) == set()


def test_nobody_is_sent_away_as_banned_who_is_not():
    assert found(away(5)) == {Rule.BAN_HAS_CAUSE}
    assert found(history.Banned(4, user="anna"), away(5)) == {Rule.BAN_HAS_CAUSE}
    assert found(away(5, 1000), *knock(6)) == {Rule.BAN_HAS_CAUSE}


def test_who_is_pardoned_may_come_everywhere_within_a_second_and_at_once_where_that_is_said():
    events = (BANNED, away(10.1), PARDONED)
    said = replace(PARDONED, node="n1")

    assert found(*events, *knock(100.5)) == set()
    assert found(*events, *knock(102)) == {Rule.BAN_HAS_CAUSE}
    assert found(*events, said, *knock(100.5)) == {Rule.BAN_HAS_CAUSE}
    assert found(*events, said, *knock(100.5, node="n0")) == set()
    assert found(*events, *broken(99, 120), *knock(130)) == set()


def test_a_connection_may_be_ended_for_a_ban_that_was_while_it_was_there():
    assert found(BANNED, replace(PARDONED, t=11), away(15)) == set()


# --- what is asked and told ----------------------------------------------------------------


def test_what_is_sent_when_a_ban_is_in_force_is_not_acknowledged():
    assert found(BANNED, sent(10.5), acked(12), away(12.1)) == set()
    assert found(BANNED, sent(11), acked(12), away(12.1)) == {Rule.BAN_TAKES_NOTHING}
    # Which try is answered is not to be seen.
    assert found(sent(9), BANNED, sent(11), acked(12), away(12.1)) == set()
    assert found(BANNED, sent(11), away(12.1)) == set()


def test_nor_is_it_stored():
    entry = history.Logged(seq=1, n=1, at=1, sender="ben", cid="x", fact=FACT)
    log = history.Stored(200, room="r", epoch="e", head=1, entries=(entry,))

    assert found(BANNED, sent(11), away(12.1), log) == {Rule.BAN_TAKES_NOTHING}
    assert found(BANNED, sent(10.5), away(12.1), log) == set()


def seen(t, cid="x", sender="anna"):
    entry = history.Logged(seq=1, n=1, at=1, sender=sender, cid=cid, fact=FACT)
    return history.Seen(t, "b", 1, sub=1, room="r", entry=entry)


def test_what_is_sent_when_a_ban_is_in_force_is_not_told_to_who_is_banned():
    assert found(BANNED, sent(10.5, client="a"), seen(40), away(41)) == set()
    assert found(BANNED, sent(11, client="a"), seen(12), away(13)) == {Rule.BAN_TELLS_NOTHING}
    pardoned = replace(PARDONED, t=12)
    assert found(BANNED, away(10.1), sent(11, client="a"), pardoned, *let_in(14), seen(15)) == set()


@pytest.mark.parametrize("kind", [history.Unread, history.Receipts, history.Folded])
def test_questions_are_answered_that_were_asked_in_time_and_no_others(kind):
    where = {"room": "r"} if kind is history.Receipts else {"room": "r", "epoch": "e", "head": 1}
    more = {
        history.Unread: {"unread": 0, "read": 1},
        history.Receipts: {"marks": ()},
        history.Folded: {"after": 0, "upto": 1, "messages": ()},
    }[kind]

    def told(asked):
        return kind(30, "b", 1, asked=asked, **where, **more)

    assert found(BANNED, told(10.9), away(31)) == set()
    assert found(BANNED, told(None), away(31)) == set()
    assert found(BANNED, told(11), away(31)) == {Rule.BAN_TELLS_NOTHING}


# --- what they come back to ----------------------------------------------------------------


def back(code, *, public=False, role="member"):
    """Ben, who was banned for a while, says something when all is quiet."""
    member = history.Trace(kind="member", user="ben", role=role)
    first = history.Logged(seq=1, n=0, at=1, sender="anna", cid="make", fact=member)
    log = history.Stored(210, room="r", epoch="e", head=1, entries=(first,), public=public)
    answer = history.Refused(202, "b", 2, room="r", cid="y", code=code)
    asked = history.Sent(201, "b", 2, op="send", room="r", cid="y", fact=FACT)
    home = (BANNED, away(10.1), PARDONED, *let_in(102), history.Settled(200))
    return found(*home, asked, answer, log)


def test_who_comes_back_is_a_member_of_what_they_were():
    assert back(ErrorCode.NOT_A_MEMBER) == {Rule.BAN_LOSES_NOTHING}
    assert back(ErrorCode.NO_SUCH_ROOM) == {Rule.BAN_LOSES_NOTHING}
    assert back(ErrorCode.FORBIDDEN) == back(ErrorCode.RATE_LIMITED) == set()


def test_unless_they_were_none_or_a_log_does_not_tell():
    assert back(ErrorCode.NOT_A_MEMBER, role=None) == set()
    assert back(ErrorCode.NOT_A_MEMBER, public=True) == set()


def test_who_was_never_banned_is_not_asked_for():
    member = history.Trace(kind="member", user="ben", role="member")
    first = history.Logged(seq=1, n=0, at=1, sender="anna", cid="make", fact=member)
    log = history.Stored(210, room="r", epoch="e", head=1, entries=(first,))
    answer = history.Refused(202, "b", 1, room="r", cid="x", code=3003)

    assert found(history.Settled(200), sent(201), answer, log) == set()


# --- who is banned when --------------------------------------------------------------------


def bans(*events):
    troubles, found = Troubles(), Bans(Bounds(), Troubles())
    found._troubles = troubles
    for event in events:
        if isinstance(event, history.Fault):
            troubles.fault(event)
        elif isinstance(event, history.Banned):
            found.banned(event)
        else:
            found.pardoned(event)
    return found


def in_force(known, *times):
    return [known.in_force("ben", "n1", t) is not None for t in times]


def test_a_ban_that_ends_by_itself_is_in_force_until_then():
    known = bans(replace(BANNED, until=60))

    assert in_force(known, 10.5, 11, 59.9, 60) == [False, True, True, False]
    assert [known.free_since("ben", "n1", t) for t in (59, 63, 64)] == [
        float("inf"),
        float("inf"),
        63,
    ]


def test_where_clocks_were_wrong_it_may_have_ended_sooner():
    known = bans(replace(BANNED, until=60), *broken(20, 30, "clocks"))

    assert in_force(known, 15, 25, 50) == [True, False, False]


def test_a_ban_in_place_of_another_goes_on_where_that_one_did_not_end():
    goes_on = bans(BANNED, replace(BANNED, t=50, until=90))
    again = bans(replace(BANNED, until=50), replace(BANNED, t=50))

    assert in_force(goes_on, 11, 50.1, 89, 91) == [True, True, True, False]
    assert in_force(again, 50.5, 51) == [False, True]


def test_what_a_node_says_of_another_ban_than_there_is_says_nothing():
    known = bans(BANNED, replace(BANNED, node="n1"), PARDONED, replace(BANNED, t=101, node="n1"))

    assert known.of("ben") is None
    assert in_force(known, 102) == [False]
    again = bans(BANNED, PARDONED, replace(BANNED, t=101), replace(PARDONED, t=101.1, node="n1"))
    assert again.free_since("ben", "n1", 110) == float("inf")
