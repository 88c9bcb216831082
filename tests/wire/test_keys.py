"""Laws of `_wire.keys`: keys that are no text are found before anything hashes them."""

import struct
from collections.abc import Iterator
from typing import get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import inspect
from wire_values import ANY_COMMAND, BODIES, COMMANDS, plain, refused

from triolet._model.commands import Command, Send, SendSignal
from triolet._model.limits import Limits
from triolet._wire import codec
from triolet._wire.codec import decode_command, encode_command
from triolet._wire.keys import ARRAYS_MAX, NESTING_MAX, UNCHECKED_BYTES_MAX, check_keys

laws = settings(derandomize=True, deadline=None, max_examples=50)

# The constants of CPython's hash of tuples, which is xxHash without a key (Objects/tupleobject.c).
PRIME_1, PRIME_2, PRIME_5 = 11400714785074694791, 14029467366897019727, 2870177450012600261
BITS = 2**64 - 1


def colliding(count: int) -> list[tuple[int, int]]:
    """Pairs of numbers that share one hash: for any first number there is nearly a second one."""
    pairs: list[tuple[int, int]] = []
    wanted, first = 12345678901234567, 0
    while len(pairs) < count:
        first += 1
        lane = (PRIME_5 + first * PRIME_2) & BITS
        lane = ((lane << 31) | (lane >> 33)) * PRIME_1 & BITS
        before = wanted * pow(PRIME_1, -1, 2**64) & BITS
        before = ((before << 33) | (before >> 31)) & BITS
        second = (before - lane) * pow(PRIME_2, -1, 2**64) & BITS
        second = second - 2**64 if second >= 2**63 else second
        # A number beyond the prime 2^61 - 1 hashes to another one.
        if abs(second) < 2**61 - 1 and second != -1:
            pairs.append((first, second))
    return pairs


def message(op: str, name: str, value: bytes) -> bytes:
    """A command in msgpack whose `name` holds `{"a": value}`."""
    head = {"op": op, "ref": 3, "room": "r", "kind": "k", name: None}
    return plain(head, "msgpack")[:-1] + b"\x81\xa1a" + value


def flood(count: int) -> bytes:
    """A map with so many keys of one hash."""
    keys = b"".join(plain(pair, "msgpack") + b"\xc0" for pair in colliding(count))
    return b"\xdf" + struct.pack(">I", count) + keys


def test_keys_of_one_hash_are_cheap_to_make() -> None:
    """Why this module exists: anybody can make them, and a dict compares each with each."""
    pairs = colliding(ARRAYS_MAX)

    assert len(set(pairs)) == ARRAYS_MAX
    assert len({hash(pair) for pair in pairs}) == 1


@pytest.mark.parametrize(("op", "name"), [("send", "body"), ("edit", "body"), ("signal", "data")])
@pytest.mark.parametrize("wrap", [b"", b"\x91", b"\x92\xc0", b"\x81\xa1b", b"\x91" * 9])
def test_a_flood_is_refused_before_it_is_hashed(
    monkeypatch: pytest.MonkeyPatch, op: str, name: str, wrap: bytes
) -> None:
    """Wherever the map lies, the decoder that would hash its keys never sees the message."""
    monkeypatch.setattr(codec, "_msgpack_command", pytest.fail)

    assert refused(message(op, name, wrap + flood(200)), "msgpack") == ("invalid_field", 3, True)


def containers() -> Iterator[bytes]:
    """Each way to begin a list or a map, up to its last item."""
    for count in range(1, 16):
        yield bytes((0x90 + count,)) + b"\xc0" * (count - 1)
        yield bytes((0x80 + count,)) + b"\xa1k\xc0" * (count - 1) + b"\xa1k"
    yield from (b"\xdc\x00\x01", b"\xdd\x00\x00\x00\x01")
    yield from (b"\xde\x00\x01\xa1k", b"\xdf\x00\x00\x00\x01\xa1k")


def test_every_kind_of_list_and_map_is_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short, long and very long ones: no header hides what is inside."""
    monkeypatch.setattr(codec, "_msgpack_command", pytest.fail)
    inside = flood(200)
    for begun in containers():
        payload = message("send", "body", begun + inside)
        assert refused(payload, "msgpack") == ("invalid_field", 3, True)


def test_a_flood_in_a_field_unknown_is_never_decoded() -> None:
    """What is ignored is skipped, not hashed; so is the field of another op."""
    for name in ("unknown", "ref2", "limit2"):
        payload = message("ping", name, flood(200))
        assert isinstance(decode_command(payload, "msgpack"), get_args(Command))


def test_what_is_not_looked_at_is_harmless() -> None:
    """The largest flood that fits below the bounds has too few keys to cost anything."""
    count = 0
    while len(flood(count)) <= UNCHECKED_BYTES_MAX:
        count += 1

    assert count < 100
    assert ARRAYS_MAX < 100


def test_no_good_body_is_too_deep() -> None:
    """What the limits allow is looked at to its end."""
    assert Limits().body_depth_max < NESTING_MAX


def test_few_arrays_pass_in_a_message_of_any_length() -> None:
    """A long message with few arrays has few such keys; `check_body` refuses them later."""
    value = b"\x82\x92\x01\x02\xc0\xa1b\xda" + struct.pack(">H", 4000) + b"x" * 4000
    found = decode_command(message("send", "body", value), "msgpack")

    assert isinstance(found, Send)
    assert (1, 2) in found.body["a"]


@pytest.mark.parametrize("depth", [1, NESTING_MAX - 2, NESTING_MAX - 1, NESTING_MAX + 5, 900])
def test_looking_ends_at_a_depth_no_body_may_have(depth: int) -> None:
    """Deeper maps are refused unseen: each level costs a look at all that is in it."""
    value = b"\x91" * depth + b"\xdc\x04\x00" + b"\x90" * 1024
    payload = message("send", "body", value)
    if depth < NESTING_MAX - 1:
        check_keys(payload)
    else:
        with pytest.raises(msgspec.ValidationError, match="nested too deeply"):
            check_keys(payload)


@laws
@given(BODIES, st.sampled_from(["x" * 3000, [[1]] * 1500, [{}] * 1500, [[{"k": [2]}]] * 300]))
def test_a_good_body_passes(body: dict[str, object], long: object) -> None:
    """However long, and however many lists and maps: text keys are all that is asked for."""
    command = Send(room="r", body={**body, "long": long})
    payload = encode_command(command, "msgpack")

    assert len(payload) > UNCHECKED_BYTES_MAX
    assert decode_command(payload, "msgpack") == command


@laws
@given(ANY_COMMAND)
def test_every_good_command_passes(command: Command) -> None:
    """A check that is not needed changes nothing."""
    check_keys(encode_command(command, "msgpack") + b"")
    padded = plain(
        {**msgspec.msgpack.decode(encode_command(command, "msgpack")), "pad": [[1]] * 1500},
        "msgpack",
    )

    assert decode_command(padded, "msgpack") == command


@pytest.mark.parametrize(
    "value", [b"", b"\xc1" * 2000, b"\x91" * 2000, b"\xdd\xff\xff\xff\xff" * 400]
)
def test_what_is_no_msgpack_is_a_decode_error(value: bytes) -> None:
    """Half a message is found out here or by the decoder, as the same kind of error."""
    payload = b"\x82\xa2op\xa4send\xa4body\x81\xa1a" + value

    assert refused(payload, "msgpack") == ("malformed", None, False)


def test_a_body_that_is_no_map_is_the_decoders_to_refuse() -> None:
    """It holds no keys of its own, and the type of the field says no."""
    for body in (b"\xda\x10\x00" + b"x" * 4096, b"\xdc\x08\x00" + b"\x91\x01" * 2048, b"\xc0"):
        payload = b"\x83\xa2op\xa4send\xa4room\xa1r\xa4body" + body
        assert refused(payload, "msgpack") == ("invalid_field", None, True)


def test_only_body_and_data_hold_maps_of_the_clients_making() -> None:
    """A new field of free form has to be looked at here as well."""
    free = {
        (kind, field.encode_name)
        for kind in COMMANDS
        for field in inspect.type_info(kind).fields  # type: ignore[attr-defined]
        if any(isinstance(part, inspect.DictType | inspect.AnyType) for part in parts(field.type))
    }

    assert {name for _, name in free} == {"body", "data"}
    assert SendSignal in {kind for kind, _ in free}


def parts(kind: inspect.Type) -> list[inspect.Type]:
    """A type and the types inside it."""
    inside = [getattr(kind, "item_type", None), *getattr(kind, "types", ())]
    inside += getattr(kind, "item_types", ())
    return [kind, *(part for inner in inside if inner is not None for part in parts(inner))]
