"""Law of `_domain.room`: no sequence of decisions gives anybody what none of the askers had."""

from typing import get_args

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec import UNSET

from triolet._domain.room import RANK, Rights, decide, manages
from triolet._model.commands import (
    DeleteMessage,
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
from triolet._model.entries import Member, Meta, Role, RoomKind
from triolet._model.errors import ErrorCode, Refusal

KINDS: tuple[RoomKind, ...] = get_args(RoomKind)
ROLES: tuple[Role, ...] = get_args(Role)
STANDINGS: tuple[Role | None, ...] = (None, *ROLES)
# Joins are rows above it; that changes nothing here.
LARGE = 10
WRITING: list[Durable] = [
    Send(room="r", body={}),
    EditMessage(room="r", target=3, body={}),
    DeleteMessage(room="r", target=3),
    ReactTo(room="r", target=3, emoji="x"),
]

USERS = ["anna", "ben", "cleo", "dora", "emil"]
PEOPLE = st.sampled_from(USERS)


class AnySequence(RuleBasedStateMachine):
    """A room in which people ask for whatever they like, in any order.

    Only those who stand no higher than `ceiling` at the beginning ask for anything: what they
    can reach together is what an attacker with their accounts can.
    """

    @initialize(
        kind=st.sampled_from(KINDS),
        public=st.booleans(),
        roles=st.lists(st.sampled_from(STANDINGS), min_size=5, max_size=5),
        ceiling=st.sampled_from(STANDINGS),
    )
    def open_room(
        self, kind: RoomKind, public: bool, roles: list[Role | None], ceiling: Role | None
    ) -> None:
        self.kind: RoomKind = kind
        self.public = public and kind != "direct"
        self.roles = {user: role for user, role in zip(USERS, roles, strict=True) if role}
        self.begun = (dict(self.roles), self.public)
        self.ceiling = RANK[ceiling]
        self.actors = [user for user in USERS if self.rank(user) <= self.ceiling]
        self.kicked: dict[str, None] = {}

    def rank(self, user: str) -> int:
        return RANK[self.roles.get(user)]

    def rights_of(self, user: str) -> Rights:
        return Rights(self.kind, self.public, self.roles.get(user), len(self.roles), 7)

    def is_above(self, user: str, other: str) -> bool:
        """Owners stand above each other: somebody must be able to end an owner's role."""
        return self.rank(user) > self.rank(other) or self.roles.get(user) == "owner"

    def ask(self, user: str, command: Durable) -> None:
        """Decide, check the step, and apply its facts."""
        if user not in self.actors:
            return
        target = getattr(command, "user", "")
        try:
            decision = decide(
                self.rights_of(user),
                user,
                command,
                target_role=self.roles.get(target),
                entry_joins_members_max=LARGE,
            )
        except Refusal:
            return
        for fact in decision.facts:
            if isinstance(fact, Member):
                self.check_step(user, command, fact)
                self.apply(user, fact)
            elif isinstance(fact, Meta):
                assert manages(self.kind, self.roles.get(user))
                self.public = self.public if fact.public is UNSET else fact.public

    def check_step(self, user: str, command: Durable, fact: Member) -> None:
        if user == fact.user:
            joins = isinstance(command, Join) and self.public and fact.role == "member"
            assert joins or RANK[fact.role] <= self.rank(user)
        else:
            assert manages(self.kind, self.roles.get(user))
            assert RANK[fact.role] <= self.rank(user)
            assert self.is_above(user, fact.user)

    def apply(self, user: str, fact: Member) -> None:
        if fact.role is None:
            del self.roles[fact.user]
            if user != fact.user:
                self.kicked[fact.user] = None
        else:
            self.roles[fact.user] = fact.role
            self.kicked.pop(fact.user, None)

    @rule(user=PEOPLE, other=PEOPLE, role=st.sampled_from(ROLES))
    def invite(self, user: str, other: str, role: Role) -> None:
        self.ask(user, Invite(room="r", user=other, role=role))

    @rule(user=PEOPLE, other=PEOPLE)
    def kick(self, user: str, other: str) -> None:
        self.ask(user, Kick(room="r", user=other))

    @rule(user=PEOPLE, other=PEOPLE, role=st.sampled_from(ROLES))
    def set_role(self, user: str, other: str, role: Role) -> None:
        self.ask(user, SetRole(room="r", user=other, role=role))

    @rule(user=PEOPLE)
    def join(self, user: str) -> None:
        self.ask(user, Join(room="r"))

    @rule(user=PEOPLE)
    def leave(self, user: str) -> None:
        self.ask(user, Leave(room="r"))

    @rule(user=PEOPLE, public=st.booleans())
    def set_public(self, user: str, public: bool) -> None:
        self.ask(user, SetMeta(room="r", public=public))

    @invariant()
    def nobody_rises_above_those_who_acted(self) -> None:
        """Together they give no more than the highest of them has, or joining gives."""
        roles, _ = self.begun
        highest = max(self.ceiling, RANK["member"])
        for user in USERS:
            assert self.rank(user) <= max(highest, RANK[roles.get(user)])

    @invariant()
    def those_who_stand_higher_are_safe(self) -> None:
        """Who stands above all who acted keeps the role."""
        roles, _ = self.begun
        for user in USERS:
            if RANK[roles.get(user)] > self.ceiling:
                assert self.roles.get(user) == roles[user]

    @invariant()
    def without_a_manager_nothing_is_managed(self) -> None:
        """Members can come, go, and nothing else: no kick, no role, no meta."""
        roles, public = self.begun
        if any(manages(self.kind, roles.get(user)) for user in self.actors):
            return
        assert self.public is public
        for user in USERS:
            assert self.roles.get(user) in (roles.get(user), "member", None)
            assert user in self.actors or self.roles.get(user) == roles.get(user)
        assert not self.kicked

    @invariant()
    def the_kicked_do_not_write(self) -> None:
        """Until they are invited, or join a public room, again."""
        for user in self.kicked:
            for command in WRITING:
                with pytest.raises(Refusal) as caught:
                    decide(self.rights_of(user), user, command, entry_joins_members_max=LARGE)
                assert caught.value.code in (ErrorCode.NO_SUCH_ROOM, ErrorCode.NOT_A_MEMBER)

    @precondition(lambda self: self.kind == "direct")
    @invariant()
    def the_two_of_a_direct_room_stay(self) -> None:
        """Nobody joins, leaves or is sent away."""
        assert (self.roles, self.public) == self.begun


TestAnySequence = AnySequence.TestCase
TestAnySequence.settings = settings(
    derandomize=True, deadline=None, max_examples=40, stateful_step_count=25
)
