"""A crowd believes nothing: an entry lost, repeated or out of place fails the storm."""

import sys
from pathlib import Path

import msgspec
import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.errors import Unexpected
from bench.load import backoff
from bench.load.frames import take_frames
from bench.peers.crowd import plan_of
from bench.peers.triolet_crowd import HOST, TrioletCrowd, room_name
from bench.scenarios.resume import plan_for

from triolet.client.backoff import Backoff

SECRET = "s" * 32
BASE = 3
EPOCH = "e"


def encoded(**fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


def row(room: int, head: int, **changes: object) -> dict[str, object]:
    return {
        "room": room_name(room),
        "epoch": EPOCH,
        "head": head,
        "floor": 0,
        "role": "member",
        "recovered": True,
        "unread": head - BASE,
        "read": BASE,
        "members": 3,
        "typing": (),
    } | changes


def subscribed(*rows: dict[str, object]) -> bytes:
    return encoded(op="ok", ref=0, rooms=rows)


def entry(number: int, room: int, seq: int, **changes: object) -> bytes:
    fields = {
        "op": "entry",
        "room": room_name(room),
        "seq": seq,
        "n": 1,
        "at": 1,
        "cid": f"{number:08x}",
        "from": HOST,
        "kind": "message",
        "body": {"text": "hello"},
    }
    return encoded(**(fields | changes))


def ok(number: int, room: int, seq: int) -> bytes:
    return encoded(op="ok", ref=number, room=room_name(room), seq=seq, at=1, duplicate=False)


@pytest.fixture
def crowd() -> TrioletCrowd:
    """Two guests in the same two rooms, and their host: all have come for the first time."""
    crowd = TrioletCrowd(plan_of(2, 2, 2), SECRET, "hello")
    for client in (*crowd.guests, crowd.host):
        client.come()
        client.take(encoded(op="welcome", user=client.user))
    for guest in crowd.guests:
        rows = [row(room, BASE, recovered=False) for room in guest.at]
        guest.take(subscribed(*rows))
        assert guest.is_back
    return crowd


def come_back(crowd: TrioletCrowd, *rows: dict[str, object]) -> None:
    guest = crowd.guests[0]
    guest.come()
    assert not guest.is_back
    (asked,), _ = take_frames(unmask(guest.take(encoded(op="welcome", user=guest.user))))
    places = [[room_name(room), EPOCH, seq] for room, seq in guest.at.items()]
    assert msgspec.msgpack.decode(asked[1])["rooms"] == places
    guest.take(subscribed(*rows))


def unmask(frame: bytes) -> bytes:
    # The generator masks with zeros.
    size = 4 if frame[1] & 0x7F == 126 else 2
    return bytes((frame[0], frame[1] & 0x7F)) + frame[2:size] + frame[size + 4 :]


def test_everybody_is_in_twenty_rooms_of_a_hundred():
    plan = plan_for(5_000)
    assert {20} == {len(set(rooms)) for rooms in plan.rooms_of}
    assert {100} == {len(guests) for guests in plan.members()}
    assert 1_000 == plan.rooms


def test_clients_come_back_as_triolets_own_do():
    ours = Backoff()
    for attempt in range(12):
        assert ours.limit_s(attempt) == backoff.ceiling_s(attempt)


def test_a_guest_is_back_when_it_has_all_up_to_the_heads_it_was_told(crowd):
    crowd.say(0)
    crowd.say(1)
    come_back(crowd, row(0, BASE + 1), row(1, BASE + 1))
    guest = crowd.guests[0]
    assert not guest.is_back
    guest.take(entry(1, 0, BASE + 1))
    assert not guest.is_back
    guest.take(entry(2, 1, BASE + 1))
    assert guest.is_back


def test_it_is_settled_once_all_is_acknowledged_and_everybody_has_it(crowd):
    crowd.host.say(0)
    crowd.guests[0].take(entry(1, 0, BASE + 1))
    crowd.host.take(ok(1, 0, BASE + 1))
    assert not crowd.is_settled()
    with pytest.raises(Unexpected):
        crowd.verify()
    crowd.guests[1].take(entry(1, 0, BASE + 1))
    assert crowd.is_settled()
    assert {"acknowledged": 1, "delivered": 2} == crowd.verify()


@pytest.mark.parametrize(
    "told",
    [
        entry(1, 0, BASE + 2),
        entry(2, 0, BASE + 1),
        entry(2, 0, BASE + 2),
        entry(1, 1, BASE + 1),
        entry(1, 0, BASE + 1, body={"text": "hallo"}),
        entry(1, 0, BASE + 1, **{"from": "guest-00001"}),
        entry(3, 0, BASE + 3),
        encoded(op="closed", room=room_name(0), reason="removed"),
        encoded(op="reset", room=room_name(0), epoch=EPOCH, head=BASE),
        b"\xc1",
    ],
    ids=[
        "elsewhere", "another's place", "a gap", "another room", "another text", "another sender",
        "never said", "closed", "reset", "no message",
    ],
)  # fmt: skip
def test_what_is_not_as_it_was_said_fails_the_storm(crowd, told):
    crowd.say(0)
    crowd.say(0)
    with pytest.raises(Unexpected):
        crowd.guests[0].take(told)


def test_an_entry_that_comes_twice_fails_the_storm(crowd):
    crowd.say(0)
    crowd.guests[0].take(entry(1, 0, BASE + 1))
    with pytest.raises(Unexpected):
        crowd.guests[0].take(entry(1, 0, BASE + 1))


def test_other_bytes_than_before_for_the_same_entry_fail_the_storm(crowd):
    crowd.say(0)
    crowd.guests[0].take(entry(1, 0, BASE + 1))
    crowd.guests[1].take(entry(1, 0, BASE + 1))
    assert len(crowd.places) == 1
    with pytest.raises(Unexpected):
        crowd.guests[1].take(entry(1, 0, BASE + 1, at=2))


@pytest.mark.parametrize(
    "changes",
    [
        {"recovered": False},
        {"head": BASE + 2},
        {"head": BASE - 1},
        {"unread": 0},
        {"members": 2},
        {"epoch": "f"},
        {"room": room_name(1)},
        {"role": None},
    ],
)
def test_a_room_that_is_not_where_it_should_be_fails_the_storm(crowd, changes):
    crowd.say(0)
    with pytest.raises(Unexpected):
        come_back(crowd, row(0, BASE + 1) | changes, row(1, BASE))


def test_an_acknowledgement_of_something_else_fails_the_storm(crowd):
    crowd.host.say(0)
    for told in (ok(2, 0, BASE + 1), ok(1, 0, BASE + 2), ok(1, 1, BASE + 1)):
        with pytest.raises(Unexpected):
            crowd.host.take(told)
    crowd.host.take(ok(1, 0, BASE + 1))
    with pytest.raises(Unexpected):
        crowd.host.take(ok(1, 0, BASE + 1))


def test_the_host_says_again_what_was_not_acknowledged(crowd):
    frames = [crowd.host.say(room) for room in (0, 1)]
    crowd.host.take(ok(1, 0, BASE + 1))
    crowd.host.come()
    assert frames[1] == crowd.host.take(encoded(op="welcome", user=HOST))


def test_a_client_comes_back_after_a_close_that_passes_and_after_no_other(crowd):
    guest = crowd.guests[0]
    assert 1.5 == guest.closed(4029, b'{"retry_after_ms":1500}')
    assert 0.0 == guest.closed(4009, b"no hello in time")
    for code in (1000, 1002, 1011, 4001, 4002, 4003):
        with pytest.raises(Unexpected):
            guest.closed(code, b'{"retry_after_ms":1500}')


def test_the_host_makes_every_room_with_its_members_and_believes_no_other_answer(crowd):
    hello, *makings = crowd.prepare()
    assert hello.is_answer(encoded(op="welcome", user=HOST))
    for room, step in enumerate(makings):
        ((_, payload),), _ = take_frames(unmask(step.frame))
        command = msgspec.msgpack.decode(payload)
        assert ("create", room_name(room)) == (command["op"], command["room"])
        assert ["guest-00000", "guest-00001"] == command["members"]
        assert not step.is_answer(encoded(op="feed", rooms=[]))
        assert step.is_answer(encoded(op="ok", ref=0, room=room_name(room), epoch=EPOCH, seq=1))
        with pytest.raises(Unexpected):
            step.is_answer(encoded(op="error", code=3005, reason="already_exists"))
