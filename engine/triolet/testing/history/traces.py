"""Traces: what a history keeps of facts, entries and folded messages: all but their words.

Bodies become digests, so that a history is small, and of no use to who is curious.
The checker folds digests as a room folds bodies.
"""

from hashlib import blake2b
from typing import final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from ..._model.entries import (
    Delete,
    Edit,
    Entry,
    Fact,
    FactKind,
    FoldedMessage,
    Member,
    Message,
    React,
    Role,
)
from ..._model.json import JsonMap


@final
class Trace(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """A fact without its words: what the checker needs to compare and to fold it.

    Attributes:
        kind: the fact's.
        body: the digest of its body; empty once erased, or where it has none.
        about: the digest of all else it says (reply_to, mentions; a title); empty for nothing.
        target: the seq an edit, a deletion or a reaction points at, else 0.
        emoji: of a reaction.
        on: whether a reaction was put or taken back.
        user: whose membership changed.
        role: what it is now; None: none.
        public: whether guests may read from now on; None: as before.
        erased: whether its body has been taken away by a deletion.
    """

    kind: FactKind
    body: str = ""
    about: str = ""
    target: int = 0
    emoji: str = ""
    on: bool = False
    user: str = ""
    role: Role | None = None
    public: bool | None = None
    erased: bool = False


def digest(content: object) -> str:
    """Return 16 hexadecimal digits that stand for a value of the JSON data model.

    >>> digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1}), digest({"text": "hi"})
    (True, 'c5b979697ef72c46')
    """
    encoded = msgspec.json.encode(content, order="deterministic")
    return blake2b(encoded, digest_size=8).hexdigest()


def trace(fact: Fact) -> Trace:
    """Return what a history keeps of a fact.

    >>> trace(React(7, "👍", on=True))
    Trace(kind='react', body='', about='', target=7, emoji='👍', on=True, user='', role=None, \
public=None, erased=False)
    """
    match fact:
        case Message():
            return Trace(
                kind="message",
                body=_digest_of(fact.body),
                about=_about(fact),
                erased=fact.erased,
            )
        case Edit():
            return Trace(
                kind="edit", body=_digest_of(fact.body), target=fact.target, erased=fact.erased
            )
        case Delete():
            return Trace(kind="delete", target=fact.target)
        case React():
            return Trace(kind="react", target=fact.target, emoji=fact.emoji, on=fact.on)
        case Member():
            return Trace(kind="member", user=fact.user, role=fact.role)
        case _:
            public = None if fact.public is UNSET else fact.public
            about = "" if fact.title is UNSET else digest(fact.title)
            return Trace(kind="meta", about=about, public=public)


def _digest_of(body: JsonMap | UnsetType) -> str:
    return "" if body is UNSET else digest(body)


def _about(message: Message | FoldedMessage) -> str:
    if message.reply_to is UNSET and message.mentions is UNSET:
        return ""
    reply_to = None if message.reply_to is UNSET else message.reply_to
    return digest([reply_to, () if message.mentions is UNSET else message.mentions])


@final
class Logged(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One entry of a log: its header, and what its fact was."""

    seq: int
    n: int
    at: int
    sender: str
    cid: str
    fact: Trace


def logged(entry: Entry) -> Logged:
    """Return what a history keeps of an entry."""
    return Logged(
        seq=entry.seq,
        n=entry.n,
        at=entry.at,
        sender=entry.sender,
        cid=entry.cid,
        fact=trace(entry.fact),
    )


@final
class FoldedRow(Struct, frozen=True, omit_defaults=True, kw_only=True, gc=False):
    """One message as it reads now, without its words; see `Trace` for `body` and `about`.

    Attributes:
        edited_at: when it was last edited, in ms; 0: never.
        reactions: `(emoji, count, users)` by emoji, the first users to put it.
    """

    seq: int
    n: int
    at: int
    sender: str
    cid: str
    body: str = ""
    about: str = ""
    edited_at: int = 0
    erased: bool = False
    reactions: tuple[tuple[str, int, tuple[str, ...]], ...] = ()


def folded_row(message: FoldedMessage) -> FoldedRow:
    """Return what a history keeps of a message of a page."""
    return FoldedRow(
        seq=message.seq,
        n=message.n,
        at=message.at,
        sender=message.sender,
        cid=message.cid,
        body=_digest_of(message.body),
        about=_about(message),
        edited_at=0 if message.edited_at is UNSET else message.edited_at,
        erased=message.erased,
        reactions=tuple(
            (emoji, reaction.count, reaction.users)
            for emoji, reaction in sorted(message.reactions.items())
        ),
    )
