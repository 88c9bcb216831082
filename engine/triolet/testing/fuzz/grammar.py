"""Commands as plain maps, made from their types so that none can be forgotten, and damaged."""

from collections.abc import Callable, Sequence
from functools import cache
from random import Random
from typing import Any, Final, TypeAlias, get_args

import msgspec
from msgspec import inspect

from triolet._model.commands import Command
from triolet._wire.codec import Format

Map: TypeAlias = dict[str, Any]
_Make: TypeAlias = Callable[[Random], object]

USERS: Final = ("anna", "ben", "carol", "u@example.org")
ROOMS: Final = ("r0", "r1", "r2", "r3", "dm:anna:ben")
_CIDS: Final = tuple(f"c{number}" for number in range(20))
_SMALL: Final = (0, 1, 2, 3, 5, 8, 100, 2**53 - 1)
_BODIES: Final[tuple[Map, ...]] = (
    {}, {"text": "hello"}, {"text": "é€😀"}, {"n": -1, "f": 0.5, "l": [1, [2, {"m": None}]]},
    {"t": True, "big": 2**53 - 1}, {"text": "x" * 300}, {"a": {"b": {"c": {"d": []}}}},
)  # fmt: skip
# By what a field is called, so that commands meet each other's rooms, users and entries.
_BY_NAME: Final[dict[str, Sequence[object]]] = {
    "room": ROOMS, "user": USERS, "to": USERS, "cid": _CIDS, "token": USERS, "target": _SMALL,
    "reply_to": _SMALL, "read": _SMALL, "delivered": _SMALL, "seq": _SMALL, "before": _SMALL,
    "device": ("phone", "laptop"), "to_device": ("phone", "laptop"), "emoji": ("👍", "x"),
}  # fmt: skip
_TEXTS: Final = ("", "a", "Tea", "é" * 64, "x" * 65, "0", "1" * 20)
# What no field expects, and decoders have stumbled over.
HOSTILE: Final[tuple[object, ...]] = (
    None, True, -1, 2**53, 2**63, 2**64 - 1, -(2**63), 1e308, -0.0, 0.5, "", "\0", "a\0b",
    "é" * 100,
    "x" * 9_000, [], {}, [[]], [[[[[[]]]]]], {"op": "ping"}, {"": {}}, ["r0", "e", -1], [1] * 300,
    {str(number): number for number in range(100)}, "\u202e", "dm:", "dm:b:a", " ", "\n",
)  # fmt: skip
_COMMANDS: Final = get_args(Command)
_encode_msgpack: Final = msgspec.msgpack.Encoder().encode
_encode_json: Final = msgspec.json.Encoder().encode


def encoded(value: object, form: Format) -> bytes:
    """Return a plain value as bytes."""
    return _encode_msgpack(value) if form == "msgpack" else _encode_json(value)


def command(chance: Random) -> Map:
    """Return a well-formed command as a map; which fields it has is left to chance."""
    return _maker(chance.choice(_COMMANDS))(chance)


def one_of_each(chance: Random) -> list[Map]:
    """Return a command of every op."""
    return [_maker(kind)(chance) for kind in _COMMANDS]


def damaged(found: Map, chance: Random) -> Map:
    """Return a map with one value replaced, lost, repeated under another name, or added."""
    found = dict(found)
    way, key = chance.randrange(5), chance.choice(list(found))
    if way == 0:
        del found[key]
    elif way == 1:
        found[chance.choice(("x", "", key.upper(), "\0", "op "))] = chance.choice(HOSTILE)
    elif way == 2 and isinstance(found[key], dict):
        found[key] = {**found[key], chance.choice(("a", "\0", "")): chance.choice(HOSTILE)}
    else:
        found[key] = chance.choice(HOSTILE)
    return found


@cache
def _maker(kind: type[msgspec.Struct]) -> Callable[[Random], Map]:
    """Return what makes commands of one kind."""
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    fields = [
        (field.encode_name, field.required, _field_maker(field.name, field.type))
        for field in info.fields
    ]

    def make(chance: Random) -> Map:
        made: Map = {"op": info.tag}
        for name, is_required, maker in fields:
            if is_required or chance.random() < 0.5:
                made[name] = maker(chance)
        return made

    return make


def _field_maker(name: str, kind: inspect.Type) -> _Make:
    if name in _BY_NAME:
        values = _BY_NAME[name]
        return lambda chance: chance.choice(values)
    return _value_maker(kind)


def _value_maker(kind: inspect.Type) -> _Make:
    match kind:
        case inspect.Metadata(type=inner):
            return _value_maker(inner)
        case inspect.BoolType():
            return lambda chance: chance.random() < 0.5
        case inspect.IntType():
            return lambda chance: chance.choice((1, 2, 50, 200))
        case inspect.DictType():
            return lambda chance: chance.choice(_BODIES)
        case inspect.LiteralType(values=values):
            return lambda chance: chance.choice(values)
        case inspect.StrType(pattern=pattern):
            texts = USERS if pattern is not None and "x00" not in pattern else _TEXTS
            return lambda chance: chance.choice(texts)
        case inspect.TupleType(item_types=items):
            makers = [_value_maker(item) for item in items]
            return lambda chance: [maker(chance) for maker in makers]
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            make = _value_maker(item)
            return lambda chance: [make(chance) for _ in range(chance.choice((0, 1, 2, 5)))]
        case inspect.UnionType(types=types):
            # What stands for absence is made by leaving the field out.
            return _value_maker(next(one for one in types if not isinstance(one, _ABSENT)))
    raise TypeError(f"no grammar for {kind}")


_ABSENT: Final = (inspect.NoneType, inspect.CustomType)
