"""Socket.IO's crowd believes nothing either; what a restart loses is counted, and nothing else."""

import json
import sys
from pathlib import Path

import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.errors import Unexpected
from bench.peers.crowd import plan_of
from bench.peers.socketio_crowd import HOST, SocketIoCrowd, room_name

OPEN = b'0{"sid":"engine"}'
FIRST, OTHER = "first life", "second life"


def message(room: int, seq: int, **changes: object) -> dict[str, object]:
    return {"room": room_name(room), "seq": seq, "from": HOST, "text": "hello"} | changes


def event(room: int, seq: int, **changes: object) -> bytes:
    offset = f"offset {room} {seq}"
    return b"42" + json.dumps(["message", message(room, seq, **changes), offset]).encode()


def connected(pid: str) -> bytes:
    return b"40" + json.dumps({"sid": "socket", "pid": pid}).encode()


def resumed(epoch: str, *rooms: list[object]) -> bytes:
    named = {room_name(room): messages for room, messages in enumerate(rooms)}
    return b"430" + json.dumps([{"epoch": epoch, "rooms": named}]).encode()


def ok(number: int, seq: int) -> bytes:
    return b"43%d" % number + json.dumps([{"seq": seq}]).encode()


def asked(frames: bytes) -> list[bytes]:
    """Return the payloads of a client's frames, whose keys are zeros."""
    payloads = []
    while frames:
        size, at = frames[1] & 0x7F, 6
        if size == 126:
            size, at = int.from_bytes(frames[2:4], "big"), 8
        payloads.append(frames[at : at + size])
        frames = frames[at + size :]
    return payloads


def come_first(client, epoch: str, *rooms: list[object]) -> None:
    client.come()
    client.take(OPEN)
    client.take(connected(f"{client.user} in its {epoch}"))
    client.take(resumed(epoch, *rooms))
    assert client.is_back


@pytest.fixture
def crowd() -> SocketIoCrowd:
    """Two guests in the same two rooms, and their host: all have come for the first time."""
    crowd = SocketIoCrowd(plan_of(2, 2, 2), "s" * 32, "hello")
    come_first(crowd.host, FIRST)
    for guest in crowd.guests:
        come_first(guest, FIRST, [], [])
    return crowd


def told_all(crowd: SocketIoCrowd, room: int, seq: int) -> None:
    for guest in crowd.guests:
        guest.take(event(room, seq))


def test_it_is_settled_once_all_is_acknowledged_and_everybody_has_it(crowd):
    crowd.host.say(0)
    crowd.host.take(ok(1, 1))
    crowd.guests[0].take(event(0, 1))
    assert not crowd.is_settled()
    with pytest.raises(Unexpected):
        crowd.verify()
    crowd.guests[1].take(event(0, 1))
    assert crowd.is_settled()
    counts = {"acknowledged": 1, "delivered": 2, "recovered": 0, "restarts": 0, "lost": 0}
    assert counts == crowd.verify()


def test_a_guest_whose_state_is_recovered_gets_what_it_missed_before_it_is_confirmed(crowd):
    crowd.host.say(0)
    told_all(crowd, 0, 1)
    guest, other = crowd.guests
    (payload,) = asked(guest.come())
    known = json.loads(payload[2:])
    assert (f"guest-00000 in its {FIRST}", "offset 0 1") == (known["pid"], known["offset"])
    crowd.host.say(1)
    other.take(event(1, 1))
    guest.take(OPEN)
    guest.take(event(1, 1))
    assert not guest.is_back
    assert b"" == guest.take(connected(known["pid"]))
    assert guest.is_back
    crowd.host.take(ok(1, 1))
    crowd.host.take(ok(2, 1))
    assert 1 == crowd.verify()["recovered"]


def test_a_guest_whose_state_is_not_asks_for_what_it_missed(crowd):
    """What it saw last is no use any more; its numbers are."""
    for room in (0, 1):
        crowd.host.say(room)
        told_all(crowd, room, 1)
    guest = crowd.guests[0]
    guest.come()
    crowd.host.say(1)
    guest.take(OPEN)
    (payload,) = asked(guest.take(connected("another pid")))
    want = {"epoch": FIRST, "rooms": {room_name(0): 1, room_name(1): 1}}
    assert ["resume", want] == json.loads(payload.removeprefix(b"420"))
    guest.take(resumed(FIRST, [], [message(1, 2)]))
    assert guest.is_back
    assert {room_name(0): 1, room_name(1): 2} == guest.at
    (payload,) = asked(guest.come())
    assert "offset" not in json.loads(payload[2:])


@pytest.mark.parametrize("is_host_first", [True, False])
def test_what_a_restart_loses_is_counted(crowd, is_host_first):
    """Acknowledged and at no guest: lost twice. Not acknowledged: said again, in the new life."""
    crowd.host.say(0)
    crowd.host.take(ok(1, 1))
    told_all(crowd, 0, 1)
    crowd.host.say(0)
    crowd.host.take(ok(2, 2))
    crowd.host.say(1)

    def host_comes() -> None:
        crowd.host.come()
        crowd.host.take(OPEN)
        (payload,) = asked(crowd.host.take(connected("a pid")))
        assert payload.startswith(b"420")
        (again,) = asked(crowd.host.take(resumed(OTHER)))
        assert again.startswith(b'423["send"')

    if is_host_first:
        host_comes()
    for guest in crowd.guests:
        come_first(guest, OTHER, [], [])
    if not is_host_first:
        host_comes()
    told_all(crowd, 1, 1)
    crowd.host.take(ok(3, 1))
    assert crowd.is_settled()
    counts = {"acknowledged": 3, "delivered": 4, "recovered": 0, "restarts": 1, "lost": 2}
    assert counts == crowd.verify()


@pytest.mark.parametrize(
    "told",
    [
        event(0, 2),
        event(0, 3),
        event(1, 1),
        event(2, 1),
        event(0, 1, text="hallo"),
        event(0, 1, more=1),
        event(0, 1, **{"from": "guest-00001"}),
        b"42" + json.dumps(["message", message(0, 1)]).encode(),
        b"42" + json.dumps(["typing", message(0, 1), "offset"]).encode(),
        resumed(FIRST, [], []),
        connected("another pid"),
        b'44{"message":"no"}',
        b"\xff",
    ],
    ids=[
        "a gap", "never said", "another room", "no room", "another text", "more", "another sender",
        "no offset", "another event", "resumed", "connected", "refused", "no message",
    ],
)  # fmt: skip
def test_what_is_not_as_it_was_said_fails_the_storm(crowd, told):
    crowd.host.say(0)
    crowd.host.say(0)
    with pytest.raises(Unexpected):
        crowd.guests[0].take(told)


def test_a_message_that_comes_twice_fails_the_storm(crowd):
    crowd.host.say(0)
    told_all(crowd, 0, 1)
    with pytest.raises(Unexpected):
        crowd.guests[0].take(event(0, 1))


@pytest.mark.parametrize(
    "told",
    [
        resumed(FIRST, [message(0, 2)], []),
        resumed(FIRST, [], [message(0, 1)]),
        resumed(FIRST, [message(0, 1, text="hallo")], []),
        resumed(FIRST, []),
        resumed("", [], []),
        event(0, 1),
    ],
    ids=["a gap", "another room", "another text", "a room too few", "no life", "not yet"],
)
def test_a_guest_that_is_given_something_else_fails_the_storm(crowd, told):
    crowd.host.say(0)
    crowd.host.say(0)
    guest = crowd.guests[0]
    guest.come()
    guest.take(OPEN)
    guest.take(connected("another pid"))
    with pytest.raises(Unexpected):
        guest.take(told)


def test_a_life_that_is_over_fails_the_storm(crowd):
    crowd.guests[0].come()
    come_first(crowd.guests[0], OTHER, [], [])
    guest = crowd.guests[1]
    guest.come()
    guest.take(OPEN)
    guest.take(connected("another pid"))
    with pytest.raises(Unexpected):
        guest.take(resumed("third life", [], [message(0, 1)]))
    with pytest.raises(Unexpected):
        crowd.judge_epoch(FIRST)


@pytest.mark.parametrize("told", [ok(1, 2), ok(2, 1), ok(1, 0), event(0, 1), b"43[]", b"\xff"])
def test_an_acknowledgement_of_something_else_fails_the_storm(crowd, told):
    crowd.host.say(0)
    with pytest.raises(Unexpected):
        crowd.host.take(told)


def test_an_acknowledgement_that_comes_twice_fails_the_storm(crowd):
    crowd.host.say(0)
    crowd.host.take(ok(1, 1))
    with pytest.raises(Unexpected):
        crowd.host.take(ok(1, 1))


def test_a_close_fails_the_storm(crowd):
    with pytest.raises(Unexpected):
        crowd.guests[0].closed(1000, b"")
