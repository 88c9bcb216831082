"""Laws of `_domain.room`: who may do what, as tables, and what is written for it."""

from collections.abc import Callable, Iterator
from itertools import product
from typing import NamedTuple, get_args

import pytest
from msgspec import UNSET

from triolet._domain.room import (
    NOTHING,
    RANK,
    Decision,
    Rights,
    decide,
    decide_create,
    decide_direct,
    joins_are_rows,
    manages,
    require_sight,
    require_writer,
    sees,
    writes,
)
from triolet._model.commands import (
    Create,
    DeleteMessage,
    DeleteRoom,
    Durable,
    EditMessage,
    Invite,
    Join,
    Kick,
    Leave,
    Ping,
    ReactTo,
    Send,
    SetMeta,
    SetRole,
)
from triolet._model.entries import Delete, Edit, Member, Message, Meta, React, Role, RoomKind
from triolet._model.errors import ErrorCode, Refusal

KINDS: tuple[RoomKind, ...] = get_args(RoomKind)
ROLES: tuple[Role, ...] = get_args(Role)
STANDINGS: tuple[Role | None, ...] = (None, *ROLES)
# Members and heads that the tables are tried with; joins are rows above LARGE members.
LARGE = 10
HEAD = 7

# The protocol's words: in groups and direct rooms members write, in channels owners and admins.
WRITERS: dict[RoomKind, tuple[Role, ...]] = {
    "direct": ("owner", "admin", "member"),
    "group": ("owner", "admin", "member"),
    "channel": ("owner", "admin"),
}
# Nobody manages a direct room: its two members stay, and it has no title.
MANAGERS: dict[RoomKind, tuple[Role, ...]] = {
    "direct": (),
    "group": ("owner", "admin"),
    "channel": ("owner", "admin"),
}

WRITING: list[Durable] = [
    Send(room="r", body={"text": "hi"}),
    EditMessage(room="r", target=3, body={}),
    ReactTo(room="r", target=3, emoji="x"),
]
MANAGING: list[Durable] = [
    *(Invite(room="r", user="ben", role=role) for role in ROLES),
    Kick(room="r", user="ben"),
    *(SetRole(room="r", user="ben", role=role) for role in ROLES),
    SetMeta(room="r", title="t"),
    SetMeta(room="r", public=True),
    SetMeta(room="r", public=False),
    SetMeta(room="r"),
]
REMOVING = DeleteMessage(room="r", target=3)
ENDING = DeleteRoom(room="r")
ALL: list[Durable] = [*WRITING, *MANAGING, REMOVING, ENDING, Join(room="r"), Leave(room="r")]


class Case(NamedTuple):
    """Everything a decision depends on."""

    rights: Rights
    command: Durable
    target_role: Role | None


def every_room() -> Iterator[Rights]:
    some = (False, True)
    for kind, public, role, members in product(KINDS, some, STANDINGS, (2, LARGE + 1)):
        for invited in some:
            yield Rights(kind, public, role, members, HEAD, invited)


def every_case(*commands: Durable) -> Iterator[Case]:
    for rights, command, target in product(every_room(), commands, STANDINGS):
        yield Case(rights, command, target)


def decided(case: Case) -> Decision | ErrorCode:
    """The decision on what anna asks, or the code of its refusal."""
    try:
        rights, command, target_role = case
        return decide(
            rights, "anna", command, target_role=target_role, entry_joins_members_max=LARGE
        )
    except Refusal as refusal:
        return refusal.code


# --- the tables ----------------------------------------------------------------------------


def test_the_tables_are_total_and_as_the_protocol_says() -> None:
    """Each role in each kind of room writes and manages as written; rank is the roles' order."""
    for kind, role in product(KINDS, STANDINGS):
        assert writes(kind, role) is (role in WRITERS[kind])
        assert manages(kind, role) is (role in MANAGERS[kind])
        assert sees(role, public=False) is (role is not None)
        assert sees(role, public=True)
    assert sorted(RANK, key=lambda role: RANK[role]) == [None, *reversed(ROLES)]
    assert len(set(RANK.values())) == len(RANK)


def test_rights_grow_with_the_rank() -> None:
    """A higher role may do whatever a lower one may; and who manages a room may speak in it."""
    for kind, (low, high) in product(KINDS, product(STANDINGS, STANDINGS)):
        if RANK[low] <= RANK[high]:
            assert writes(kind, low) <= writes(kind, high)
            assert manages(kind, low) <= manages(kind, high)
            assert sees(low, public=False) <= sees(high, public=False)
        assert manages(kind, low) <= writes(kind, low)


def required(check: Callable[[Rights], None], rights: Rights) -> ErrorCode | None:
    try:
        check(rights)
    except Refusal as refusal:
        return refusal.code
    return None


def test_requirements_agree_with_the_tables() -> None:
    """`require_*` pass exactly who the tables let pass, and name the first reason otherwise."""
    for rights in every_room():
        hidden = ErrorCode.NO_SUCH_ROOM if rights.role is None and not rights.public else None
        assert required(require_sight, rights) == hidden
        reason = ErrorCode.NOT_A_MEMBER if rights.role is None else ErrorCode.FORBIDDEN
        is_writer = rights.role in WRITERS[rights.kind]
        assert required(require_writer, rights) == (None if is_writer else hidden or reason)


@pytest.mark.parametrize(
    ("kind", "public", "members", "rows"),
    [
        ("group", False, LARGE, False),
        ("group", False, LARGE + 1, True),
        ("group", True, 1, True),
        ("channel", False, 1, True),
        ("channel", True, LARGE + 1, True),
        ("direct", False, 2, False),
    ],
)
def test_where_joins_are_rows(kind: RoomKind, public: bool, members: int, rows: bool) -> None:
    """In public rooms, channels, and rooms above the limit."""
    rights = Rights(kind, public, None, members, HEAD)

    assert joins_are_rows(rights, entry_joins_members_max=LARGE) is rows


def test_each_case_is_a_decision_or_a_refusal() -> None:
    """`decide` is total: no case raises anything else, and refusals are these."""
    codes = {found for case in every_case(*ALL) if isinstance(found := decided(case), ErrorCode)}

    assert codes == {
        ErrorCode.NO_SUCH_ROOM,
        ErrorCode.NOT_A_MEMBER,
        ErrorCode.FORBIDDEN,
        ErrorCode.ALREADY_EXISTS,
        ErrorCode.INVALID_FIELD,
    }


def test_what_is_no_durable_command_is_a_mistake_of_the_caller() -> None:
    """It is never taken for a decision to do nothing."""
    rights = Rights("group", False, "owner", 2, HEAD)
    with pytest.raises(AssertionError):
        decide(rights, "anna", Ping(), entry_joins_members_max=LARGE)  # type: ignore[arg-type]


def test_a_stranger_may_join_what_is_open_and_nothing_else() -> None:
    """A private room is not there for them, unless the gate's word lets them join it.

    Nothing opens a direct room to a third; leaving a public one is done already.
    """
    for case in every_case(*ALL):
        rights, command, _ = case
        if rights.role is not None:
            continue
        found, opened = decided(case), rights.invited and rights.kind != "direct"
        if isinstance(command, Join) and (rights.public or opened):
            assert isinstance(found, Decision)
            assert found.facts == (Member("anna", "member"),)
        elif not rights.public:
            assert found is ErrorCode.NO_SUCH_ROOM
        else:
            assert found is (NOTHING if isinstance(command, Leave) else ErrorCode.NOT_A_MEMBER)


def test_members_write_where_the_table_says() -> None:
    """Send, edit and react need a writer; the fact says what was asked."""
    facts = [Message({"text": "hi"}), Edit(3, {}), React(3, "x", on=True)]
    for command, fact in zip(WRITING, facts, strict=True):
        for case in every_case(command):
            if case.rights.role in WRITERS[case.rights.kind]:
                author = "anna" if isinstance(command, EditMessage) else None
                assert decided(case) == Decision((fact,), author=author)
            elif case.rights.role is not None:
                assert decided(case) is ErrorCode.FORBIDDEN


def test_owners_alone_delete_a_room() -> None:
    """Whatever its kind: nobody owns a direct room, except by the gate's word."""
    for case in every_case(ENDING):
        if case.rights.role == "owner":
            assert decided(case) == Decision((), deletes=True)
        elif case.rights.role is not None:
            assert decided(case) is ErrorCode.FORBIDDEN


def test_a_reply_names_an_entry_of_the_room() -> None:
    """`reply_to` lies between 1 and the head; a send without one names none."""
    rights = Rights("group", False, "member", 2, HEAD)
    for reply_to in range(HEAD + 3):
        command = Send(room="r", body={}, reply_to=reply_to, mentions=("ben",))
        found = decided(Case(rights, command, None))
        if 1 <= reply_to <= HEAD:
            assert found == Decision((Message({}, reply_to, ("ben",)),))
        else:
            assert found is ErrorCode.NO_SUCH_ENTRY


def test_managers_delete_anything_and_others_their_own() -> None:
    """Who writes no longer may still take back what they wrote."""
    for case in every_case(REMOVING):
        if case.rights.role is not None:
            free = case.rights.role in MANAGERS[case.rights.kind]
            author = None if free else "anna"
            assert decided(case) == Decision((Delete(3),), author=author)


def test_members_are_in_already_and_may_leave() -> None:
    """Joining twice writes nothing; the two of a direct room stay its members."""
    for case in every_case(Join(room="r"), Leave(room="r")):
        if case.rights.role is not None:
            found = decided(case)
            if isinstance(case.command, Join):
                assert found is NOTHING
            elif case.rights.kind == "direct":
                assert found is ErrorCode.FORBIDDEN
            else:
                assert isinstance(found, Decision)
                assert found.facts == (Member("anna", None),)


def test_who_does_not_manage_is_forbidden_to() -> None:
    """Members without the right get the same answer whatever they ask and of whom."""
    for case in every_case(*MANAGING):
        role = case.rights.role
        if role is not None and role not in MANAGERS[case.rights.kind]:
            assert decided(case) is ErrorCode.FORBIDDEN


def managers_cases(*commands: Durable) -> Iterator[Case]:
    for case in every_case(*commands):
        if case.rights.role in MANAGERS[case.rights.kind]:
            yield case


def test_managers_invite_up_to_their_own_role() -> None:
    """Who is in already is not invited; nobody gives a role above their own."""
    for case in managers_cases(*(Invite(room="r", user="ben", role=role) for role in ROLES)):
        assert isinstance(case.command, Invite)
        if case.target_role is not None:
            assert decided(case) is ErrorCode.ALREADY_EXISTS
        elif RANK[case.command.role] > RANK[case.rights.role]:
            assert decided(case) is ErrorCode.FORBIDDEN
        else:
            assert decided(case) == Decision((Member("ben", case.command.role),))


def is_above(mine: Role | None, theirs: Role | None) -> bool:
    """Owners stand above each other: somebody must be able to end an owner's role."""
    return RANK[mine] > RANK[theirs] or mine == "owner"


def test_managers_kick_those_below_them() -> None:
    """And owners each other; never oneself: that is `leave`."""
    for user in ("ben", "anna"):
        for case in managers_cases(Kick(room="r", user=user)):
            if case.target_role is None:
                assert decided(case) is ErrorCode.NOT_A_MEMBER
            elif user == "anna" or not is_above(case.rights.role, case.target_role):
                assert decided(case) is ErrorCode.FORBIDDEN
            else:
                assert decided(case) == Decision((Member("ben", None),), revokes=True)


def test_managers_change_the_roles_of_those_below_them() -> None:
    """Up to their own; and their own downwards, which is how an owner steps back."""
    for user, given in product(("ben", "anna"), ROLES):
        for case in managers_cases(SetRole(room="r", user=user, role=given)):
            mine, theirs = case.rights.role, case.target_role
            if user == "anna" and theirs != mine:
                continue
            if theirs is None:
                assert decided(case) is ErrorCode.NOT_A_MEMBER
            elif RANK[given] > RANK[mine] or (user == "ben" and not is_above(mine, theirs)):
                assert decided(case) is ErrorCode.FORBIDDEN
            else:
                lower = RANK[given] < RANK[theirs]
                assert decided(case) == Decision((Member(user, given),), revokes=lower)


def test_managers_change_the_meta() -> None:
    """What is absent stays; nothing at all is a mistake."""
    for title, public in product((UNSET, "", "t"), (UNSET, True, False)):
        for case in managers_cases(SetMeta(room="r", title=title, public=public)):
            found = decided(case)
            if title is UNSET and public is UNSET:
                assert found is ErrorCode.INVALID_FIELD
            else:
                assert isinstance(found, Decision)
                assert found.facts == (Meta(title, public),)


# --- what a decision says of its effect ----------------------------------------------------


def loses_a_right(case: Case, decision: Decision) -> bool:
    """Whether somebody ranks lower afterwards, or sees no more what they saw."""
    user = getattr(case.command, "user", "anna")
    before = case.target_role if user == "ben" else case.rights.role
    for fact in decision.facts:
        if isinstance(fact, Member) and RANK[fact.role] < RANK[before]:
            return True
        if isinstance(fact, Meta) and fact.public is False and case.rights.public:
            return True
    return False


def test_revokes_is_true_exactly_when_somebody_loses_a_right() -> None:
    """Only such drafts make what others decided stale; a needless one costs a decision more."""
    for case in every_case(*ALL):
        found = decided(case)
        if isinstance(found, Decision):
            assert found.revokes is loses_a_right(case, found)


def test_logged_is_false_exactly_for_the_comings_and_goings_of_large_rooms() -> None:
    """Joins, and leaves of those who manage nothing, where joins are rows; all else is told."""
    for case in every_case(*ALL):
        found = decided(case)
        if not isinstance(found, Decision) or found is NOTHING:
            continue
        rights = case.rights
        rows = joins_are_rows(rights, entry_joins_members_max=LARGE)
        quiet = isinstance(case.command, Join) or (
            isinstance(case.command, Leave) and rights.role not in MANAGERS[rights.kind]
        )
        assert found.logged is (not (rows and quiet))


# --- the beginning of a room ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "meta"),
    [
        (Create(kind="group"), []),
        (Create(kind="group", title=""), []),
        (Create(kind="group", title="t"), [Meta("t", UNSET)]),
        (Create(kind="channel", public=True), [Meta(UNSET, True)]),
        (Create(kind="channel", title="", public=True), [Meta("", True)]),
        (Create(kind="channel", title="t", public=True), [Meta("t", True)]),
    ],
)
def test_a_room_begins_with_its_owner(command: Create, meta: list[Meta]) -> None:
    """Then its meta, if it has any."""
    assert decide_create("anna", command) == Decision((Member("anna", "owner"), *meta))


def test_a_room_begins_with_each_member_once() -> None:
    """In the order named; the owner is not made a member besides."""
    command = Create(kind="group", members=["cleo", "anna", "ben", "cleo"])

    assert decide_create("anna", command).facts == (
        Member("anna", "owner"),
        Member("cleo", "member"),
        Member("ben", "member"),
    )


def test_a_direct_room_begins_with_its_two_members() -> None:
    """The same log, whoever of the two makes it."""
    facts = (Member("anna", "member"), Member("ben", "member"))

    assert decide_direct("anna", "ben") == decide_direct("ben", "anna") == Decision(facts)
