"""A day believes nothing: what nobody did, did elsewhere or did once fails the run."""

import sys
from pathlib import Path

import msgspec
import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.errors import Unexpected
from bench.load.day import DEEDS, Deed, draw_deeds, plan_day
from bench.peers.crowd import plan_of
from bench.peers.triolet_crowd import room_name
from bench.peers.triolet_day import TrioletDay

BASE = 4
EPOCH = "e"


def encoded(**fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


def row(room: int, head: int = BASE, **changes: object) -> dict[str, object]:
    fields = {"room": room_name(room), "epoch": EPOCH, "head": head}
    return fields | {"recovered": False, "role": "member"} | changes


@pytest.fixture
def day() -> TrioletDay:
    """Two guests in the same two rooms, who have come for the first time."""
    day = TrioletDay(plan_of(2, 2, 2), "s" * 32, "hello")
    for guest in day.guests:
        guest.come()
        guest.take(encoded(op="welcome", user=guest.user))
        guest.take(encoded(op="ok", ref=0, rooms=[row(room) for room in guest.at]))
        assert guest.is_back
    return day


def done(day: TrioletDay, what: str, *, guest: int = 0, room: int = 0) -> dict:
    """Do something, and return the command."""
    frame = day.guests[guest].do(Deed(0.0, guest, room, what))
    assert frame[1] < 0x80 + 126
    return msgspec.msgpack.decode(frame[6:])


KINDS = {"send": "message", "edit": "edit", "react": "react"}


def entry(command: dict, seq: int, /, **changes: object) -> bytes:
    told = {"cid", "room", "body", "target", "emoji", "on"}
    fields = {name: value for name, value in command.items() if name in told}
    fields |= {"op": "entry", "seq": seq, "n": 1, "at": 1}
    fields |= {"kind": KINDS[command["op"]], "from": "guest-00000"}
    return encoded(**(fields | changes))


def ok(command: dict, seq: int) -> bytes:
    return encoded(op="ok", ref=command["ref"], room=command["room"], seq=seq)


def test_the_same_seed_draws_the_same_day():
    plan = plan_day(50, 50, 7)
    assert plan == plan_day(50, 50, 7)
    drawn = draw_deeds(plan, rate=500, seconds=4, seed=7)
    assert drawn == draw_deeds(plan, rate=500, seconds=4, seed=7)
    assert drawn != draw_deeds(plan, rate=500, seconds=4, seed=8)


def test_people_do_everything_in_rooms_they_are_in_and_mostly_in_a_few():
    plan = plan_day(300, 300, 7)
    sizes = sorted(map(len, plan.members()))
    assert 2 <= sizes[0] < 5
    assert 150 < sizes[-1] <= 200
    deeds = draw_deeds(plan, rate=1000, seconds=10, seed=7)
    assert 9_000 < len(deeds) < 11_000
    assert [deed.at for deed in deeds] == sorted(deed.at for deed in deeds)
    assert set(DEEDS) == {deed.what for deed in deeds}
    assert all(deed.room in plan.rooms_of[deed.guest] for deed in deeds)
    counts = [0] * plan.rooms
    for deed in deeds:
        counts[deed.room] += 1
    assert max(counts) > 10 * sorted(counts)[plan.rooms // 2]


def test_a_day_is_settled_when_all_is_acknowledged_and_everybody_has_it(day):
    said = done(day, "message")
    first, second = day.guests
    first.take(entry(said, BASE + 1))
    reaction = done(day, "react", guest=0)
    edit = done(day, "edit", guest=0)
    assert (BASE + 1, BASE + 1) == (reaction["target"], edit["target"])
    for seq, command in ((2, reaction), (3, edit)):
        first.take(entry(command, BASE + seq))
    for seq, command in ((1, said), (2, reaction), (3, edit)):
        first.take(ok(command, BASE + seq))
        assert not day.is_settled()
        second.take(entry(command, BASE + seq))
    assert day.is_settled()
    verified = day.verify()
    assert (3, 6) == (verified["acknowledged"], verified["delivered"])


def test_who_has_nothing_to_edit_or_react_to_says_something(day):
    """Nobody edits what another has said."""
    assert "send" == done(day, "react")["op"]
    day.guests[0].take(entry(done(day, "message", room=1), BASE + 1))
    assert "send" == done(day, "edit", guest=1, room=1)["op"]
    assert "react" == done(day, "react", guest=1, room=1)["op"]


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": BASE + 2},
        {"seq": BASE},
        {"room": room_name(1), "seq": BASE + 2},
        {"cid": "00000009"},
        {"from": "guest-00001"},
        {"body": {"text": "hallo"}},
        {"kind": "edit", "target": 1},
        {"erased": True},
    ],
)
def test_what_nobody_did_fails_the_day(day, changes):
    said = done(day, "message")
    with pytest.raises(Unexpected):
        day.guests[0].take(entry(said, BASE + 1, **changes))


@pytest.mark.parametrize("changes", [{"target": 1}, {"emoji": "x"}, {"on": False}])
def test_another_reaction_fails_the_day(day, changes):
    day.guests[0].take(entry(done(day, "message"), BASE + 1))
    reaction = done(day, "react")
    with pytest.raises(Unexpected):
        day.guests[0].take(entry(reaction, BASE + 2, **changes))


def test_an_entry_that_comes_again_or_with_other_bytes_fails_the_day(day):
    said = done(day, "message")
    day.guests[0].take(entry(said, BASE + 1))
    for guest, again in ((0, entry(said, BASE + 1)), (0, entry(said, BASE + 2))):
        with pytest.raises(Unexpected):
            day.guests[guest].take(again)
    with pytest.raises(Unexpected):
        day.guests[1].take(entry(said, BASE + 1, at=2))


def test_two_deeds_at_one_place_fail_the_day(day):
    first, second = done(day, "message"), done(day, "message")
    day.guests[0].take(entry(first, BASE + 1))
    with pytest.raises(Unexpected):
        day.guests[1].take(entry(second, BASE + 1))


def test_an_acknowledgement_elsewhere_or_of_nothing_fails_the_day(day):
    said = done(day, "message")
    guest = day.guests[0]
    with pytest.raises(Unexpected):
        guest.take(ok(said | {"ref": 9}, BASE + 1))
    guest.take(ok(said, BASE + 1))
    with pytest.raises(Unexpected):
        guest.take(entry(said, BASE + 2))


def test_what_was_lost_fails_the_day(day):
    said = done(day, "message")
    day.guests[0].take(entry(said, BASE + 1))
    day.guests[0].take(ok(said, BASE + 1))
    assert not day.is_settled()
    with pytest.raises(Unexpected):
        day.verify()


def test_who_comes_back_repeats_durable_deeds_and_no_states(day):
    """The same frame, with the same cid, after the rooms were asked for again."""
    guest = day.guests[0]
    frame = guest.do(Deed(0.0, 0, 0, "message"))
    guest.do(Deed(0.0, 0, 0, "typing"))
    guest.come()
    guest.take(encoded(op="welcome", user=guest.user))
    rows = [row(room, recovered=True) for room in guest.at]
    assert frame == guest.take(encoded(op="ok", ref=0, rooms=rows))


@pytest.mark.parametrize(
    "changes",
    [
        {"recovered": False},
        {"head": BASE - 1},
        {"head": BASE + 1},
        {"epoch": "f"},
        {"role": "owner"},
    ],
)
def test_a_room_that_is_not_where_it_should_be_fails_the_day(day, changes):
    guest = day.guests[0]
    guest.come()
    guest.take(encoded(op="welcome", user=guest.user))
    rows = [row(0, recovered=True) | changes, row(1, recovered=True)]
    with pytest.raises(Unexpected):
        guest.take(encoded(op="ok", ref=0, rooms=rows))


def test_states_that_can_be_so_are_counted_and_others_fail_the_day(day):
    guest = day.guests[0]
    guest.take(encoded(op="typing", room=room_name(0), users=["guest-00001"], more=False))
    guest.take(encoded(op="receipts", room=room_name(1), marks=[["host", 1, 1]]))
    guest.take(encoded(op="feed", rooms=[[room_name(0), EPOCH, BASE, 0, 1]]))
    assert {"typing": 1, "receipts": 1, "feeds": 1} == day._states
    for told in (
        encoded(op="typing", room=room_name(9), users=[], more=False),
        encoded(op="typing", room=room_name(0), users=["nobody"], more=False),
        encoded(op="typing", room=room_name(0), users=["host"] * 6, more=True),
        encoded(op="receipts", room=room_name(0), marks=[["nobody", 1, 1]]),
        encoded(op="feed", rooms=[["elsewhere", EPOCH, BASE, 0, 1]]),
        encoded(op="closed", room=room_name(0), reason="removed"),
    ):
        with pytest.raises(Unexpected):
            guest.take(told)
