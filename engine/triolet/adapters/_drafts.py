"""What every store adapter judges and keeps alike: targets, cids and erased facts."""

from collections.abc import Callable
from typing import Final

from msgspec import UNSET
from msgspec.structs import replace

from .._model.entries import Delete, Edit, Member, Message, React
from .._model.errors import ErrorCode
from .._wire.codec import pack_fact, unpack_fact
from ..ports.store import Draft, Duplicate, Outcome, Rejected

NO_ROOM: Final = Rejected(ErrorCode.NO_SUCH_ROOM, "there is no such room")
ROOM_EXISTS: Final = Rejected(ErrorCode.ALREADY_EXISTS, "the room exists already")
ROOM_EXISTED: Final = Rejected(ErrorCode.ALREADY_EXISTS, "a room of this name was deleted")
NO_TARGET: Final = Rejected(ErrorCode.NO_SUCH_ENTRY, "the target is no message, or erased")
NOT_THE_AUTHOR: Final = Rejected(ErrorCode.FORBIDDEN, "the target is somebody else's message")
OTHER_OP: Final = Rejected(ErrorCode.INVALID_FIELD, "`cid` was used for another op")
NEEDS_ENTRY: Final = Rejected(ErrorCode.INVALID_FIELD, "only memberships change without an entry")

# What a targeting fact is judged by: the author of the message at a seq; None: no message
# there, or an erased one.
AuthorOf = Callable[[int], str | None]


def repeated(draft: Draft, first: Duplicate) -> Outcome:
    """Return what a draft is whose cid is known."""
    return first if first.op == draft.op else OTHER_OP


def is_message(draft: Draft) -> bool:
    """Whether a draft is one message in a room that is there, as nearly every draft is."""
    facts = draft.facts
    return (
        len(facts) == 1
        and type(facts[0][0]) is Message
        and draft.logged
        and draft.create is None
        and not draft.revokes
    )


def refusal(draft: Draft, head: int, author_of: AuthorOf) -> Rejected | None:
    """Return why a draft cannot be stored in a room that ends at `head`, or None.

    A draft's own facts count: the second deletion of one message in one draft is refused.
    """
    facts = draft.facts
    if len(facts) == 1 and type(facts[0][0]) is Message and draft.logged:
        return None  # nearly every draft
    made: dict[int, str | None] = {}
    seq = head
    for fact, _ in facts:
        seq += 1
        if isinstance(fact, Message):
            made[seq] = draft.sender
        elif isinstance(fact, Edit | Delete | React):
            target = fact.target
            author = made[target] if target in made else author_of(target)
            if author is None:
                return NO_TARGET
            if draft.author is not None and author != draft.author:
                return NOT_THE_AUTHOR
            if isinstance(fact, Delete):
                made[target] = None
        if not draft.logged and not isinstance(fact, Member):
            return NEEDS_ENTRY
    return None


def erased(packed: bytes) -> bytes:
    """Return a packed message or edit without its body; all else stays.

    >>> unpack_fact(erased(pack_fact(Message({"text": "oh"}, reply_to=3))))
    Message(body=UNSET, reply_to=3, mentions=UNSET, erased=True)
    """
    fact = unpack_fact(packed)
    if not isinstance(fact, Message | Edit):
        raise TypeError(f"a {type(fact).__name__} has no body")
    return pack_fact(replace(fact, body=UNSET, erased=True))
