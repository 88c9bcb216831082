"""Laws of what nodes tell each other: every message comes back as it was, and nothing else does."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from triolet._model.entries import Edit, Member, Message, Record
from triolet._model.observation import Post, Sample, SessionRow
from triolet._wire.codec import pack_fact
from triolet._wire.peers import (
    VERSION,
    Announced,
    Answered,
    Asked,
    BadFrame,
    Echo,
    Entries,
    Floor,
    Forwarded,
    Grown,
    MarksWritten,
    Missed,
    RoomGone,
    RoomStates,
    Seated,
    Signalled,
    TokensRevoked,
    UserNews,
    VisibilityMoved,
    decode_peer,
    encode_peer,
    prefix_of,
)
from triolet._wire.questions import (
    SampleWanted,
    SessionsEnded,
    SessionsEnding,
    SessionsFound,
    SessionsWanted,
)


def record(fact, kind, *, room="tea"):
    return Record(room, 5, 3, kind, "anna", 1_700_000_000_000, "cid", pack_fact(fact))


SAMPLE = Sample(
    node="a",
    at=5,
    up_ms=7,
    gauges={"sessions": 3},
    counts={"messages": 4},
    closes={"1000": 1},
    refusals={"forbidden": 2},
    append_us={31: 4},
    bus_us={},
    lag_us={0: 2},
    not_ready="bus",
    unheard=("left",),
    is_store_failing=True,
    busiest=(("tea", 4),),
    errors=((5, "ERROR", "x", "y"),),
    post=Post("crew", 2),
)
SESSION = SessionRow(
    session="s",
    user="anna",
    device="phone",
    node="a",
    since=5,
    expires_at=7,
    subscriptions=2,
    outbox_bytes=0,
    slow=False,
)
MESSAGES = [
    Entries(
        "tea",
        "epoch",
        (record(Message({"text": "hi"}), "message"), record(Member("ben", None), "member")),
        ((5, 2),),
    ),
    Entries("tea", "epoch", ()),
    Grown("tea", "epoch", 2**53 - 1),
    RoomGone("tea"),
    VisibilityMoved("anna"),
    Seated("tea", "ben", "admin"),
    Seated("tea", "ben", None),
    Floor("tea", 5, 3),
    RoomStates("tea", {"anna": True, "ben": False}, {"carl": (5, 4, 3, 2)}),
    MarksWritten("tea", {"carl": (5, 4, 3)}),
    Signalled("tea", "anna", "phone", "offer", {"sdp": ["x", 1, None]}, "ben", "tablet"),
    Signalled("tea", "anna", "phone", "offer", {}),
    UserNews("anna", (("tea", "epoch", 5, 1, 4),), ("tea",), ("cake",), (3,)),
    TokensRevoked("anna", 1_700_000_000_000),
    Missed(),
    Forwarded("anna", "s1", b"{}"),
    Echo(7),
    Asked(1, "n:a:0", SampleWanted()),
    Asked(2, "n:a:0", SessionsWanted("anna", ("anna", "s"), 200)),
    Asked(3, "n:a:0", SessionsEnding("s", "")),
    Answered(1, SAMPLE),
    Answered(2, SessionsFound((SESSION,), True)),
    Answered(3, SessionsEnded(2)),
    Announced({"text": "hi"}),
    Announced({"text": "hi"}, ("anna",), "tea"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_a_message_comes_back_as_it_was(message):
    frame = encode_peer("node:1", message)

    assert decode_peer(frame) == ("node:1", message)
    assert frame.startswith(prefix_of("node:1"))


@pytest.mark.parametrize("message", MESSAGES, ids=lambda one: type(one).__name__)
def test_half_a_message_is_none(message):
    """Wherever it is cut off."""
    frame = encode_peer("node:1", message)

    for end in range(len(frame)):
        with pytest.raises(BadFrame):
            decode_peer(frame[:end])


@given(st.binary(max_size=200))
@settings(max_examples=300)
def test_any_bytes_are_a_message_or_a_bad_frame(frame):
    try:
        node, message = decode_peer(frame)
    except BadFrame:
        return
    assert decode_peer(encode_peer(node, message)) == (node, message)


@given(st.sampled_from(MESSAGES), st.data())
@settings(max_examples=300)
def test_a_message_with_a_byte_changed_is_a_message_or_a_bad_frame(message, data):
    frame = bytearray(encode_peer("node:1", message))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with suppress(BadFrame):
        decode_peer(bytes(frame))


@pytest.mark.parametrize("other", [VERSION + 1, 99])
def test_another_version_is_named(other):
    """Also where the rest of it would be no message of this one."""
    same = msgspec.msgpack.encode([other, "node:1", ["echo", 1]])
    strange = msgspec.msgpack.encode([other, "node:1", {"a": "map"}])

    for frame in (same, strange):
        with pytest.raises(BadFrame, match=f"version {other} is not {VERSION}"):
            decode_peer(frame)


def test_fields_of_a_later_version_are_passed_over():
    """What is added at a message's end harms no older node."""
    frame = msgspec.msgpack.encode([VERSION, "node:1", ["echo", 1, "and more"]])

    assert decode_peer(frame) == ("node:1", Echo(1))


@pytest.mark.parametrize(
    "strange",
    [
        record(Message({}), "edit"),
        record(Edit(3, {}), "message"),
        record(Message({}), "message", room="cake"),
        Record("tea", 5, 3, "message", "anna", 1, "cid", b"\xc1"),
        Record("tea", 5, 3, "message", "anna", 1, "cid", b""),
    ],
)
def test_a_record_that_could_not_be_applied_is_refused(strange):
    """Its fact is what its header says, and of the room that is rung."""
    frame = encode_peer("node:1", Entries("tea", "epoch", (strange,)))

    with pytest.raises(BadFrame):
        decode_peer(frame)


def test_one_node_is_not_the_prefix_of_another():
    assert not encode_peer("node:10", Echo(1)).startswith(prefix_of("node:1"))
    assert not encode_peer("node:1", Echo(1)).startswith(prefix_of("node:10"))
