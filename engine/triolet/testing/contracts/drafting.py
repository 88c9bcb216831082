"""Short ways to write drafts and to read what came of them."""

from collections.abc import Sequence
from typing import Any

from ..._model.entries import (
    Delete,
    Edit,
    Entry,
    Fact,
    FoldedMessage,
    Member,
    Message,
    React,
    Record,
    Role,
)
from ..._model.errors import ErrorCode
from ..._wire.codec import entry_of, pack_fact
from ...ports.store import (
    Appended,
    Draft,
    HistorySlice,
    Outcome,
    Rejected,
    RoomSpec,
    RoomState,
    Store,
)

# More than any test writes.
ALL = 1_000_000


def draft(room: str, sender: str, cid: str, *facts: Fact, **fields: Any) -> Draft:
    """Return a draft; `op` is `send` unless said otherwise."""
    packed = tuple((fact, pack_fact(fact)) for fact in facts)
    return Draft(
        **{"room": room, "sender": sender, "cid": cid, "op": "send", "facts": packed, **fields}
    )


def founding(
    room: str, owner: str, *others: str, spec: RoomSpec | None = None, cid: str = "create"
) -> Draft:
    """Return the draft that makes a room with an owner and members."""
    members = [Member(owner, "owner"), *(Member(other, "member") for other in others)]
    return draft(room, owner, cid, *members, op="create", create=spec or RoomSpec(kind="group"))


def say(room: str, sender: str, cid: str, text: str = "hello", **fields: Any) -> Draft:
    """Return a plain message; its body tells the text."""
    return draft(room, sender, cid, Message({"text": text}), **fields)


def edit(room: str, sender: str, cid: str, target: int, text: str, **fields: Any) -> Draft:
    """Return an edit."""
    return draft(room, sender, cid, Edit(target, {"text": text}), op="edit", **fields)


def delete(room: str, sender: str, cid: str, target: int, **fields: Any) -> Draft:
    """Return a deletion."""
    return draft(room, sender, cid, Delete(target), op="delete", **fields)


def react(
    room: str, sender: str, cid: str, target: int, emoji: str = "+1", *, on: bool = True
) -> Draft:
    """Return a reaction put or taken back."""
    return draft(room, sender, cid, React(target, emoji, on), op="react")


def react_fact(target: int) -> React:
    """Return a reaction put under `target`."""
    return React(target, "+1", on=True)


def seat(room: str, sender: str, cid: str, user: str, role: Role | None, **fields: Any) -> Draft:
    """Return a change of membership."""
    return draft(room, sender, cid, Member(user, role), op="role", **fields)


async def append(store: Store, *drafts: Draft) -> list[Record]:
    """Append drafts in one batch, see that each was stored, and return all records."""
    records: list[Record] = []
    for one, outcome in zip(drafts, await store.append(drafts), strict=True):
        assert isinstance(outcome, Appended), (one, outcome)
        records += outcome.records
    return records


async def append_one(store: Store, one: Draft) -> Outcome:
    """Append one draft and return its outcome."""
    (outcome,) = await store.append([one])
    return outcome


def is_rejected(outcome: Outcome, code: ErrorCode) -> bool:
    """Whether a draft was rejected with `code`."""
    return isinstance(outcome, Rejected) and outcome.code == code


async def state(store: Store, room: str) -> RoomState:
    """Return the state of a room that exists."""
    found = await store.room(room)
    assert found is not None, room
    return found


async def log(store: Store, room: str) -> list[Entry]:
    """Return all that is kept of a room's log."""
    records = await store.page(room, after=0, upto=ALL, limit=ALL, bytes_max=ALL)
    return [entry_of(record) for record in records]


async def history(store: Store, room: str, user: str = "anna", **fields: Any) -> HistorySlice:
    """Return a page of the history of a room that exists; all of it unless said otherwise."""
    bounds = {"before": None, "after": None, "limit": ALL, "bytes_max": ALL, **fields}
    found = await store.history(room, user, **bounds)
    assert found is not None, room
    return found


def seqs(things: Sequence[Record | Entry | FoldedMessage]) -> list[int]:
    """Return the seqs of records, entries or messages."""
    return [thing.seq for thing in things]


def texts(messages: Sequence[FoldedMessage]) -> list[str | None]:
    """Return the texts of messages; None for those without a body."""
    return [
        message.body["text"] if isinstance(message.body, dict) else None for message in messages
    ]
