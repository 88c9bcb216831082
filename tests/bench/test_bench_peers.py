"""Adapters believe their peers nothing: what is not as it was sent is refused, in each protocol."""

import json

import pytest
from bench.errors import Unexpected
from bench.load.fan import FanLoad
from bench.load.frames import BINARY, TEXT, unmasked
from bench.peers import ACK, DELIVERY
from bench.peers.all import PEERS
from bench.peers.nats import NatsChannel, join, split, unwrapping
from bench.peers.plain import PlainChannel
from bench.peers.socketio_packets import SocketIoChannel
from ends import AT_ONCE

MESSAGE = {"room": "room", "seq": 7, "from": "anna", "text": "hello"}


def sent_by(frame: bytes) -> bytes:
    """Return the payload of a client's frame, whose key is zeros."""
    return frame[8:] if frame[1] == 0xFE else frame[6:]


def channel_of(kind):
    return kind("room", "anna", "hello")


# --- the plain protocol --------------------------------------------------------------------


def plain(**changes: object) -> bytes:
    return json.dumps({"op": "message"} | MESSAGE | changes).encode()


def plain_ok(**changes: object) -> bytes:
    return json.dumps({"op": "ok", "ref": 7, "seq": 7} | changes).encode()


def test_plain_takes_what_is_as_it_was_sent():
    channel = channel_of(PlainChannel)
    assert (ACK, 7) == channel.read(plain_ok())
    assert (DELIVERY, 7) == channel.read(plain())
    command = json.loads(sent_by(channel.message(12)))
    assert {"op": "send", "ref": 12, "room": "room", "text": "hello"} == command


@pytest.mark.parametrize(
    "payload",
    [
        plain(room="other"),
        plain(text="hallo"),
        plain(**{"from": "berta"}),
        plain(seq="7"),
        plain(more=1),
        plain(op="welcome"),
        plain()[:-1],
        plain_ok(ref=8),
        plain_ok(more=1),
        b'{"op":"ok","ref":7}',
        b"\xff",
        b"",
    ],
)
def test_plain_refuses_anything_else(payload):
    with pytest.raises(Unexpected):
        channel_of(PlainChannel).read(payload)


# --- Socket.IO -----------------------------------------------------------------------------


def event(name: str = "message", *more: object, **changes: object) -> bytes:
    return b"42" + json.dumps([name, MESSAGE | changes, *more]).encode()


def test_socketio_takes_what_is_as_it_was_sent():
    channel = channel_of(SocketIoChannel)
    assert (ACK, 7) == channel.read(b'437[{"seq":7}]')
    assert (DELIVERY, 7) == channel.read(event())
    payload = sent_by(channel.message(12))
    assert b"4212" == payload[:4]
    assert ["send", {"room": "room", "text": "hello"}] == json.loads(payload[4:])


@pytest.mark.parametrize(
    "payload",
    [
        event(room="other"),
        event(text="hallo"),
        event(**{"from": "berta"}),
        event(seq="7"),
        event(more=1),
        event("typing"),
        event("message", "an offset"),
        event()[:-1],
        # It asks for an acknowledgement, which no message here does.
        b"420" + event()[2:],
        b"43" + event()[2:],
        b'437[{"seq":8}]',
        b'437[{"seq":7,"more":1}]',
        b'437[{"seq":7},1]',
        b"437[]",
        b'43[{"seq":7}]',
        b'43-7[{"seq":-7}]',
        b'44{"message":"no"}',
        b"41",
        b"1",
        b"\xff",
        b"",
    ],
)
def test_socketio_refuses_anything_else(payload):
    with pytest.raises(Unexpected):
        channel_of(SocketIoChannel).read(payload)


def test_socketio_answers_the_keepalive_of_engine_io():
    assert {b"2": b"3"} == {
        asked: sent_by(answer) for asked, answer in PEERS["socketio"].answers.items()
    }


# --- NATS ----------------------------------------------------------------------------------

PAYLOAD = {"seq": 7, "from": "anna", "text": "hello"}


def published(room: str = "room", sid: str = "1", **changes: object) -> bytes:
    payload = json.dumps(PAYLOAD | changes, separators=(",", ":")).encode()
    return b"MSG %b %b %d\r\n%b" % (room.encode(), sid.encode(), len(payload), payload)


def test_nats_takes_what_is_as_it_was_sent():
    """A message has the number it carries; acknowledgements have none, and are counted."""
    channel = channel_of(NatsChannel)
    assert [(ACK, 1), (ACK, 2)] == [channel.read(b"+OK"), channel.read(b"+OK")]
    assert (DELIVERY, 7) == channel.read(published())
    command, payload = sent_by(channel.message(12)).split(b"\r\n", 1)
    assert b"PUB room %d" % len(payload[:-2]) == command
    assert PAYLOAD | {"seq": 12} == json.loads(payload)
    assert b"\r\n" == payload[-2:]


@pytest.mark.parametrize(
    "payload",
    [
        published(room="other"),
        published(sid="2"),
        published(text="hallo"),
        published(seq="7"),
        published(more=1),
        published(**{"from": "berta"}),
        published()[:-1],
        b"MSG room 1 0",
        b"HMSG" + published()[3:],
        b"-ERR 'Slow Consumer'",
        b"+OK ",
        b"PONG",
        b"",
    ],
)
def test_nats_refuses_anything_else(payload):
    with pytest.raises(Unexpected):
        channel_of(NatsChannel).read(payload)


NATS_MESSAGES = [b"INFO {}", b"+OK", b"PING", published(text="two\r\nlines"), b"+OK", published()]
NATS_STREAM = b"".join(join(BINARY, one) for one in NATS_MESSAGES)


def test_nats_messages_are_taken_whole_in_any_cut():
    """However the stream is cut, the same messages come out, and the rest waits."""
    whole = [(BINARY, one) for one in NATS_MESSAGES]
    for cut in range(len(NATS_STREAM) + 1):
        first, at = split(NATS_STREAM[:cut])
        second, end = split(NATS_STREAM[at:])
        assert whole == first + second
        assert len(NATS_STREAM) == at + end


@pytest.mark.parametrize("cut", [1, 2, 7, 40, len(NATS_STREAM)])
def test_nats_stream_is_the_same_whatever_frames_and_reads_cut_it(cut):
    """Frames of `cut` bytes, read in pieces of any size."""
    frames = b"".join(
        unmasked(BINARY, NATS_STREAM[at : at + cut]) for at in range(0, len(NATS_STREAM), cut)
    )
    for read in (1, 3, 50, len(frames)):
        unwrap = unwrapping()
        pieces = [unwrap(frames[at : at + read]) for at in range(0, len(frames), read)]
        assert NATS_STREAM == b"".join(pieces)


@pytest.mark.parametrize("size", [b"", b"-1", b"x", b"3"])
def test_nats_messages_that_do_not_end_where_they_say_are_errors(size):
    with pytest.raises(Unexpected):
        split(b"MSG room 1 " + size + b"\r\nhello\r\n")


@pytest.mark.parametrize("first_byte", [TEXT, 0x88, 0x89, 0x02])
def test_nats_frames_other_than_of_data_are_errors(first_byte):
    with pytest.raises(Unexpected):
        unwrapping()(unmasked(first_byte, b"hi"))


def fan_of(ends, *streams: bytes) -> FanLoad:
    """Return a fan that has sent two NATS messages and taken each follower's stream of frames."""
    peer = PEERS["nats"]
    ends.answers, ends.framing = peer.answers, peer.framing
    publisher, _ = ends.connection()
    followers = [ends.connection() for _ in streams]
    fan = FanLoad(
        channel_of(NatsChannel),
        publisher,
        [connection for connection, _ in followers],
        AT_ONCE,
        peer.framing,
    )
    fan._fill()
    for (_, server), stream, subscriber in zip(followers, streams, fan._subscribers, strict=True):
        server.sendall(stream)
        fan._receive(subscriber)
    return fan


ONE, TWO = (join(BINARY, published(seq=seq)) for seq in (1, 2))
CUTS = {
    "together": unmasked(BINARY, ONE + TWO),
    "each": unmasked(BINARY, ONE) + unmasked(BINARY, TWO),
    "anywhere": unmasked(BINARY, (ONE + TWO)[:30]) + unmasked(BINARY, (ONE + TWO)[30:]),
    "with a ping": unmasked(BINARY, ONE + b"PING\r\n" + TWO),
}


@pytest.mark.parametrize("first", CUTS)
@pytest.mark.parametrize("second", CUTS)
def test_a_fan_compares_nats_streams_not_their_frames(ends, first, second):
    fan = fan_of(ends, CUTS[first], CUTS[second])
    assert (2, 4) == (fan._complete, fan._deliveries)
    assert [b"", b""] == [one.connection.tail for one in fan._subscribers]


@pytest.mark.parametrize(
    ("second", "why"),
    [
        (ONE + ONE, "a delivery of 1 after 1"),
        (TWO + ONE, "a delivery of 2 after 0"),
        (ONE + TWO.replace(b"hello", b"hallo"), "not as it was sent"),
        (ONE + b"+OK\r\n", "an acknowledgement for a subscriber"),
        (ONE + b"-ERR 'Slow Consumer'\r\n", "no message"),
    ],
    ids=["twice", "a gap", "another text", "an acknowledgement", "an error"],
)
def test_a_fan_refuses_a_nats_stream_that_differs(ends, second, why):
    with pytest.raises(Unexpected, match=why):
        fan_of(ends, CUTS["together"], unmasked(BINARY, second))


# --- steps ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "between", "answer"),
    [
        ("ws", [], b'{"op":"welcome","user":"anna"}'),
        ("socketio", [b'0{"sid":"x","upgrades":[]}'], b'40{"sid":"y"}'),
        ("nats", [b'INFO {"server_id":"x"}'], b"+OK"),
    ],
)
def test_only_a_welcome_is_one(name, between, answer):
    is_answer = PEERS[name].hello("anna").is_answer
    assert not any(is_answer(one) for one in between)
    assert is_answer(answer)
    for refused in (b'44{"message":"no"}', b"-ERR 'Authorization Violation'", b"[]", b"", b"\xff"):
        with pytest.raises(Unexpected):
            is_answer(refused)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("ws", b'{"op":"joined","room":"room"}'),
        ("socketio", b'430[{"room":"room"}]'),
        ("nats", b"+OK"),
    ],
)
def test_only_the_room_that_was_asked_for_is_followed(name, answer):
    peer = PEERS[name]
    _, channel = peer.open_room("anna", "room", text="hello")
    is_answer = peer.follow(channel).is_answer
    assert is_answer(answer)
    for refused in (answer.replace(b"room", b"rood").replace(b"K", b""), b"{}", b"\xff"):
        with pytest.raises(Unexpected):
            is_answer(refused)
