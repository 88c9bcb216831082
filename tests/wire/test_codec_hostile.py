"""Law of `_wire.codec.decode_command`: any bytes are a command, or a short answer says why not."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from wire_values import ANY_COMMAND, COMMANDS, FORMS, independent, plain, read, refused, same

from triolet._model.commands import Command, Ping, Send
from triolet._wire.codec import (
    EXPLANATION_CHARS_MAX,
    BadCommand,
    Format,
    decode_command,
    encode_command,
)

fuzz = settings(derandomize=True, deadline=None, max_examples=150)


@fuzz
@given(st.binary(max_size=80))
def test_any_bytes_are_a_command_or_a_bad_one(payload: bytes) -> None:
    """No bytes raise anything else."""
    for form in FORMS:
        read(payload, form)


@fuzz
@given(ANY_COMMAND, st.sampled_from(FORMS), st.data())
def test_a_damaged_command_is_a_command_or_a_bad_one(
    command: Command, form: Format, data: st.DataObject
) -> None:
    """Bytes flipped, cut out, put in or repeated: the nearest neighbours of what is valid."""
    payload = bytearray(encode_command(command, form))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(payload)))
        end = data.draw(st.integers(at, min(len(payload), at + 8)))
        put = data.draw(st.binary(max_size=5) | st.just(bytes(payload[at:end]) * 2))
        payload[at:end] = put
    read(bytes(payload), form)


# What a field may be mistaken for.
ODD = st.sampled_from([None, True, -1, 2**53, 2**63, 1.5, math.inf, "", "\0", [], {}, [[]], "x"])


@fuzz
@given(ANY_COMMAND, st.sampled_from(FORMS), st.data())
def test_a_command_with_odd_fields_is_a_command_or_a_bad_one(
    command: Command, form: Format, data: st.DataObject
) -> None:
    """Well-formed, but one field is of another type or out of range: never `malformed`."""
    fields = independent(encode_command(command, form), form)
    name = data.draw(st.sampled_from([*command.__struct_fields__, "unknown"]))
    odd = data.draw(ODD)
    assume(form == "msgpack" or odd != math.inf)
    found = read(plain({**fields, name: odd}, form), form)

    if isinstance(found, BadCommand):
        assert (found.failed.reason, found.is_map) == ("invalid_field", True)


SEND_JSON = b'{"op":"send","ref":3,"room":"r","body":{"a":%b}}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"", ("malformed", None, False)),
        (b"{", ("malformed", None, False)),
        (b'{"op":"ping"} x', ("malformed", None, False)),
        (b'{"op":"ping"}{}', ("malformed", None, False)),
        (b"{'op':'ping'}", ("malformed", None, False)),
        (b'{"op":"ping","x":' + b"[" * 100_000, ("malformed", None, False)),
        (b'{"op":"ping","x":' + b"[" * 9_999 + b"]" * 9_999 + b"}", ("malformed", None, False)),
        (SEND_JSON % (b'{"a":' * 20_000 + b"1" + b"}" * 20_000), ("malformed", None, False)),
        # Half characters and bytes that are no text.
        (b'{"op":"\\ud800","ref":3}', ("malformed", None, False)),
        (SEND_JSON % b'"\\ud800"', ("malformed", None, False)),
        (SEND_JSON % b'"\\ude00\\ud83d"', ("malformed", None, False)),
        (SEND_JSON % b'{"\\udfff":1}', ("malformed", None, False)),
        (SEND_JSON % b'"\xff"', ("malformed", 3, False)),
        (SEND_JSON % b'"\xed\xa0\x80"', ("malformed", 3, False)),
        (b'{"op":"\xff","ref":3}', ("malformed", 3, False)),
        # What some encoders write for numbers that JSON does not have.
        (SEND_JSON % b"NaN", ("malformed", None, False)),
        (SEND_JSON % b"-Infinity", ("malformed", None, False)),
        (SEND_JSON % b"01", ("malformed", None, False)),
        (SEND_JSON % b"1e999", ("invalid_field", 3, True)),
        (SEND_JSON % (b"9" * 5_000), ("invalid_field", 3, True)),
        (b'{"op":"ping","ref":1e999}', ("invalid_field", None, True)),
        (b'{"op":"ping","ref":%b}' % (b"9" * 5_000), ("invalid_field", None, True)),
        # The last of two equal keys counts, as everywhere.
        (b'{"op":"ping","op":"pong","ref":1,"ref":2}', ("unknown_op", 2, True)),
        (b'{"op":"ping","ref":1,"ref":"x"}', ("invalid_field", None, True)),
    ],
)
def test_hostile_json_is_explained(text: bytes, expected: tuple[str, int | None, bool]) -> None:
    """Whatever JSON text holds, the answer says whether the map or a field is at fault."""
    assert refused(text, "json") == expected


@pytest.mark.parametrize("kind", COMMANDS, ids=lambda kind: kind.__name__)
def test_no_field_holds_half_a_character(kind: type[Command]) -> None:
    """A lone surrogate cannot be stored or sent on, so it gets into no command, wherever it is."""
    op = kind.__struct_config__.tag
    for name in (*kind.__struct_fields__, "unknown"):
        for value in ("\ud800", "a\udfff", ["\ud800"], {"\udead": 1}):
            found = read(plain({"op": op, "room": "r", "user": "u", name: value}, "json"), "json")
            assert isinstance(found, BadCommand)


def test_harmless_json_is_read() -> None:
    """Whitespace, escapes, exponents, a key twice: all of it is JSON."""
    assert decode_command(b' {"ref" : 3,\n"op":"ping" } ', "json") == Ping(ref=3)
    assert decode_command(b'{"op":"ping","ref":1,"ref":2}', "json") == Ping(ref=2)
    sent = decode_command(SEND_JSON % b'["\\ud83d\\ude00", 1E2, -0.0, 1e-999]', "json")
    assert isinstance(sent, Send)
    assert same(sent.body, {"a": ["😀", 100.0, -0.0, 0.0]})


SEND_MSGPACK = b"\x84\xa2op\xa4send\xa3ref\x03\xa4room\xa1r\xa4body\x81\xa1a%b"


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"", ("malformed", None, False)),
        (b"\xc1", ("malformed", None, False)),
        (b"\x81\xa2op\xa4ping\x00", ("malformed", None, False)),
        (b"\x81\xa2op", ("malformed", None, False)),
        (b"\x81\xa2op\xdb\xff\xff\xff\xff", ("malformed", None, False)),
        # Lengths that promise gigabytes are not believed.
        (b"\xdf\xff\xff\xff\xff", ("malformed", None, False)),
        (SEND_MSGPACK % b"\xdd\xff\xff\xff\xff", ("malformed", None, False)),
        (SEND_MSGPACK % b"\xdf\xff\xff\xff\xff", ("malformed", None, False)),
        (SEND_MSGPACK % b"\xc6\xff\xff\xff\xff", ("malformed", None, False)),
        (SEND_MSGPACK % (b"\x91" * 900), ("malformed", None, False)),
        (SEND_MSGPACK % (b"\x91" * 100_000), ("malformed", None, False)),
        (SEND_MSGPACK % (b"\x81\xa1a" * 30_000), ("malformed", None, False)),
        (b"\x82\xa2op\xa4ping\xa1x" + b"\x91" * 100_000 + b"\xc0", ("malformed", None, False)),
        # Text that is none.
        (SEND_MSGPACK % b"\xa1\xff", ("malformed", 3, False)),
        (SEND_MSGPACK % b"\xa3\xed\xa0\x80", ("malformed", 3, False)),
        (b"\x82\xa2op\xa1\xff\xa3ref\x03", ("malformed", 3, False)),
        # Keys that are no text.
        (b"\x82\x01\x02\xa2op\xa4ping", ("malformed", None, False)),
        (b"\x82\xc4\x01a\x02\xa2op\xa4ping", ("malformed", None, False)),
        (b"\x82\x91\x01\x02\xa2op\xa4ping", ("malformed", None, False)),
        (b"\x83\xa2op\xa4send\xa3ref\x03\xa4body\x81\x01\x02", ("invalid_field", 3, True)),
        (SEND_MSGPACK % b"\x81\x81\x01\x02\x03", ("malformed", 3, False)),
        # A timestamp beyond the year 9999, and one of no known length.
        (SEND_MSGPACK % (b"\xd7\xff" + b"\xff" * 8), ("invalid_field", 3, True)),
        (SEND_MSGPACK % b"\xd4\xff\x00", ("invalid_field", 3, True)),
        # Where a field is typed, an extension or bytes are no text and no number.
        (b"\x82\xa2op\xd4\x05\x00\xa3ref\x03", ("malformed", 3, False)),
        (b"\x82\xa2op\xc4\x04ping\xa3ref\x03", ("malformed", 3, False)),
        (b"\x82\xa2op\xa4ping\xa3ref\xd6\xff\x00\x00\x00\x00", ("invalid_field", None, True)),
        (b"\x82\xa2op\xa4ping\xa3ref\xc4\x01\x03", ("invalid_field", None, True)),
    ],
)  # fmt: skip
def test_hostile_msgpack_is_explained(
    payload: bytes, expected: tuple[str, int | None, bool]
) -> None:
    """Whatever msgpack bytes hold, the answer says whether the map or a field is at fault."""
    assert refused(payload, "msgpack") == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    "message",
    [
        {"op": "x" * 100_000, "ref": 3},
        {"op": "\x01" * 100_000, "ref": 3},
        {"op": "create", "kind": "k" * 100_000, "ref": 3},
        {"op": "presence", "status": "😀" * 20_000, "ref": 3},
        {"op": "send", "room": "r" * 100_000, "body": {}, "ref": 3},
        {"op": "send", "room": "r", "body": "b" * 100_000, "ref": 3},
        {"op": "typing", "room": "r", "on": "o" * 100_000, "ref": 3},
        {"op": "watch", "users": ["u" * 100_000], "ref": 3},
        {"f" * 100_000: 1, "op": "send", "ref": 3},
    ],
)
def test_an_answer_is_short_however_long_the_question(form: Format, message: object) -> None:
    """What a client sent is not sent back whole; the answer still names op or field."""
    found = read(plain(message, form), form)

    assert isinstance(found, BadCommand)
    assert found.failed.ref == 3
    assert len(found.failed.message) <= EXPLANATION_CHARS_MAX + 80
