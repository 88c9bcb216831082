"""Values of the model made from its types, plain values by other libraries, and what is refused."""

import json
from collections.abc import Callable
from typing import Any, get_args

import msgpack
import msgspec
from hypothesis import strategies as st
from msgspec import UNSET, inspect

from triolet._model.commands import Command
from triolet._model.errors import ErrorCode
from triolet._wire.codec import (
    EXPLANATION_CHARS_MAX,
    BadCommand,
    Format,
    decode_command,
    encode,
)

FORMS: tuple[Format, ...] = get_args(Format)

# --- values ---------------------------------------------------------------------------------


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)
INTEGERS = st.integers(1 - 2**53, 2**53 - 1) | st.sampled_from(
    [0, -1, 127, 128, 2**32, 2**53 - 1, 1 - 2**53]
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 1.0, -3.0, 1e16, 1e22, 5e-324, 1.7976931348623157e308, 2.0**53, 1e-7]
)
SCALARS = st.none() | st.booleans() | INTEGERS | FLOATS | TEXT
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
BODIES = st.dictionaries(TEXT, JSON, max_size=3)


def numbers(kind: inspect.IntType) -> st.SearchStrategy[int]:
    low = 1 - 2**53 if kind.ge is None else kind.ge
    high = kind.le if kind.le is not None else 2**53 if kind.lt is None else kind.lt
    return st.sampled_from([low, high - 1]) | st.integers(low, high - 1)


def texts(kind: inspect.StrType) -> st.SearchStrategy[str]:
    if kind.pattern is not None and "x00" not in kind.pattern:
        return st.from_regex(kind.pattern)
    return st.text(
        st.characters(exclude_characters="\0", exclude_categories=["Cs"]),
        min_size=kind.min_length or 0,
        max_size=min(kind.max_length or 6, 6),
    )


def values(kind: inspect.Type) -> st.SearchStrategy[Any]:
    """What a type admits, so that no field can be forgotten here."""
    match kind:
        case inspect.Metadata(type=inner):
            return values(inner)
        case inspect.IntType():
            return numbers(kind)
        case inspect.StrType():
            return texts(kind)
        case inspect.DictType(value_type=inspect.AnyType()):
            return BODIES
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(values(key), values(value), max_size=2)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            lists = st.lists(values(item), max_size=2)
            return lists if isinstance(kind, inspect.ListType) else lists.map(tuple)
        case inspect.TupleType(item_types=items):
            return st.tuples(*map(values, items))
        case inspect.UnionType(types=kinds):
            return st.one_of(map(values, kinds))
        case inspect.StructType(cls=cls):
            return structs(cls)
    scalars: dict[type[inspect.Type], Callable[[], st.SearchStrategy[Any]]] = {
        inspect.NoneType: st.none,
        inspect.BoolType: st.booleans,
        inspect.FloatType: lambda: FLOATS,
    }
    if isinstance(kind, inspect.LiteralType):
        return st.sampled_from(kind.values)
    return scalars[type(kind)]()


def structs(cls: type[msgspec.Struct]) -> st.SearchStrategy[Any]:
    found = inspect.type_info(cls)
    assert isinstance(found, inspect.StructType)
    return st.builds(cls, **{field.name: field_values(field) for field in found.fields})


def field_values(field: inspect.Field) -> st.SearchStrategy[Any]:
    found = values(field.type)
    return st.just(UNSET) | found if field.default is UNSET else found


COMMANDS = get_args(Command)
ANY_COMMAND = st.one_of(map(structs, COMMANDS))


# --- plain values ---------------------------------------------------------------------------


def independent(payload: bytes, form: Format) -> Any:
    """The payload as other libraries than ours read it."""
    return msgpack.unpackb(payload) if form == "msgpack" else json.loads(payload)


def plain(value: object, form: Format) -> bytes:
    """A plain value as another library than ours writes it."""
    return msgpack.packb(value) if form == "msgpack" else json.dumps(value).encode()


def same(one: object, other: object) -> bool:
    """Equal, and of equal types down to the sign of zero: 1 is not 1.0 is not True."""
    return repr(one) == repr(other)


# --- commands, or what is wrong with them ---------------------------------------------------


def read(payload: bytes, form: Format) -> Command | BadCommand:
    """A command or what is wrong with it; anything else is raised, and fails the test.

    Whatever was sent, the answer can be sent in both formats, and is short.
    """
    try:
        return decode_command(payload, form)
    except BadCommand as bad:
        error = bad.failed
        assert error.code in (2001, 2002, 2003)
        assert error.reason == ErrorCode(error.code).reason
        assert 0 < len(error.message) <= EXPLANATION_CHARS_MAX + 80
        assert error.ref is None or 0 <= error.ref < 2**53
        for answer in FORMS:
            assert len(encode(error, answer)) < 2000
        return bad


def refused(payload: bytes, form: Format) -> tuple[str, int | None, bool]:
    found = read(payload, form)
    assert isinstance(found, BadCommand)
    return found.failed.reason, found.failed.ref, found.is_map
