"""Laws of `_model.commands`: the protocol's ops by name, field by field, and their bounds."""

from typing import Any, get_args

import msgspec
import pytest
from msgspec import structs

from triolet._model import commands
from triolet._model.commands import Command, Durable

# The protocol's table of requests: op → fields, `?` marks what may be absent.
# Beyond the table: every op but `hello` takes `ref?`; an absent `cid` is minted.
OPS = {
    "hello": "token? device? agent?",
    "create": "ref? cid? room? kind title? members? public?",
    "direct": "ref? user",
    "join": "ref? cid? room",
    "leave": "ref? cid? room",
    "invite": "ref? cid? room user role?",
    "kick": "ref? cid? room user",
    "role": "ref? cid? room user role",
    "meta": "ref? cid? room title? public?",
    "delete_room": "ref? cid? room",
    "subscribe": "ref? room? since? rooms?",
    "unsubscribe": "ref? room",
    "send": "ref? cid? room body reply_to? mentions?",
    "edit": "ref? cid? room target body",
    "delete": "ref? cid? room target",
    "react": "ref? cid? room target emoji on?",
    "history": "ref? room before? after? limit?",
    "receipt": "ref? room delivered? read?",
    "receipts": "ref? room seq after? limit?",
    "typing": "ref? room on",
    "presence": "ref? status? visible_to?",
    "watch": "ref? users",
    "unwatch": "ref? users",
    "signal": "ref? room kind data? to? to_device?",
    "rooms": "ref? after? limit?",
    "sync": "ref? have read?",
    "refresh": "ref? token",
    "ping": "ref?",
    "stats": "ref? on interval_ms?",
}
DURABLE = [
    *("join", "leave", "invite", "kick", "role", "meta", "delete_room"),
    *("send", "edit", "delete", "react"),
]

KINDS = {kind.__struct_config__.tag: kind for kind in get_args(Command)}
# One good message of each op, its required fields only.
GOOD: dict[str, dict[str, Any]] = {
    "hello": {},
    "create": {"kind": "group"},
    "direct": {"user": "anna"},
    "join": {"room": "r"},
    "leave": {"room": "r"},
    "invite": {"room": "r", "user": "anna"},
    "kick": {"room": "r", "user": "anna"},
    "role": {"room": "r", "user": "anna", "role": "admin"},
    "meta": {"room": "r"},
    "delete_room": {"room": "r"},
    "subscribe": {},
    "unsubscribe": {"room": "r"},
    "send": {"room": "r", "body": {}},
    "edit": {"room": "r", "target": 1, "body": {}},
    "delete": {"room": "r", "target": 1},
    "react": {"room": "r", "target": 1, "emoji": "🙂"},
    "history": {"room": "r"},
    "receipt": {"room": "r"},
    "receipts": {"room": "r", "seq": 1},
    "typing": {"room": "r", "on": True},
    "presence": {},
    "watch": {"users": []},
    "unwatch": {"users": []},
    "signal": {"room": "r", "kind": "offer"},
    "rooms": {},
    "sync": {"have": []},
    "refresh": {"token": "t"},
    "ping": {},
    "stats": {"on": True},
}


def read(op: str, **fields: object) -> Command:
    return msgspec.convert({"op": op, **GOOD[op], **fields}, Command)  # type: ignore[arg-type]


def fields_of(kind: type[msgspec.Struct]) -> str:
    return " ".join(
        field.encode_name + ("" if field.required else "?") for field in structs.fields(kind)
    )


def test_the_ops_are_the_protocols() -> None:
    """Each op of the table has one Struct, and there are no others."""
    assert sorted(KINDS) == sorted(OPS)


@pytest.mark.parametrize("op", OPS)
def test_fields_are_the_protocols(op: str) -> None:
    """Each op has the fields written there, and requires those without a `?`."""
    assert sorted(fields_of(KINDS[op]).split()) == sorted(OPS[op].split())


def test_every_final_struct_of_the_module_is_a_command() -> None:
    """Nothing is declared and then forgotten in the union that is decoded."""
    declared = {
        kind
        for name, kind in vars(commands).items()
        if isinstance(kind, type) and issubclass(kind, commands._Op) and not name.startswith("_")
    }

    assert declared == set(get_args(Command))


def test_durable_commands_name_a_room_and_take_a_cid() -> None:
    """They become entries, so a retry needs its key."""
    assert sorted(kind.__struct_config__.tag for kind in get_args(Durable)) == sorted(DURABLE)
    for kind in get_args(Durable):
        assert {"room", "cid"} <= set(kind.__struct_fields__)


@pytest.mark.parametrize("op", OPS)
def test_required_fields_suffice_and_each_is_required(op: str) -> None:
    """The smallest message of each op is read, and without any one of its fields it is not."""
    assert isinstance(read(op), KINDS[op])
    for name in GOOD[op]:
        fields = {key: value for key, value in GOOD[op].items() if key != name}
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert({"op": op, **fields}, Command)  # type: ignore[arg-type]


@pytest.mark.parametrize("op", OPS)
def test_what_is_unknown_is_ignored(op: str) -> None:
    """A newer client's fields do not disturb an older server."""
    assert read(op, some_new_field=[1]) == read(op)


@pytest.mark.parametrize("op", sorted(set(OPS) - {"hello"}))
def test_a_ref_is_repeated(op: str) -> None:
    """Every request carries an unsigned `ref` that a browser can hold, or none."""
    assert read(op, ref=2**53 - 1).ref == 2**53 - 1  # type: ignore[union-attr]
    assert read(op).ref is None  # type: ignore[union-attr]
    for bad in (-1, 2**53, 1.0, "1", True):
        with pytest.raises(msgspec.ValidationError):
            read(op, ref=bad)


@pytest.mark.parametrize(
    ("op", "name", "good", "bad"),
    [
        ("hello", "token", ["", "x" * 8192], ["x" * 8193, 1]),
        ("hello", "device", ["phone:1", "x" * 64], ["", "x" * 65, "a b", "a\n", "é"]),
        ("hello", "agent", ["", "x" * 200], ["x" * 201]),
        ("create", "kind", ["group", "channel"], ["direct", "", "Group", None]),
        ("create", "title", ["", "x" * 200, "Größe"], ["x" * 201, "a\0b", "\0"]),
        ("create", "members", [[], ["u"] * 200], [["u"] * 201, ["a b"], "u"]),
        ("create", "room", ["r", "x" * 160, "dm:a:b"], ["", "x" * 161, "a b", "r\n"]),
        ("create", "cid", ["c", "c" * 64], ["", "c" * 65]),
        ("create", "public", [True, False], [1, "true", None]),
        ("direct", "user", ["a@b.c", "u" * 64], ["", "u" * 65, "a:b", "u\n"]),
        ("invite", "role", ["owner", "admin", "member", "reader"], ["", "Owner", None]),
        ("role", "role", ["owner", "admin", "member", "reader"], ["none", None]),
        ("meta", "title", ["", "x" * 200], ["x" * 201, "a\0", None]),
        ("subscribe", "since", [["e", 0], ["", 2**53 - 1]], [["e"], ["e", -1], ["e", 1, 2]]),
        ("subscribe", "rooms", [[], [["r", "e", 0]] * 200], [[["r", "e", 0]] * 201, [["r"]]]),
        ("send", "body", [{}, {"": []}], [None, [], "x", {1: 2}]),
        ("send", "reply_to", [0, 7], [-1, 2**53, None, "7"]),
        ("send", "mentions", [[], ["u"] * 50], [["u"] * 51, ["a b"], None]),
        ("edit", "target", [0, 7], [-1, 2**53, 1.5]),
        ("react", "emoji", ["x", "x" * 32, "👨‍👩‍👧‍👦"], ["", "x" * 33, "\0", "a\0"]),
        ("react", "on", [True, False], [1, None]),
        ("history", "before", [0, 7, None], [-1, 2**53]),
        ("history", "limit", [1, 200], [0, 201, None]),
        ("receipt", "read", [0, None], [-1]),
        ("receipts", "after", ["u", None], ["a b"]),
        ("receipts", "limit", [1, 200], [0, 201]),
        ("presence", "status", ["online", "away", "dnd", "invisible"], ["offline", ""]),
        ("watch", "users", [["u"] * 500], [["u"] * 501, ["a b"]]),
        ("unwatch", "users", [["u"] * 500], [["u"] * 501]),
        ("signal", "kind", ["x", "x" * 64], ["", "x" * 65]),
        ("signal", "data", [{}], [None, []]),
        ("signal", "to", ["u", None], ["a b"]),
        ("signal", "to_device", ["d:1", None], ["a b"]),
        ("rooms", "after", ["r", None], ["a b"]),
        ("rooms", "limit", [1, 200], [0, 201]),
        ("sync", "have", [[["r", "e", 0]] * 1000], [[["r", "e", 0]] * 1001, [["r", "e", -1]]]),
        ("sync", "read", [None, [], [0] * 1000], [[0] * 1001, [-1], [2**53]]),
        ("stats", "interval_ms", [250, 60_000], [249, 60_001, 1000.5, None]),
        ("refresh", "token", ["x" * 8192], ["x" * 8193, None]),
    ],
)
def test_fields_are_bounded(op: str, name: str, good: list[object], bad: list[object]) -> None:
    """The greatest good value is read, the smallest bad one refused, for every bounded field."""
    for value in good:
        read(op, **{name: value})
    for value in bad:
        with pytest.raises(msgspec.ValidationError):
            read(op, **{name: value})


@pytest.mark.parametrize("op", OPS)
def test_a_command_is_a_value(op: str) -> None:
    """Frozen: what was decided on cannot change before it is stored."""
    command = read(op)

    for name in command.__struct_fields__:
        with pytest.raises(AttributeError):
            setattr(command, name, None)
