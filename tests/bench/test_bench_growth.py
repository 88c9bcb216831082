"""Growth believes nothing: a message elsewhere, a page of other messages or a gap fails the run."""

import sys
from pathlib import Path

import msgspec
import pytest

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.errors import Unexpected
from bench.peers.triolet_log import BASE, Log, PageReader, Resumer, cid_of, room_name, text_at
from bench.peers.triolet_rooms import Rooms, user_of

LOG = Log(2, 30)
PAGE = 10
BEHIND = 3


def encoded(**fields: object) -> bytes:
    return msgspec.msgpack.encode(fields)


def asked_in(frames: bytes) -> list[dict[str, object]]:
    """Read what the generator sends: short frames, masked with zeros."""
    found = []
    while frames:
        assert frames[1] < 0x80 + 126
        head = 6
        end = head + frames[1] - 0x80
        found.append(msgspec.msgpack.decode(frames[head:end]))
        frames = frames[end:]
    return found


# --- writing -----------------------------------------------------------------------------


@pytest.fixture
def rooms() -> Rooms:
    """Two writers, four rooms; each writes in the two that it follows, which stand at 1."""
    rooms = Rooms(4, 2, "hello", 1)
    rooms.heads.update(dict.fromkeys(range(4), 1))
    return rooms


def entry(asked: dict, seq: int, /, **changes: object) -> bytes:
    fields = {
        "op": "entry",
        "room": asked["room"],
        "seq": seq,
        "n": 1,
        "at": 1,
        "cid": asked["cid"],
        "from": user_of(0),
        "kind": "message",
        "body": {"text": "hello"},
    }
    return encoded(**(fields | changes))


def ok(asked: dict, seq: int, /, **changes: object) -> bytes:
    fields = {"op": "ok", "ref": asked["ref"], "room": asked["room"], "seq": seq}
    return encoded(**(fields | {"at": 1, "duplicate": False} | changes))


def test_every_room_has_one_follower_and_somebody_who_writes_there():
    for count in (1, 3, 8, 50):
        writers = Rooms(count, 8, "hello", 1).writers
        assert list(range(count)) == sorted(room for one in writers for room in one.follows)
        written = {room for one in writers for room in one._writes_in}
        assert set(range(count)) == written


def test_an_acknowledgement_and_a_delivery_at_the_same_place_settle_a_message(rooms):
    """In either order; the answer to the question is the acknowledgement."""
    writer = rooms.writers[0]
    for seq, order in ((2, (ok, entry)), (3, (entry, ok))):
        (asked,) = asked_in(writer.ask())
        rooms.heads[rooms.numbers[asked["room"]]] = seq - 1
        assert not writer.is_settled
        assert [one is ok for one in order] == [writer.take(one(asked, seq)) for one in order]
        assert writer.is_settled
    assert {"acknowledged": 2, "delivered": 2} == rooms.verify()


@pytest.mark.parametrize(
    "changes",
    [
        {"seq": 3},
        {"seq": 1},
        {"room": "room-000001"},
        {"room": "nowhere"},
        {"cid": "0-2"},
        {"from": user_of(1)},
        {"body": {"text": "hallo"}},
    ],
)
def test_a_delivery_of_something_else_fails_the_run(rooms, changes):
    (asked,) = asked_in(rooms.writers[0].ask())
    with pytest.raises(Unexpected):
        rooms.writers[0].take(entry(asked, 2, **changes))


def test_a_message_delivered_twice_fails_the_run(rooms):
    (asked,) = asked_in(rooms.writers[0].ask())
    rooms.writers[0].take(entry(asked, 2))
    with pytest.raises(Unexpected):
        rooms.writers[0].take(entry(asked, 3))


@pytest.mark.parametrize(
    "changes", [{"ref": 9}, {"room": "room-000001"}, {"duplicate": True}, {"seq": 3}]
)
def test_an_acknowledgement_of_something_else_fails_the_run(rooms, changes):
    writer = rooms.writers[0]
    (asked,) = asked_in(writer.ask())
    writer.take(entry(asked, 2))
    with pytest.raises(Unexpected):
        writer.take(ok(asked, 2, **changes))


def test_what_was_not_delivered_fails_the_run(rooms):
    (asked,) = asked_in(rooms.writers[0].ask())
    rooms.writers[0].take(ok(asked, 2))
    with pytest.raises(Unexpected):
        rooms.verify()


# --- pages -------------------------------------------------------------------------------


def page(asked: dict, **changes: object) -> bytes:
    last = asked["before"] - BASE - 1
    numbers = range(last - PAGE + 1, last + 1)
    room = int(asked["room"][-3:])
    messages = [
        {
            "seq": BASE + number,
            "n": number,
            "at": 1,
            "cid": cid_of(number),
            "from": "author",
            "body": {"text": text_at(room, number)},
            "reactions": {},
        }
        for number in numbers
    ]
    fields = {"op": "ok", "ref": asked["ref"], "messages": messages}
    fields |= {"more": numbers[0] > 1, "as_of": ["e", LOG.head]}
    for name, change in changes.items():
        fields[name] = change(fields[name])
    return encoded(**fields)


def test_pages_at_any_place_are_judged():
    """Wherever it is, a page is the ten messages that end there."""
    reader = PageReader(LOG, PAGE, 1)
    places = set()
    for _ in range(200):
        (asked,) = asked_in(reader.ask())
        places.add((asked["room"], asked["before"]))
        assert reader.take(page(asked))
    assert {room_name(0), room_name(1)} == {room for room, _ in places}
    assert {BASE + PAGE + 1, BASE + LOG.messages + 1} <= {before for _, before in places}


@pytest.mark.parametrize(
    ("part", "change"),
    [
        ("ref", lambda ref: ref + 1),
        ("messages", lambda messages: messages[1:]),
        ("messages", lambda messages: messages[::-1]),
        ("messages", lambda messages: [messages[0], *messages[:-1]]),
        ("messages", lambda messages: [*messages[:-1], messages[-1] | {"cid": "0"}]),
        ("messages", lambda messages: [*messages, messages[-1]]),
        ("messages", lambda messages: [*messages[:-1], messages[-1] | {"erased": True}]),
        ("more", lambda more: not more),
        ("as_of", lambda as_of: [as_of[0], as_of[1] + 1]),
    ],
)
def test_a_page_of_something_else_fails_the_run(part, change):
    reader = PageReader(LOG, PAGE, 1)
    (asked,) = asked_in(reader.ask())
    with pytest.raises(Unexpected):
        reader.take(page(asked, **{part: change}))


# --- resumes -----------------------------------------------------------------------------


@pytest.fixture
def resumer() -> Resumer:
    resumer = Resumer(LOG, BEHIND, 1)
    learn, leave = resumer.prepare()
    assert learn.is_answer(subscribed({"ref": 0, "room": room_name(0)}, recovered=False))
    assert leave.is_answer(encoded(op="ok", ref=0))
    return resumer


def subscribed(asked: dict, **changes: object) -> bytes:
    fields = {"op": "ok", "ref": asked["ref"], "room": asked["room"], "epoch": "e"}
    return encoded(**(fields | {"head": LOG.head, "recovered": True} | changes))


def stored(asked: dict, number: int, **changes: object) -> bytes:
    text = text_at(int(asked["room"][-3:]), number)
    fields = {"cid": cid_of(number), "from": "author", "body": {"text": text}}
    return entry(asked | {"cid": ""}, BASE + number, **(fields | changes))


def test_a_resume_is_answered_by_the_last_entry_and_the_next_begins_with_leaving(resumer):
    (asked,) = asked_in(resumer.ask())
    assert ["e", LOG.head - BEHIND] == asked["since"]
    assert not resumer.take(subscribed(asked))
    numbers = range(LOG.messages - BEHIND + 1, LOG.messages + 1)
    assert [False, False, True] == [resumer.take(stored(asked, number)) for number in numbers]

    left, again = asked_in(resumer.ask())
    assert ("unsubscribe", asked["room"]) == (left["op"], left["room"])
    assert not resumer.take(encoded(op="ok", ref=left["ref"]))
    assert not resumer.take(subscribed(again))


@pytest.mark.parametrize(
    "changes", [{"ref": 9}, {"room": "log-009"}, {"head": LOG.head - 1}, {"recovered": False}]
)
def test_a_resume_answered_otherwise_fails_the_run(resumer, changes):
    (asked,) = asked_in(resumer.ask())
    with pytest.raises(Unexpected):
        resumer.take(subscribed(asked, **changes))


@pytest.mark.parametrize("number", [LOG.messages - BEHIND, LOG.messages - BEHIND + 2])
def test_a_resume_with_a_gap_or_a_repetition_fails_the_run(resumer, number):
    (asked,) = asked_in(resumer.ask())
    resumer.take(subscribed(asked))
    with pytest.raises(Unexpected):
        resumer.take(stored(asked, number))


@pytest.mark.parametrize(
    "changes", [{"cid": "0"}, {"from": "anna"}, {"body": {"text": "hallo"}}, {"room": "log-009"}]
)
def test_a_resume_with_another_entry_fails_the_run(resumer, changes):
    (asked,) = asked_in(resumer.ask())
    resumer.take(subscribed(asked))
    with pytest.raises(Unexpected):
        resumer.take(stored(asked, LOG.messages - BEHIND + 1, **changes))
