"""Names of people, rooms and commands: what is a valid one, and what a direct room is called."""

import re
from typing import Annotated, NewType

from msgspec import Meta

USER_PATTERN = r"^[A-Za-z0-9_.@-]{1,64}\Z"
ROOM_PATTERN = r"^[A-Za-z0-9_.:@-]{1,160}\Z"

# `dm:` names belong to pairs of people; nobody may create a room in this space.
DIRECT_PREFIX = "dm:"
# Families of tokens among what is revoked: no user's name has a colon.
FAMILY_PREFIX = "sid:"

# Constrained types for the wire: msgspec checks them while it decodes.
User = Annotated[str, Meta(pattern=USER_PATTERN)]
Room = Annotated[str, Meta(pattern=ROOM_PATTERN)]
Cid = Annotated[str, Meta(min_length=1, max_length=64)]
Seq = Annotated[int, Meta(ge=0, lt=2**53)]

SessionId = NewType("SessionId", str)

_is_user = re.compile(USER_PATTERN).match
_is_room = re.compile(ROOM_PATTERN).match


def is_user(text: str) -> bool:
    """Whether `text` may name a user.

    >>> is_user("anna"), is_user("anna:b"), is_user("")
    (True, False, False)
    """
    return _is_user(text) is not None


def is_room(text: str) -> bool:
    """Whether `text` may name a room.

    >>> is_room("team.alpha"), is_room("team alpha")
    (True, False)
    """
    return _is_room(text) is not None


def is_cid(text: str) -> bool:
    """Whether `text` may be an idempotency key: 1 to 64 printable characters.

    >>> is_cid("01J-7"), is_cid(""), is_cid("a" * 65)
    (True, False, False)
    """
    return 0 < len(text) <= 64 and text.isprintable()


def direct_room(one: str, other: str) -> str:
    """Return the name of the direct room of two different users, in byte order.

    Users are ASCII, so the order of their characters is the order of their bytes.

    Raises:
        ValueError: both are the same user.

    >>> direct_room("ben", "anna")
    'dm:anna:ben'
    """
    if one == other:
        raise ValueError("a direct room needs two different users")
    first, second = sorted((one, other))
    return f"{DIRECT_PREFIX}{first}:{second}"


def subject_of(user: str, family: str = "") -> str:
    """Return what is revoked: a user's tokens, or those of one sign-in, a family of the user's.

    >>> subject_of("anna"), subject_of("anna", "f1")
    ('anna', 'sid:anna:f1')
    """
    return f"{FAMILY_PREFIX}{user}:{family}" if family else user


def parts_of_subject(subject: str) -> tuple[str, str]:
    """Return the user and the family of what was revoked; empty: all of the user's.

    >>> parts_of_subject("sid:anna:f1"), parts_of_subject("anna")
    (('anna', 'f1'), ('anna', ''))
    """
    if not subject.startswith(FAMILY_PREFIX):
        return subject, ""
    user, _, family = subject.removeprefix(FAMILY_PREFIX).partition(":")
    return user, family
