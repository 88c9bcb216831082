"""The generator believes nothing: what is not as it was sent, or where it was, fails the run."""

import itertools
import socket
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
from ends import AT_ONCE, BASE, entry, framed, ok

# The benchmarks are no package that is installed.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.errors import Unexpected
from bench.load import fan
from bench.load.fan import FanLoad
from bench.load.frames import BINARY, masked, take_frames
from bench.load.pairs import Pair, PairsLoad
from bench.peers import ACK, DELIVERY, OTHER
from bench.peers.tokens import mint


def test_a_message_carries_its_number_as_ref_and_cid(channel):
    """What `message` builds from pieces is what encoding the whole command would give."""
    for number in (1, 300, 70_000):
        frame = channel.message(number)
        payload = frame[8:] if frame[1] == 0xFE else frame[6:]
        command = msgspec.msgpack.decode(payload)
        assert command == {
            "op": "send",
            "ref": number,
            "room": "room",
            "cid": f"{number:08x}",
            "body": {"text": "hello"},
        }


def test_what_is_as_it_was_sent_is_counted(channel):
    assert channel.read(ok(7)) == (ACK, 7)
    assert channel.read(entry(7)) == (DELIVERY, 7)
    assert channel.read(msgspec.msgpack.encode({"op": "feed", "rooms": []})) == (OTHER, 0)


@pytest.mark.parametrize(
    "payload",
    [
        ok(7, ref=8),
        ok(7, room="other"),
        ok(7, duplicate=True),
        ok(0),
        entry(7, seq=BASE + 8),
        entry(7, cid="00000008"),
        entry(7, room="other"),
        entry(7, body={"text": "hallo"}),
        entry(7, body={"text": "hello", "more": 1}),
        entry(7, extra=1),
        entry(7, **{"from": "berta"}),
        entry(7, kind="edit"),
        msgspec.msgpack.encode({"op": "error", "code": 5003, "reason": "internal"}),
        b"\xc1",
    ],
)
def test_anything_else_is_an_error(channel, payload):
    with pytest.raises(Unexpected):
        channel.read(payload)


def test_frames_are_taken_whole_in_any_cut():
    """However the stream is cut, the same frames come out, and the rest waits."""
    stream = b"".join(framed(bytes([size % 256]) * size) for size in (0, 1, 125, 126, 300, 70))
    whole, taken = take_frames(stream)
    assert taken == len(stream)
    for cut in range(len(stream)):
        first, at = take_frames(stream[:cut])
        second, end = take_frames(stream[at:])
        assert first + second == whole
        assert at + end == len(stream)


@pytest.mark.parametrize("bad", [b"\x82\x81\0\0\0\0x", b"\x02\x01x"])
def test_masked_and_fragmented_frames_are_errors(bad):
    with pytest.raises(Unexpected):
        take_frames(bad)


def run_fan(channel, ends, *, acks: bytes, deliveries: list[bytes], already: int = 0):
    publisher, publisher_end = ends.connection()
    publisher_end.sendall(acks)
    followers = []
    for data in deliveries:
        follower, follower_end = ends.connection()
        follower_end.sendall(data)
        follower_end.shutdown(socket.SHUT_WR)
        followers.append(follower)
    load = FanLoad(channel, publisher, followers, AT_ONCE, already=already)
    return load.run()


BOTH = framed(entry(1)) + framed(entry(2))
ACKED = framed(ok(1)) + framed(ok(2))


@pytest.mark.parametrize(
    "second",
    [
        framed(entry(1)) + framed(entry(1)),
        framed(entry(2)),
        framed(entry(1, body={"text": "hallo"})),
        framed(entry(1)) + framed(ok(2)),
        framed(entry(1)),
        framed(entry(1)) + b"\x88\x02\x03\xe8",
    ],
    ids=["twice", "a gap", "another text", "an acknowledgement", "hung up", "closed"],
)
def test_fanout_refuses_a_subscriber_that_got_something_else(channel, ends, second):
    with pytest.raises(Unexpected):
        run_fan(channel, ends, acks=ACKED, deliveries=[BOTH, second])


def test_fanout_refuses_an_acknowledgement_out_of_its_place(channel, ends):
    with pytest.raises(Unexpected):
        run_fan(channel, ends, acks=framed(ok(2)), deliveries=[BOTH])


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        (["ack", "", "ack", "", "entry", "", "entry"], None),
        (["ack", "ack", "entry", "", "", "entry"], "2 were acknowledged and 1 delivered"),
        (["ack", "", "", "", "ack", "entry"], "1 were acknowledged and 0 delivered"),
    ],
    ids=["slow", "silent", "silent at first"],
)
def test_fanout_waits_for_the_slow_but_not_for_the_silent(channel, ends, monkeypatch, pieces, why):
    """10 s pass between two turns: one without anything is no silence yet, two are."""
    publisher, publisher_end = ends.connection()
    follower, follower_end = ends.connection()
    said = {"ack": (publisher_end, ok), "entry": (follower_end, entry)}
    numbers = {"ack": itertools.count(1), "entry": itertools.count(1)}
    coming = iter(pieces)
    clock = itertools.count(time.perf_counter(), 10)
    now = next(clock)

    class Slow(FanLoad):
        def _turn(self) -> None:
            nonlocal now
            now = next(clock)
            piece = next(coming, "")
            if piece:
                end, message = said[piece]
                end.sendall(framed(message(next(numbers[piece]))))
            super()._turn()

    monkeypatch.setattr(fan, "time", SimpleNamespace(perf_counter=lambda: now))
    monkeypatch.setattr(fan, "_POLL_S", 0.01)
    load = Slow(channel, publisher, [follower], AT_ONCE._replace(measured_s=1))
    if why is None:
        assert 2 == load.run().verified
    else:
        with pytest.raises(Unexpected, match=why):
            load.run()


def test_fanout_goes_on_from_the_messages_that_a_channel_has_carried(channel, ends):
    """Its numbers go on, and those of before must not come again."""
    publisher, publisher_end = ends.connection()
    follower, follower_end = ends.connection()
    fan = FanLoad(channel, publisher, [follower], AT_ONCE, already=7)
    fan._fill()
    assert publisher_end.recv(1000) == channel.message(8) + channel.message(9)
    follower_end.sendall(framed(entry(8)) + framed(entry(9)))
    fan._receive(fan._subscribers[0])
    assert (9, 2) == (fan._complete, fan._deliveries)
    with pytest.raises(Unexpected):
        run_fan(channel, ends, acks=b"", deliveries=[framed(entry(7))], already=7)


def test_a_log_that_is_not_where_its_messages_took_it_is_an_error(channel):
    channel.follow_from(BASE)
    channel.message(1)
    channel.follow_from(BASE + 1)
    for head in (BASE, BASE + 2):
        with pytest.raises(Unexpected):
            channel.follow_from(head)


@pytest.mark.parametrize(
    ("to_sender", "to_receiver"),
    [
        (framed(ok(2)), b""),
        (framed(ok(1)) * 2, b""),
        (framed(entry(1)), b""),
        (b"", framed(entry(2))),
        (b"", framed(entry(1)) * 2),
        (b"", framed(ok(1))),
        (b"", framed(entry(3))),
    ],
    ids=["ack skips", "ack twice", "echo", "skips", "twice", "ack of another", "never sent"],
)
def test_pairs_refuse_what_is_out_of_its_place(channel, ends, to_sender, to_receiver):
    sender, sender_end = ends.connection()
    receiver, receiver_end = ends.connection()
    sender_end.sendall(to_sender)
    receiver_end.sendall(to_receiver)
    with pytest.raises(Unexpected):
        PairsLoad([Pair(channel, sender, receiver)], AT_ONCE, echo=False).run()


def test_a_ping_is_answered_and_nothing_else(ends):
    connection, server = ends.connection()
    assert connection.control(0x89, b"hi")
    assert server.recv(100) == masked(0x8A, b"hi")
    assert not connection.control(BINARY, b"hi")


def test_a_keepalive_of_the_peers_own_is_answered(ends):
    ends.answers = {b"2": b"a whole frame"}
    connection, server = ends.connection()
    assert connection.control(0x81, b"2")
    assert server.recv(100) == b"a whole frame"
    assert not connection.control(0x81, b"22")


def test_tokens_are_what_the_gate_admits():
    """Minted with nothing but hmac here, read by the server's own parser."""
    from triolet.adapters.tokens.jwt import has_hs256_signature, read_claims, take_apart

    secret = "s" * 32
    parts = take_apart(mint(secret, "anna"))
    assert has_hs256_signature(parts, secret.encode())
    claims = read_claims(parts.payload)
    assert (claims.sub, claims.tier) == ("anna", "service")
