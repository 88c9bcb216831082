"""Whatever a client sends: a clear error or close code, never a traceback, nobody else harmed.

All of it hits one real server, beside two people who talk before and after each attack;
when the server has stopped in order, its log is searched for tracebacks.
"""

import json
import socket
import struct
import time

import msgpack
import pytest
from e2e_scene import SECRET, TIMEOUT_S, Bystander, Raw, Server, frame, token

from triolet._model.limits import Limits

pytestmark = pytest.mark.usefixtures("unharmed")

DEEP = 100_000


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("attacked") / "data")
    yield server
    assert server.stop() == 0
    assert "Traceback" not in server.said


@pytest.fixture(scope="module")
def bystander(server):
    people = Bystander(server)
    yield people
    people.close()


@pytest.fixture
def unharmed(bystander):
    """Nobody's misbehaviour reaches two people who talk."""
    bystander.talk()
    yield
    bystander.talk()


@pytest.fixture
def connect(server):
    """Make clients that are closed at the end."""
    made = []

    def connect(user=None, *, to=server, **how):
        raw = Raw(to, **how) if user is None else Raw.open(to, user, **how)
        made.append(raw)
        return raw

    yield connect
    for raw in made:
        raw.close()


@pytest.fixture
def anna(connect):
    return connect("anna")


@pytest.fixture
def room(anna):
    return anna.ask(op="create", kind="group", members=["ben"])["room"]


def say(raw, payload, *, opcode=2):
    raw.send_bytes(frame(payload, opcode=opcode))
    return answer(raw)


def answer(raw):
    """Return the next answer; events of the same user's other sessions may come before it."""
    while (got := raw.next())["op"] not in ("ok", "error"):
        pass
    return got


# --- what is no message ----------------------------------------------------------------


@pytest.mark.parametrize(
    "payload",
    [
        msgpack.packb([1, 2]),
        msgpack.packb("text"),
        msgpack.packb(None),
        msgpack.packb({"op": "ping", "ref": 1})[:-3],
        b"",
        b"\xc1",
        b"\x91" * 20_000,
        b"\x81\xa1a" * 20_000,
        msgpack.packb({"op": 5}),
        msgpack.packb({"no": "op"}),
    ],
    ids=[
        "list",
        "text",
        "nil",
        "truncated",
        "empty",
        "never used",
        "deep lists",
        "deep maps",
        "op is no text",
        "no op",
    ],
)
def test_a_frame_that_is_no_map_of_the_protocol_is_malformed_and_the_third_closes(anna, payload):
    assert say(anna, payload)["reason"] == "malformed"
    assert anna.ask(op="ping")["op"] == "ok"
    anna.send_bytes(frame(payload) * 2)
    code, messages = anna.wait_close()
    reasons = [message["reason"] for message in messages if message["op"] == "error"]
    assert reasons == ["malformed"] * 2
    assert code == 1008


@pytest.mark.parametrize(
    "text", ["[" * DEEP, '{"a":' * 20_000, "{", "nul", '{"op":"ping"} x', '{"op":NaN}']
)
def test_json_that_is_none_is_malformed(connect, text):
    raw = connect("jo", form="json")
    assert say(raw, text.encode(), opcode=1)["reason"] == "malformed"
    assert raw.ask(op="ping")["op"] == "ok"
    raw.close()


def test_an_unknown_op_is_named_so_and_harmless(anna):
    for _ in range(10):
        assert anna.refused(op="dance") == "unknown_op"


@pytest.mark.parametrize(
    "fields",
    [
        {"op": "send", "room": 5, "body": {}},
        {"op": "send", "room": "r", "body": []},
        {"op": "send", "body": {}},
        {"op": "send", "room": "r", "body": {}, "cid": ""},
        {"op": "send", "room": "r", "body": {}, "cid": "x" * 65},
        {"op": "send", "room": "spaces are not allowed", "body": {}},
        {"op": "subscribe", "room": "r", "since": ["epoch", -1]},
        {"op": "subscribe"},
        {"op": "history", "room": "r", "limit": 0},
        {"op": "history", "room": "r", "limit": 201},
        {"op": "create", "kind": "party"},
        {"op": "create", "kind": "group", "room": "dm:anna:ben"},
        {"op": "watch", "users": ["x"] * 501},
        {"op": "direct", "user": "anna"},
        {"op": "hello", "token": "again"},
    ],
    ids=lambda fields: json.dumps(fields)[:40],
)
def test_a_wrong_field_is_named_and_harmless(anna, fields):
    if fields["op"] == "hello":
        anna.send(**fields)
        assert answer(anna)["reason"] == "invalid_field"
    else:
        assert anna.refused(**fields) == "invalid_field"
    assert anna.ask(op="ping")["op"] == "ok"


@pytest.mark.parametrize(
    "body",
    [
        {"bytes": b"\x00"},
        {"n": 2**53},
        {"n": -(2**60)},
        {"n": float("nan")},
        {"n": float("inf")},
        {"text": "a\0b"},
        {"k\0": 1},
        {1: "one"},
        {"t": msgpack.Timestamp(1)},
        {"x": msgpack.ExtType(5, b"x")},
    ],
    ids=lambda body: repr(body)[:30],
)
def test_a_body_is_of_the_json_data_model(anna, room, body):
    raw = {"op": "send", "room": room, "body": body, "ref": 99}
    anna.send_bytes(frame(msgpack.packb(raw, strict_types=False)))
    got = answer(anna)
    assert (got["op"], got["reason"]) == ("error", "invalid_field")


def test_a_body_is_nested_sixteen_deep_at_most(anna, room):
    def nest(depth):
        return {"a": nest(depth - 1)} if depth > 1 else {"a": 1}

    assert anna.ask(op="send", room=room, body=nest(16))["op"] == "ok"
    assert anna.refused(op="send", room=room, body=nest(17)) == "invalid_field"


def test_a_lone_surrogate_is_no_text(connect, anna, room):
    ben = connect("ben", form="json")
    ben.send_bytes(
        frame(
            b'{"op":"send","ref":7,"room":"%s","body":{"text":"\\ud800"}}' % room.encode(), opcode=1
        )
    )
    got = answer(ben)
    # No JSON decoder of ours makes text of it, so not even a `ref` could be read.
    assert (got["op"], got["reason"]) == ("error", "malformed")
    assert ben.ask(op="ping")["op"] == "ok"


# --- sizes -----------------------------------------------------------------------------


def test_a_body_above_its_limit_is_too_large(anna, room):
    assert anna.ask(op="send", room=room, body={"text": "x" * 32_000})["op"] == "ok"
    assert anna.refused(op="send", room=room, body={"text": "x" * 33_000}) == "too_large"


def test_a_frame_above_its_limit_closes_with_1009(anna):
    anna.send_bytes(frame(b"x" * (128 * 1024 + 1)))
    assert anna.wait_close()[0] == 1009


def test_a_frame_that_announces_too_much_closes_at_once(anna):
    anna.send_bytes(b"\x82\xff" + struct.pack(">Q", 1 << 40) + b"\0\0\0\0")
    assert anna.wait_close()[0] == 1009


def test_fragments_together_are_bounded_too(anna):
    part = b"x" * 60_000
    anna.send_bytes(frame(part, fin=False) + frame(part, opcode=0, fin=False) * 3)
    assert anna.wait_close()[0] == 1009


# --- frames ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame(b"abc", masked=False), 1002),
        (frame(b"abc", rsv=0x40), 1002),
        (frame(b"abc", opcode=3), 1002),
        (frame(b"x" * 126, opcode=9), 1002),
        (frame(b"abc", opcode=0), 1002),
        (frame(b"abc", opcode=9, fin=False), 1002),
        (frame(b"a", fin=False) + frame(b"b"), 1002),
        (frame(b"{}", opcode=1), 1003),
    ],
    ids=[
        "unmasked",
        "reserved bit",
        "reserved opcode",
        "long ping",
        "stray continuation",
        "fragmented ping",
        "interleaved messages",
        "text on msgpack",
    ],
)
def test_a_broken_frame_closes_with_its_code(anna, data, code):
    anna.send_bytes(data)
    assert anna.wait_close()[0] == code


@pytest.mark.parametrize("cut", [1, 2])
def test_text_that_is_no_utf8_closes_with_1007(connect, cut):
    raw = connect("jo", form="json")
    text = b'{"op":"ping","x":"\xff\xfe"}'
    if cut == 1:
        raw.send_bytes(frame(text, opcode=1))
    else:
        raw.send_bytes(frame(text[:20], opcode=1, fin=False) + frame(text[20:], opcode=0))
    assert raw.wait_close()[0] == 1007


def test_controls_between_fragments_are_answered_and_the_message_arrives(anna):
    payload = msgpack.packb({"op": "ping", "ref": 41})
    anna.send_bytes(
        frame(payload[:3], fin=False)
        + frame(b"are you there", opcode=9)
        + frame(payload[3:6], opcode=0, fin=False)
        + frame(b"", opcode=10)
        + frame(payload[6:], opcode=0)
    )
    pong, answered = False, False
    while not (pong and answered):
        opcode, data = anna.read_frame()
        assert opcode in (2, 10)
        pong |= (opcode, data) == (10, b"are you there")
        answered |= opcode == 2 and anna.unpack(data).get("ref") == 41


def test_a_message_may_come_byte_by_byte(anna):
    for byte in frame(msgpack.packb({"op": "ping", "ref": 3})):
        anna.send_bytes(bytes([byte]))
    assert answer(anna)["ref"] == 3


# --- opening ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bad", "reason", "code"),
    [
        (None, "unauthenticated", 4001),
        ("not a token", "token_invalid", 4001),
        (token("anna", ttl_s=60, now_ms=1_600_000_000_000), "token_expired", 4002),
        (token("anna", secret=SECRET[::-1]), "token_invalid", 4001),
        # {"alg": "none", "typ": "JWT"} over {"sub": "anna", "exp": 4000000000}, no signature
        (
            "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.eyJzdWIiOiJhbm5hIiwiZXhwIjo0MDAwMDAwMDAwfQ.",
            "token_invalid",
            4001,
        ),
    ],
    ids=["none at all", "no token", "expired", "wrong key", "alg none"],
)
def test_a_bad_token_is_refused_with_its_reason_and_code(connect, bad, reason, code):
    raw = connect()
    raw.send(op="hello", token=bad)
    closed, messages = raw.wait_close()
    assert [message["reason"] for message in messages] == [reason]
    assert closed == code


def test_a_request_before_hello_is_refused_and_closes(connect):
    raw = connect()
    raw.send(op="ping", ref=1)
    code, messages = raw.wait_close()
    assert [message["reason"] for message in messages] == ["hello_required"]
    assert code == 1008


def test_no_hello_in_time_closes_with_4009(connect, make_server):
    raw = connect(to=make_server("short", TRIOLET_LIMIT_HELLO_TIMEOUT_S="0.3"))
    assert raw.wait_close() == (4009, [])


def test_a_foreign_origin_is_forbidden_and_the_own_host_is_not(connect, server):
    assert connect(headers=["Origin: https://evil.example"]).status == 403
    assert connect(headers=[f"Origin: http://127.0.0.1:{server.port}"]).status == 101


def test_an_unknown_subprotocol_alone_is_a_bad_request(connect):
    assert connect(form="xml").status == 400


def test_a_token_in_the_url_is_never_logged(connect, server):
    secret = token("anna")
    raw = connect(path=f"/ws?token={secret}")
    raw.send(op="hello")
    assert raw.next()["op"] == "welcome"
    assert secret[-20:] not in server.said


# --- rights ----------------------------------------------------------------------------


def test_a_room_one_may_not_know_of_is_no_room(connect, anna, room):
    eve = connect("eve")
    for ask in (
        {"op": "send", "body": {}},
        {"op": "subscribe"},
        {"op": "history"},
        {"op": "join"},
        {"op": "typing", "on": True},
        {"op": "receipt", "read": 1},
        {"op": "receipts", "seq": 1},
        {"op": "signal", "kind": "x"},
        {"op": "kick", "user": "anna"},
    ):
        assert eve.refused(room=room, **ask) == "no_such_room", ask
        assert eve.refused(room="nowhere", **ask) == "no_such_room", ask


def test_writing_in_a_public_room_needs_membership(connect, anna):
    public = anna.ask(op="create", kind="group", public=True)["room"]
    eve = connect("eve")
    assert eve.ask(op="subscribe", room=public)["role"] is None
    assert eve.refused(op="send", room=public, body={}) == "not_a_member"
    assert eve.refused(op="signal", room=public, kind="x") == "not_a_member"


# --- too much --------------------------------------------------------------------------


def test_ten_thousand_subscriptions_are_too_many(anna):
    """The limit answers the rest, and the session goes on."""
    rooms = [
        anna.ask(op="create", kind="group", public=True, room=f"many-{number}")["room"]
        for number in range(1001)
    ]
    refused = 0
    for number in range(10_000):
        anna.ref += 1
        anna.send(op="subscribe", ref=anna.ref, room=rooms[number % 1001])
        if number % 50 == 49:
            refused += _count_refused(anna, anna.ref)
    assert refused == 10_000 // 1001 + (1 if 10_000 % 1001 > 1000 else 0)
    assert anna.ask(op="ping")["op"] == "ok"


def _count_refused(raw, last_ref):
    refused = 0
    while True:
        got = raw.next()
        if got["op"] == "error":
            assert got["reason"] == "too_many_rooms"
            refused += 1
        if got.get("ref") == last_ref:
            return refused


def test_a_flood_of_commands_is_rate_limited_not_obeyed(connect):
    raw = connect()
    raw.send(op="hello", token=token("flooder"))
    raw.next()
    began = time.monotonic()
    pings = [frame(raw.pack({"op": "ping", "ref": number})) for number in range(2000)]
    raw.send_bytes(b"".join(pings))
    answers = [answer(raw) for _ in pings]
    took_s = time.monotonic() - began
    refused = [one for one in answers if one["op"] == "error"]
    assert [one["ref"] for one in answers] == list(range(2000))
    assert {one["reason"] for one in refused} == {"rate_limited"}
    assert all(one["retry_after_ms"] > 0 for one in refused)
    assert len(refused) > 0
    limits = Limits()
    assert len(answers) - len(refused) <= limits.commands_burst + limits.commands_rate * took_s + 1


@pytest.mark.parametrize("what", ["GET / HTTP/1.1\r\n", "\x16\x03\x01\x02", ""])
def test_a_half_request_harms_nobody(server, bystander, what):
    half = socket.create_connection(("127.0.0.1", server.port))
    half.sendall(what.encode("latin-1"))
    bystander.talk()
    half.close()


def test_a_head_without_end_is_refused(server):
    raw = socket.create_connection(("127.0.0.1", server.port))
    raw.settimeout(TIMEOUT_S)
    raw.sendall(b"GET /ws HTTP/1.1\r\nX: " + b"x" * 20_000)
    assert b" 431 " in raw.recv(4096)
    raw.close()
