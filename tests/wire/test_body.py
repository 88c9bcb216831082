"""Laws of `_wire.body`: the JSON data model, the same in both formats, and storable."""

import json
import math
from datetime import UTC, datetime
from typing import Any

import msgpack
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wire_values import BODIES, FORMS, SCALARS, TEXT, independent, plain, same

from triolet._model.commands import Send
from triolet._model.entries import Message, Record
from triolet._model.errors import ErrorCode, Refusal
from triolet._model.limits import Limits
from triolet._wire.body import check_body
from triolet._wire.codec import decode_command, encode_body, encode_entry, pack_fact

DEPTH_MAX = Limits().body_depth_max

laws = settings(derandomize=True, deadline=None, max_examples=40)
fuzz = settings(derandomize=True, deadline=None, max_examples=150)


def is_data(value: object, depth: int) -> bool:
    """The JSON data model as the protocol has it, said another way than in the code."""
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        keys_are_text = all(isinstance(key, str) for key in value) or isinstance(value, list)
        return keys_are_text and depth < DEPTH_MAX and all(is_data(x, depth + 1) for x in inner)
    if isinstance(value, str):
        return "\0" not in value and not any("\ud800" <= char <= "\udfff" for char in value)
    if isinstance(value, int):
        return abs(value) < 2**53
    return value is None or (isinstance(value, float) and math.isfinite(value))


def passes(body: Any) -> bool:
    try:
        check_body(body, depth_max=DEPTH_MAX)
    except Refusal as refusal:
        return refusal.code is not ErrorCode.INVALID_FIELD
    return True


BAD_TEXT = st.text(st.sampled_from("a\0é\ud800"), max_size=2)
BAD = st.sampled_from(
    [b"", b"x", math.nan, math.inf, -math.inf, 2**53, -(2**53), 2**64, (), ("a",),
     datetime.now(UTC), msgspec.msgpack.Ext(5, b""), object(), 1j],
)  # fmt: skip
KEYS = BAD_TEXT | st.sampled_from([1, None, True, 1.5, b"k", (1, 2)])
ALMOST_JSON = st.recursive(
    SCALARS | BAD | BAD_TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)


def nested(inner: object, depth: int) -> object:
    for level in range(depth):
        inner = {"a": inner} if level % 2 else [inner]
    return inner


@fuzz
@given(st.dictionaries(TEXT | KEYS, ALMOST_JSON, max_size=2), st.integers(0, 16), TEXT)
def test_exactly_the_data_model_passes(body: Any, depth: int, key: str) -> None:
    """What passes is what another definition of the JSON data model lets pass."""
    assert passes(body) is is_data(body, 0)
    deeper = {key: nested(body, depth)}
    assert passes(deeper) is is_data(deeper, 0)


@pytest.mark.parametrize("depth", range(1, 20))
def test_what_depth_means(depth: int) -> None:
    """`{"a": 1}` is depth 1; 16 levels of maps and lists pass, 17 do not, even if empty."""
    body: object = 1
    for _ in range(depth - 1):
        body = [body]

    assert passes({"a": body}) is (depth <= 16)
    for empty in ({}, []):
        deepest: object = empty
        for _ in range(depth - 2):
            deepest = {"x": deepest}
        assert passes({"a": deepest}) is (max(depth, 2) <= 16)


@pytest.mark.parametrize(
    ("value", "good"),
    [
        (2**53 - 1, True),
        (1 - 2**53, True),
        (2**53, False),
        (-(2**53), False),
        (1e308, True),
        (2.0**53, True),
        (math.nan, False),
        (math.inf, False),
        (-math.inf, False),
        (-0.0, True),
        (True, True),
        ("", True),
        ("\0", False),
        ("a\0b", False),
        ("\x01\x7f\u2028\ufeff\uffff", True),
        ("\ud800", False),
        ("é\udfff", False),
        (b"", False),
        ((), False),
    ],
)
def test_the_edges_of_the_data_model(value: object, good: bool) -> None:
    """As a value, as a key where it can be one, alone, beside another and further down."""
    for body in ({"a": value}, {"a": value, "b": 1}, {"a": [value]}, {"a": {"b": value}}):
        assert passes(body) is good
    if isinstance(value, str):
        for body in ({value: "a"}, {value: 1}, {"a": {value: 1}}):
            assert passes(body) is good


@pytest.mark.parametrize("key", [1, None, True, 1.5, b"a", (), ("a",)])
def test_keys_are_strings(key: object) -> None:
    """At every level."""
    assert not passes({key: 1})
    assert not passes({key: "a"})
    assert not passes({"a": {key: 1}})


@laws
@given(BODIES, st.integers(0, 3))
def test_both_formats_are_judged_alike(body: dict[str, Any], odd: int) -> None:
    """The same message, good or bad, gets the same verdict in both formats."""
    body = {**body, "odd": [None, "\0", 2**53, nested(1, 20)][odd]}
    command = {"op": "send", "room": "r", "body": body}
    verdicts = []
    for form in FORMS:
        found = decode_command(plain(command, form), form)
        assert isinstance(found, Send)
        assert same(found.body, body)
        verdicts.append(passes(found.body))

    assert verdicts == [odd == 0] * 2


@fuzz
@given(st.dictionaries(TEXT | KEYS, ALMOST_JSON, max_size=3))
def test_what_passes_survives_every_change_of_format(body: Any) -> None:
    """To msgpack, to JSON and back: that changes no value, no type, no order."""
    if passes(body):
        packed = encode_body(body)
        text = msgspec.json.encode(msgspec.msgpack.decode(packed))
        assert same(json.loads(text), body)
        assert msgspec.msgpack.encode(msgspec.json.decode(text)) == packed
        assert same(msgpack.unpackb(packed), body)


@fuzz
@given(st.dictionaries(TEXT | KEYS, ALMOST_JSON, max_size=3))
def test_what_passes_can_be_stored_and_told(body: Any) -> None:
    """A refusal is the only exception on the way to the store: after it, packing succeeds."""
    if passes(body):
        record = Record("r", 1, 1, "message", "anna", 5, "c", pack_fact(Message(body)))
        for form in FORMS:
            assert same(independent(encode_entry(record, form), form)["body"], body)


def test_the_depth_is_the_callers() -> None:
    """`depth_max` is a limit that can be set."""
    check_body({"a": {"b": []}}, depth_max=3)
    with pytest.raises(Refusal, match="nested too deeply"):
        check_body({"a": {"b": []}}, depth_max=2)
