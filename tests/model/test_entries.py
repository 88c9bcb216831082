"""Laws of `_model.entries`: the facts of the protocol, and the two halves of an entry."""

from typing import get_args

import msgspec
import pytest
from msgspec import structs

from triolet._model.entries import (
    Entry,
    Fact,
    FactKind,
    FoldedMessage,
    Member,
    Message,
    Reaction,
    Record,
    Role,
    RoomKind,
)

# The protocol's list of entries: kind → fields, `?` marks what may be absent.
# A replayed message or edit whose target was deleted has `erased` and no `body`.
FACTS = {
    "message": "body? reply_to? mentions? erased?",
    "edit": "target body? erased?",
    "delete": "target",
    "react": "target emoji on",
    "member": "user role",
    "meta": "title? public?",
}
# A message of `history`.
FOLDED = "seq n at cid from reactions body? reply_to? mentions? edited_at? erased?"
KINDS = {kind.__struct_config__.tag: kind for kind in get_args(Fact)}


def fields_of(kind: type[msgspec.Struct]) -> list[str]:
    return [f.encode_name + ("" if f.required else "?") for f in structs.fields(kind)]


def test_the_kinds_are_the_protocols() -> None:
    """One Struct a kind, told apart by `kind`; and the names are listed once more as a type."""
    assert sorted(KINDS) == sorted(FACTS)
    assert sorted(get_args(FactKind)) == sorted(FACTS)
    assert {kind.__struct_config__.tag_field for kind in KINDS.values()} == {"kind"}


@pytest.mark.parametrize("kind", FACTS)
def test_fields_are_the_protocols(kind: str) -> None:
    """Each kind has the fields written there, and requires those without a `?`."""
    assert fields_of(KINDS[kind]) == FACTS[kind].split()


def test_a_folded_message_is_the_protocols() -> None:
    """`history` gives these fields, and of each emoji these three."""
    assert sorted(fields_of(FoldedMessage)) == sorted(FOLDED.split())
    assert fields_of(Reaction) == ["count", "mine", "users"]


def test_roles_and_kinds_are_the_protocols() -> None:
    """Three kinds of room, four roles."""
    assert get_args(RoomKind) == ("direct", "group", "channel")
    assert get_args(Role) == ("owner", "admin", "member", "reader")


def test_an_end_of_membership_is_told() -> None:
    """`role: null` is the news of a `member` entry, so it is never left out."""
    assert msgspec.json.encode(Member("anna", None)) == (
        b'{"kind":"member","user":"anna","role":null}'
    )


def test_what_is_absent_takes_no_bytes() -> None:
    """A plain message is its kind and its body."""
    assert msgspec.json.encode(Message({})) == b'{"kind":"message","body":{}}'
    assert msgspec.json.encode(Message(erased=True)) == b'{"kind":"message","erased":true}'


def test_no_field_of_a_fact_is_one_of_the_header() -> None:
    """An entry is two maps written as one: they share no key."""
    header = {"op", "room", "seq", "n", "at", "cid", "from"}

    for kind, struct in KINDS.items():
        assert header.isdisjoint({field.strip("?") for field in fields_of(struct)}), kind


def test_records_and_entries_are_values() -> None:
    """Frozen: all readers of a room share them."""
    record = Record("r", 1, 1, "message", "anna", 5, "c", b"")
    entry = Entry("r", 1, 1, "anna", 5, "c", Message({}))

    for value in (record, entry, entry.fact):
        for name in value.__struct_fields__:
            with pytest.raises(AttributeError):
                setattr(value, name, None)
