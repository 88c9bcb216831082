"""Law: `engine/PROTOCOL.md` and the code say the same.

What the document claims in tables is compared with the Structs that decode and encode the wire,
field by field and type by type, so neither can change alone. What each request is answered with
is asked of a running engine.
"""

import re
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgpack
import msgspec
import pytest
import trio
from msgspec import UNSET, UnsetType

from triolet._domain.fold import REACTION_EMOJIS_MAX, REACTION_USERS_MAX
from triolet._domain.room import RANK, manages, writes
from triolet._domain.session import CLOSE_OF_REFUSED_HELLO
from triolet._model import commands, entries, events, ids, observation
from triolet._model.errors import CloseCode, ErrorCode
from triolet._model.limits import Limits
from triolet._model.limits import told as bounds_told
from triolet._runtime.engine import Engine
from triolet._runtime.pipe import Pipe
from triolet._wire.codec import EntryHeader
from triolet._wire.frames import FRAGMENTS_MAX
from triolet._wire.handshake import JSON_SUBPROTOCOL, MSGPACK_SUBPROTOCOL
from triolet.adapters.memory.store import MemoryStore
from triolet.adapters.system import SystemClock, SystemEntropy
from triolet.ports.gate import FOREVER, Action, Identity, Opening

DOCUMENT = Path(__file__).parent.parent / "engine" / "PROTOCOL.md"
TEXT = DOCUMENT.read_text()

# --- reading the document ------------------------------------------------------------------


def table(heading: str) -> list[list[str]]:
    """Return the cells of the one table under a heading, without its head."""
    parts = re.split(r"^#{2,4} ", TEXT, flags=re.MULTILINE)
    (section,) = [part for part in parts if part.split("\n", 1)[0] == heading]
    lines = [line for line in section.split("\n") if line.startswith("|")]
    assert lines, f"no table under {heading!r}"
    assert set(lines[1]) <= set("|-: ")
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def codes(cell: str) -> list[str]:
    """Return what stands in backticks."""
    return re.findall(r"`([^`]+)`", cell)


def shapes(heading: str) -> dict[str, dict[str, str]]:
    """Return `{name: {field: type}}` of a table whose second column lists fields."""
    return {
        codes(name)[0]: dict(field.split(": ", 1) for field in codes(fields))
        for name, fields, *_ in table(heading)
    }


# --- reading the code ----------------------------------------------------------------------

NAMED = {
    ids.User: "User",
    ids.Room: "Room",
    ids.Seq: "uint",
    commands.Device: "Device",
    entries.Role: "Role",
    entries.RoomKind: "Kind",
    commands.Status: "Status",
    str: "str",
    bool: "bool",
    int: "int",
    float: "number",
    dict[str, Any]: "map",
    dict[str, int | float]: "{str: number}",
    dict[str, float]: "{str: number}",
    dict[str, int]: "{str: int}",
    dict[str, entries.Reaction]: "{emoji: Reaction}",
}


def notation(kind: Any) -> str:
    """Write a type as the document does."""
    if kind in NAMED:
        return NAMED[kind]
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        return notation(args[0]) + bounds(args[1])
    if origin is Literal:
        return "/".join(f'"{value}"' for value in args)
    if origin in (Union, UnionType):
        return "/".join(notation(one) for one in args if one is not UnsetType)
    if origin is list or (origin is tuple and args[-1] is Ellipsis):
        return f"[{notation(args[0])}…]"
    if origin is tuple:
        return f"[{', '.join(map(notation, args))}]"
    return "null" if kind is NoneType else kind.__name__


def bounds(meta: msgspec.Meta) -> str:
    """Write a type's bounds."""
    if meta.max_length is None:
        return f" {meta.ge}-{meta.le}"
    return f" {meta.min_length}-{meta.max_length}" if meta.min_length else f" ≤{meta.max_length}"


def fields_of(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Return `{field: type}`; what may be absent has a `?`."""
    found = {}
    for field in msgspec.structs.fields(struct):
        kind = field.type
        is_optional = not field.required
        if is_optional and field.default in (None, UNSET):
            rest = tuple(one for one in get_args(kind) if one not in (NoneType, UnsetType))
            kind = Union[rest]  # noqa: UP007 - of a tuple
        found[field.encode_name + "?" * is_optional] = notation(kind)
    return found


def tag_of(struct: type[msgspec.Struct]) -> str:
    tag = struct.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def without_ref(fields: dict[str, str]) -> dict[str, str]:
    return {name: kind for name, kind in fields.items() if name != "ref?"}


COMMANDS = get_args(commands.Command)
REPLIES = get_args(events.Reply)
EVENTS = get_args(events.Event)
FACTS = get_args(entries.Fact)

# --- the tables ----------------------------------------------------------------------------


def test_every_op_is_there_with_its_fields() -> None:
    expected = {tag_of(command): without_ref(fields_of(command)) for command in COMMANDS}

    assert shapes("Ops") == expected


def test_every_op_but_hello_may_carry_ref() -> None:
    with_ref = [command for command in COMMANDS if "ref?" in fields_of(command)]

    assert with_ref == [command for command in COMMANDS if command is not commands.Hello]
    assert {fields_of(command)["ref?"] for command in with_ref} == {"uint"}


def test_every_answer_is_there_with_its_fields() -> None:
    expected = {reply.__name__: without_ref(fields_of(reply)) for reply in REPLIES}

    assert shapes("Answers") == expected


def test_every_op_names_its_answer() -> None:
    named = {codes(op)[0]: codes(answer) for op, _, answer, *_ in table("Ops")}
    known = [*(reply.__name__ for reply in REPLIES), tag_of(events.Welcome)]

    assert all(named.values())
    assert sorted({name for names in named.values() for name in names}) == sorted(known)


def test_every_part_is_there_with_its_fields() -> None:
    parts = (
        entries.FoldedMessage,
        entries.Reaction,
        events.InboxRow,
        events.Refused,
        events.Subscription,
        observation.NodeStatistics,
        observation.Quantiles,
    )

    assert shapes("Parts") == {part.__name__: fields_of(part) for part in parts}


def test_every_event_is_there_with_its_fields() -> None:
    told = (events.Welcome, events.Failed, *EVENTS)
    expected = {tag_of(event): fields_of(event) for event in told}
    expected["entry"] = fields_of(EntryHeader) | {"kind": notation(entries.FactKind)}

    assert shapes("Events") == expected


def test_every_kind_of_entry_is_there_with_its_fields() -> None:
    assert shapes("Entries") == {tag_of(fact): fields_of(fact) for fact in FACTS}


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("User", ids.USER_PATTERN), ("Room", ids.ROOM_PATTERN)],
)
def test_names_have_the_pattern_that_is_checked(name: str, pattern: str) -> None:
    told = {codes(cell)[0]: codes(what) for cell, what in table("Types")}

    assert told[name] == [pattern.removeprefix("^").removesuffix(r"\Z")]


def test_words_are_those_that_are_known() -> None:
    told = {codes(cell)[0]: codes(what) for cell, what in table("Types")}

    assert told["Role"] == list(get_args(entries.Role))
    assert told["Kind"] == list(get_args(entries.RoomKind))
    assert told["Status"] == list(get_args(commands.Status))


def test_every_error_is_there() -> None:
    told = {int(code): codes(reason)[0] for code, reason, _ in table("Errors")}

    assert told == {code.value: code.reason for code in ErrorCode}


def test_every_close_is_there_with_what_a_client_does() -> None:
    told = {int(code): then.startswith("stop") for code, _, then in table("Closes")}

    assert told == {code.value: code.is_final for code in CloseCode}


def test_every_close_of_a_refused_hello_is_there() -> None:
    told = {codes(reason)[0]: int(code) for reason, code in table("A refused hello")}
    others = told.pop("any other")

    assert told == {code.reason: close for code, close in CLOSE_OF_REFUSED_HELLO.items()}
    assert others == CloseCode.UNAUTHENTICATED


def test_every_limit_told_is_there_with_its_default() -> None:
    told = {codes(name)[0]: number(value) for name, value, _ in table("Limits told in `welcome`")}

    assert told == bounds_told(Limits())


def test_other_limits_are_those_of_the_code() -> None:
    told = {codes(name)[0]: number(value) for name, value, _ in table("Other limits")}

    assert told == {name: getattr(Limits(), name) for name in told}


def test_numbers_of_the_prose_are_those_of_the_code() -> None:
    assert f"at most {FRAGMENTS_MAX:,} fragments" in TEXT
    assert f"at most {REACTION_EMOJIS_MAX} emojis" in TEXT
    assert REACTION_USERS_MAX == 10
    assert "ten users under each" in TEXT
    assert {field.default for field in msgspec.structs.fields(commands.History)} >= {50}
    assert "`limit` is 50 where absent" in TEXT


def number(cell: str) -> float:
    return float(cell.replace(",", ""))


def test_roles_do_what_the_table_says() -> None:
    told = {codes(kind)[0]: [codes(cell) for cell in cells] for kind, *cells in table("Rights")}
    roles = sorted(RANK, key=RANK.__getitem__)

    assert told == {
        kind: [
            [role for role in roles if role and writes(kind, role)],
            [role for role in roles if role and manages(kind, role)],
        ]
        for kind in get_args(entries.RoomKind)
    }


def test_both_subprotocols_are_named() -> None:
    assert f"`{MSGPACK_SUBPROTOCOL}`" in TEXT
    assert f"`{JSON_SUBPROTOCOL}`" in TEXT


# --- what a running engine answers ---------------------------------------------------------


class _Gate:
    """Admits everybody under the name that is their token."""

    async def admit(self, token: str | None, opening: Opening) -> Identity:
        del opening
        await trio.lowlevel.checkpoint()
        return Identity(user=token or "", expires_at=FOREVER, roles=("admin",))

    def may(self, who: Identity, action: Action, *, room: str = "", user: str = "") -> None:
        """Leave it to the engine."""


class _Caller:
    """A client of nothing but the `msgpack` package; keeps the keys of what it was answered."""

    def __init__(self, pipe: Pipe) -> None:
        self._pipe = pipe
        self._last_ref = 0
        self.answered: list[tuple[str, frozenset[str]]] = []

    async def ask(self, op: str, **fields: object) -> dict[str, Any]:
        self._last_ref += 1
        await self._pipe.send(msgpack.packb({"op": op, "ref": self._last_ref, **fields}))
        while True:
            answer: dict[str, Any] = msgpack.unpackb(await self._pipe.receive())
            if answer["op"] == "welcome" or answer.get("ref") == self._last_ref:
                break
        assert answer["op"] in ("ok", "welcome"), answer
        self.answered.append((op, frozenset(answer) - {"op", "ref"}))
        return answer


async def _ask_everything(anna: _Caller, ben: _Caller) -> None:
    """Send every op, and once for each answer that the document gives it."""
    await anna.ask("hello")
    await ben.ask("hello", device="phone")
    made = await anna.ask("create", kind="group", title="Tea", members=["ben"])
    tea, epoch = made["room"], made["epoch"]
    await anna.ask("create", kind="group", room="hall", public=True)
    await anna.ask("direct", user="ben")
    await ben.ask("join", room="hall")
    await ben.ask("leave", room="hall")
    await ben.ask("leave", room=tea)
    await anna.ask("invite", room=tea, user="ben")
    await anna.ask("role", room=tea, user="ben", role="admin")
    await anna.ask("kick", room=tea, user="ben")
    await anna.ask("invite", room=tea, user="ben")
    await anna.ask("meta", room=tea, title="Tea and cake")
    await anna.ask("subscribe", room=tea, since=[epoch, 0])
    await anna.ask("subscribe", rooms=[["hall", "", 0], ["nowhere", "", 0]])
    sent = await anna.ask("send", room=tea, body={"text": "hi"}, mentions=["ben"])
    seq = sent["seq"]
    await anna.ask("edit", room=tea, target=seq, body={"text": "hello"})
    await ben.ask("react", room=tea, target=seq, emoji="🙂")
    await ben.ask("history", room=tea)
    await ben.ask("receipt", room=tea, read=seq)
    await anna.ask("receipts", room=tea, seq=seq)
    await ben.ask("typing", room=tea, on=True)
    await ben.ask("signal", room=tea, kind="wave")
    await anna.ask("delete", room=tea, target=seq)
    await anna.ask("unsubscribe", room="hall")
    await anna.ask("delete_room", room="hall")
    await anna.ask("presence", status="away")
    await anna.ask("watch", users=["ben", "zoe"])
    await anna.ask("unwatch", users=["ben"])
    await anna.ask("rooms")
    await anna.ask("sync", have=[["hall", "", 0], ["nowhere", "", 0]])
    await anna.ask("refresh", token="anna")
    await anna.ask("ping")
    await anna.ask("stats", on=True)


async def test_every_op_is_answered_as_the_table_says() -> None:
    clock, entropy = SystemClock(), SystemEntropy()
    store = MemoryStore(clock=clock, entropy=entropy)
    found: dict[str, set[str]] = {}
    async with Engine(
        store=store, gate=_Gate(), clock=clock, entropy=entropy, limits=Limits()
    ) as engine:
        anna, ben = (
            _Caller(engine.open_pipe(Identity(user=user, expires_at=FOREVER, roles=("admin",))))
            for user in ("anna", "ben")
        )
        await _ask_everything(anna, ben)

    answers = shapes("Answers") | {"welcome": shapes("Events")["welcome"]}
    for op, keys in anna.answered + ben.answered:
        names = [name for name, fields in answers.items() if _has_the_keys(fields, keys)]
        found.setdefault(op, set()).update(names)

    assert found == {codes(op)[0]: set(codes(answer)) for op, _, answer, *_ in table("Ops")}


def _has_the_keys(fields: dict[str, str], keys: frozenset[str]) -> bool:
    required = {field for field in fields if not field.endswith("?")}
    return required <= keys <= {field.removesuffix("?") for field in fields}
