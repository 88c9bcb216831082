"""Law of `_model.json`: a body is a map with text keys, whatever it holds."""

import msgspec
import pytest

from triolet._model.json import JsonMap


@pytest.mark.parametrize("value", [{}, {"": None}, {"a": {"b": [1, 2.5, True, "x", None]}}])
def test_a_map_is_taken_as_it_is(value: JsonMap) -> None:
    """Decoding changes nothing."""
    assert msgspec.json.decode(msgspec.json.encode(value), type=JsonMap) == value
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=JsonMap) == value


@pytest.mark.parametrize("value", [None, 1, "x", [], [{}], True, {1: 2}, {b"a": 2}])
def test_nothing_else_is_a_body(value: object) -> None:
    """A list, a scalar, or a map whose keys are no text is refused while it is decoded."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.msgpack.decode(msgspec.msgpack.encode(value), type=JsonMap)
