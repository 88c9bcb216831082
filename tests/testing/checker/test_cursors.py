"""Law: a cursor may be moved for the protocol's reasons, and for no others."""

import pytest
from checker_model import ModelSystem

from triolet.testing import history
from triolet.testing.checker import Rule, check

ENTRY = {"n": 0, "at": 1, "sender": "owner", "fact": history.Trace(kind="meta", about="00")}


def entry(seq, cid=None):
    return history.Logged(seq=seq, cid=cid or f"c{seq}", **ENTRY)


def here(kind, t=1, **fields):
    return kind(t, "anna-1", 1, sub=1, room="r", **fields)


def start(pos, **fields):
    return here(history.Subscribed, epoch="e1", pos=pos, **{"head": pos, "wire": True, **fields})


def seen(*seqs):
    return [here(history.Seen, entry=entry(seq)) for seq in seqs]


def stored(first, last, *, epoch="e1", lineage=(("e1", 1),), floor=0, cids=None):
    entries = tuple(entry(seq, (cids or {}).get(seq)) for seq in range(first, last + 1))
    return history.Stored(
        9, room="r", epoch=epoch, head=last, floor=floor, entries=entries, lineage=lineage
    )


OPENED = history.Opened(0, "anna-1", user="owner")


def found(*events):
    return set(check(events).found)


def test_a_cursor_below_the_floor_may_be_moved_to_the_head() -> None:
    moved = here(history.Reset, epoch="e1", pos=8, head=8, floor=5)

    assert found(start(2, head=8), moved, *seen(9), stored(6, 9, floor=5)) == set()


def test_a_cursor_above_the_floor_may_not() -> None:
    moved = here(history.Reset, epoch="e1", pos=8, head=8, floor=2)

    assert found(start(2, head=8), moved, *seen(9)) == {Rule.LOST_ONLY_BELOW_FLOOR}


def test_a_position_of_another_log_need_not_be_recovered() -> None:
    assert found(start(8, since=("e0", 2), recovered=False), *seen(9)) == set()


def test_a_position_below_the_floor_need_not_be_recovered() -> None:
    begun = start(8, since=("e1", 2), recovered=False, floor=3)

    assert found(begun, *seen(9)) == set()


def test_after_a_fork_what_was_acknowledged_and_seen_may_be_gone() -> None:
    sent = history.Sent(1, "anna-1", 1, op="meta", room="r", cid="c3", fact=ENTRY["fact"])
    acked = history.Acked(1, "anna-1", 1, room="r", cid="c3", seq=3, at=1)
    moved = here(history.Reset, epoch="e2", pos=2, head=2, fork=True)
    other = here(history.Seen, entry=entry(3, "other"))
    log = stored(1, 3, epoch="e2", lineage=(("e1", 1), ("e2", 3)), cids={3: "other"})
    history_of = (OPENED, start(0), *seen(1, 2, 3), sent, acked)

    assert found(*history_of, history.Fault(2, verb="fork"), moved, other, log) == set()
    # Nobody said that anything was lost.
    assert Rule.ACKED_IS_WHAT_WAS_SENT in found(*history_of, moved, other, log)


def test_what_epochs_share_is_the_same() -> None:
    moved = here(history.Reset, epoch="e2", pos=2, head=2, fork=True)
    log = stored(1, 3, epoch="e2", lineage=(("e1", 1), ("e2", 3)), cids={2: "other"})

    assert found(start(0), *seen(1, 2), moved, log) == {Rule.SAME_ENTRY_FOR_ALL}


def test_who_is_not_connected_when_all_is_quiet_owes_nothing() -> None:
    opened = history.Opened(0, "anna-1", user="anna")
    online = history.Connected(0, "anna-1", 1)
    app = start(0, head=0, wire=False)
    gone = history.Disconnected(2, "anna-1", 1)
    rest = (history.Settled(3), stored(1, 2))

    assert found(opened, online, app, gone, *rest) == set()
    assert found(opened, online, app, *rest) == {Rule.SEEN_ALL}
    assert found(opened, online, app, history.Left(2, "anna-1", 1), *rest) == set()


def test_the_store_s_head_says_nothing_if_somebody_wrote_after_the_quiet() -> None:
    opened = history.Opened(0, "anna-1", user="anna")
    online = history.Connected(0, "anna-1", 1)
    late = history.Sent(4, "anna-1", 1, op="meta", room="r", cid="c1")

    events = (opened, online, start(0), history.Settled(3), late, stored(1, 1))
    assert found(*events) == set()


@pytest.mark.parametrize("reason", ["unsubscribed", "replaced", "removed"])
def test_nothing_comes_on_a_cursor_that_has_ended(reason) -> None:
    ended = here(history.Closed, reason=reason)
    rule = Rule.NOTHING_AFTER_REMOVAL if reason == "removed" else Rule.SEEN_WHERE_DUE

    assert found(start(0), ended, *seen(1)) == {rule}


def test_nothing_comes_on_a_wire_cursor_whose_connection_has_ended() -> None:
    gone = history.Disconnected(2, "anna-1", 1)

    assert found(start(0), gone, *seen(1)) == {Rule.SEEN_WHERE_DUE}


def test_an_unknown_outcome_may_be_stored_or_not() -> None:
    sent = history.Sent(1, "anna-1", 1, op="meta", room="r", cid="c1", fact=ENTRY["fact"])
    unknown = history.Unknown(2, "anna-1", 1, room="r", cid="c1")

    assert found(OPENED, sent, unknown, stored(1, 1)) == set()
    assert found(OPENED, sent, unknown, stored(1, 0)) == set()


def test_a_refusal_of_one_attempt_says_nothing_of_the_other() -> None:
    sent = history.Sent(1, "anna-1", 1, op="meta", room="r", cid="c1", fact=ENTRY["fact"])
    refused = history.Refused(2, "anna-1", 1, room="r", cid="c1", code=4001)

    assert found(OPENED, sent, sent, refused, stored(1, 1)) == set()
    assert found(OPENED, sent, refused, stored(1, 1)) == {Rule.REFUSED_IS_NOT_STORED}
    assert found(OPENED, sent, sent, refused, refused, stored(1, 1)) == {Rule.REFUSED_IS_NOT_STORED}


def test_the_model_is_no_tautology() -> None:
    """It has histories in which things are lost, retried, deleted, removed, resumed."""
    kinds = {type(event).__name__ for seed in range(20) for event in ModelSystem(seed).run(120)}

    assert {"Refused", "Closed", "Disconnected", "Folded", "Unread", "Presence"} <= kinds
