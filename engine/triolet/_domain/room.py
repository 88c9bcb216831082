"""Who may do what in a room: rights as tables, and decisions that say what to write.

A decision is taken before the store is asked and is applied only after it has answered,
so memory never runs ahead of disk.
"""

from typing import Final, TypeAlias, assert_never, final

from msgspec import UNSET, Struct

from .._model.commands import (
    Create,
    DeleteMessage,
    DeleteRoom,
    Durable,
    EditMessage,
    Invite,
    Join,
    Kick,
    Leave,
    ReactTo,
    Send,
    SetMeta,
    SetRole,
)
from .._model.entries import Delete, Edit, Fact, Member, Message, Meta, React, Role, RoomKind
from .._model.errors import ErrorCode, Refusal

# How far up each role stands; a person without one stands below all.
RANK: Final[dict[Role | None, int]] = {
    None: 0,
    "reader": 1,
    "member": 2,
    "admin": 3,
    "owner": 4,
}

# The least rank that writes in each kind of room; readers read everywhere.
_WRITER_RANK: Final[dict[RoomKind, int]] = {
    "direct": RANK["member"],
    "group": RANK["member"],
    "channel": RANK["admin"],
}

# The least rank that manages members and meta; nobody manages a direct room.
_MANAGER_RANK: Final[dict[RoomKind, int]] = {
    "direct": RANK["owner"] + 1,
    "group": RANK["admin"],
    "channel": RANK["admin"],
}


@final
class Rights(Struct, frozen=True, gc=False):
    """What a decision needs to know of the room and of the one who asks.

    `invited` lets somebody join a room they could not see: the host's gate says so.
    """

    kind: RoomKind
    public: bool
    role: Role | None
    members: int
    head: int
    invited: bool = False


@final
class Decision(Struct, frozen=True, gc=False):
    """What to write; `Draft` in `ports.store` says what each field means."""

    facts: tuple[Fact, ...]
    author: str | None = None
    revokes: bool = False
    logged: bool = True
    deletes: bool = False


# Nothing remains to be done: what was asked is so already.
NOTHING: Final = Decision(())


def sees(role: Role | None, *, public: bool) -> bool:
    """Whether somebody may know of a room and read it."""
    return public or role is not None


def writes(kind: RoomKind, role: Role | None) -> bool:
    """Whether somebody with `role` writes in a room of this kind.

    >>> writes("channel", "member"), writes("group", "member"), writes("group", None)
    (False, True, False)
    """
    return RANK[role] >= _WRITER_RANK[kind]


def manages(kind: RoomKind, role: Role | None) -> bool:
    """Whether somebody with `role` manages members and meta in a room of this kind."""
    return RANK[role] >= _MANAGER_RANK[kind]


def require_sight(rights: Rights) -> None:
    """Refuse who may not know of the room.

    Raises:
        Refusal: `NO_SUCH_ROOM`, the same as if there were none.
    """
    if not sees(rights.role, public=rights.public):
        raise Refusal(ErrorCode.NO_SUCH_ROOM)


def require_writer(rights: Rights) -> None:
    """Refuse who may not write here.

    Raises:
        Refusal: `NO_SUCH_ROOM`, `NOT_A_MEMBER` or `FORBIDDEN`, the first that applies.
    """
    if RANK[rights.role] >= _WRITER_RANK[rights.kind]:
        return
    require_sight(rights)
    if rights.role is None:
        raise Refusal(ErrorCode.NOT_A_MEMBER, "join the room before writing in it")
    raise Refusal(ErrorCode.FORBIDDEN, f"a {rights.role} does not write in a {rights.kind}")


def _require_manager(rights: Rights) -> None:
    if manages(rights.kind, rights.role):
        return
    require_sight(rights)
    if rights.role is None:
        raise Refusal(ErrorCode.NOT_A_MEMBER)
    raise Refusal(ErrorCode.FORBIDDEN, f"a {rights.role} does not manage a {rights.kind}")


def joins_are_rows(rights: Rights, *, entry_joins_members_max: int) -> bool:
    """Whether joining and leaving write no entry: where 10^5 of them would be told to 10^5."""
    return rights.public or rights.kind == "channel" or rights.members > entry_joins_members_max


def decide(
    rights: Rights,
    sender: str,
    command: Durable,
    *,
    target_role: Role | None = None,
    entry_joins_members_max: int,
) -> Decision:
    """Decide one durable command.

    Args:
        rights: the room as the sender stands in it.
        sender: who asks.
        command: what is asked.
        target_role: the present role of `command.user`, for those commands that have one.
        entry_joins_members_max: `Limits.entry_joins_members_max`.

    Returns:
        The decision, `NOTHING` if what is asked is so already.

    Raises:
        Refusal: it is not allowed, or makes no sense here.
    """
    match command:
        case Send():
            return _send(rights, command)
        case EditMessage(target, body):
            require_writer(rights)
            return Decision((Edit(target, body),), author=sender)
        case DeleteMessage(target):
            return _delete(rights, sender, target)
        case ReactTo(target, emoji, on):
            require_writer(rights)
            return Decision((React(target, emoji, on),))
        case Join():
            return _join(rights, sender, entry_joins_members_max)
        case Leave():
            return _leave(rights, sender, entry_joins_members_max)
        case Invite() | Kick() | SetRole():
            return _manage(rights, sender, command, target_role)
        case SetMeta():
            return _meta(rights, command)
        case DeleteRoom():
            return _delete_room(rights)
        case _:
            assert_never(command)


def _send(rights: Rights, command: Send) -> Decision:
    require_writer(rights)
    reply_to = command.reply_to
    if reply_to is not UNSET and not 0 < reply_to <= rights.head:
        raise Refusal(ErrorCode.NO_SUCH_ENTRY, "`reply_to` names no entry of this room")
    return Decision((Message(command.body, reply_to, command.mentions),))


def _delete(rights: Rights, sender: str, target: int) -> Decision:
    require_sight(rights)
    if rights.role is None:
        raise Refusal(ErrorCode.NOT_A_MEMBER)
    # Managers delete anybody's message; others their own, also where they write no longer.
    author = None if manages(rights.kind, rights.role) else sender
    return Decision((Delete(target),), author=author)


def _join(rights: Rights, sender: str, entry_joins_members_max: int) -> Decision:
    # Nothing opens a direct room to a third.
    if not rights.invited or rights.kind == "direct":
        require_sight(rights)
    if rights.role is not None:
        return NOTHING
    rows = joins_are_rows(rights, entry_joins_members_max=entry_joins_members_max)
    return Decision((Member(sender, "member"),), logged=not rows)


def _leave(rights: Rights, sender: str, entry_joins_members_max: int) -> Decision:
    require_sight(rights)
    if rights.role is None:
        return NOTHING
    if rights.kind == "direct":
        raise Refusal(ErrorCode.FORBIDDEN, "a direct room cannot be left")
    rows = joins_are_rows(rights, entry_joins_members_max=entry_joins_members_max)
    # A manager's going is everybody's business, however large the room.
    logged = not rows or manages(rights.kind, rights.role)
    return Decision((Member(sender, None),), revokes=True, logged=logged)


_Managing: TypeAlias = Invite | Kick | SetRole


def _manage(rights: Rights, sender: str, command: _Managing, target_role: Role | None) -> Decision:
    _require_manager(rights)
    mine, theirs = RANK[rights.role], RANK[target_role]
    if isinstance(command, Invite):
        if target_role is not None:
            raise Refusal(ErrorCode.ALREADY_EXISTS, f"{command.user} is a member already")
        _require_rank(mine, RANK[command.role])
        return Decision((Member(command.user, command.role),))
    if target_role is None:
        raise Refusal(ErrorCode.NOT_A_MEMBER, f"{command.user} is not a member")
    if isinstance(command, Kick):
        if command.user == sender:
            raise Refusal(ErrorCode.FORBIDDEN, "use `leave` to go")
        _require_above(mine, theirs)
        return Decision((Member(command.user, None),), revokes=True)
    if command.user != sender:
        _require_above(mine, theirs)
    _require_rank(mine, RANK[command.role])
    return Decision((Member(command.user, command.role),), revokes=RANK[command.role] < theirs)


def _require_rank(mine: int, given: int) -> None:
    if given > mine:
        raise Refusal(ErrorCode.FORBIDDEN, "nobody gives a role above their own")


def _require_above(mine: int, theirs: int) -> None:
    # Owners are equals who may end each other's role: somebody must be able to.
    if theirs >= mine and mine < RANK["owner"]:
        raise Refusal(ErrorCode.FORBIDDEN, "their role is not below yours")


def _meta(rights: Rights, command: SetMeta) -> Decision:
    _require_manager(rights)
    if command.title is UNSET and command.public is UNSET:
        raise Refusal(ErrorCode.INVALID_FIELD, "`meta` needs `title` or `public`")
    hides = rights.public and command.public is False
    return Decision((Meta(command.title, command.public),), revokes=hides)


def _delete_room(rights: Rights) -> Decision:
    if rights.role == "owner":
        return Decision((), deletes=True)
    require_sight(rights)
    if rights.role is None:
        raise Refusal(ErrorCode.NOT_A_MEMBER)
    if rights.kind == "direct":
        raise Refusal(ErrorCode.FORBIDDEN, "a direct room belongs to both")
    raise Refusal(ErrorCode.FORBIDDEN, "only an owner deletes a room")


def decide_create(sender: str, command: Create) -> Decision:
    """Decide what the log of a new room begins with: its owner, its members, its meta."""
    facts: list[Fact] = [Member(sender, "owner")]
    # A dict keeps the order and forgets repetitions.
    facts += [Member(user, "member") for user in dict.fromkeys(command.members) if user != sender]
    if command.title or command.public:
        facts.append(
            Meta(
                UNSET if command.title is None else command.title,
                command.public or UNSET,
            )
        )
    return Decision(tuple(facts))


def decide_direct(one: str, other: str) -> Decision:
    """Decide what the log of a new direct room begins with: its two members."""
    first, second = sorted((one, other))
    return Decision((Member(first, "member"), Member(second, "member")))
