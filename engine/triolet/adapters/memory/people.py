"""What a store in memory keeps of people; see `ports.people`."""

from collections.abc import Sequence

import trio
from msgspec.structs import replace

from ..._model.commands import VisibleTo
from ..._model.ids import FAMILY_PREFIX
from ...ports.people import People, Person, Revocation
from .held import Held


class MemoryPeople(People):
    """The part of `MemoryStore` that is about people."""

    def __init__(self, held: Held) -> None:
        self.held = held

    async def acquainted(self, user: str, others: Sequence[str]) -> list[str]:
        """Return those of `others`, in their order, who share a room that is not public."""
        await trio.lowlevel.checkpoint()
        private = [room for room in self.held.inboxes.get(user, {}).values() if not room.public]
        return [other for other in others if any(other in room.seats for room in private)]

    async def people(self, users: Sequence[str]) -> list[Person]:
        """Return what is kept of these users, in their order."""
        await trio.lowlevel.checkpoint()
        return [self.held.people.get(user, Person(user)) for user in users]

    async def put_people(self, people: Sequence[Person]) -> None:
        """Keep each person's status, and `last_seen` unless the stored one is greater."""
        for person in people:
            kept = self.held.people.get(person.user, person)
            last_seen = max(kept.last_seen, person.last_seen)
            visible_to = self.held.people.get(person.user, Person(person.user)).visible_to
            kept = Person(person.user, person.status, last_seen, visible_to)
            self.held.people[person.user] = kept
        await trio.lowlevel.checkpoint()

    async def show_to(self, user: str, visible_to: VisibleTo) -> None:
        """Keep who may see a user."""
        kept = self.held.people.get(user, Person(user))
        self.held.people[user] = replace(kept, visible_to=visible_to)
        await trio.lowlevel.checkpoint()

    async def forget(self, user: str) -> None:
        """Keep nothing of a user but their revocation."""
        self.held.people.pop(user, None)
        await trio.lowlevel.checkpoint()

    async def revoke(self, revocation: Revocation) -> None:
        """Keep a revocation; the greatest `not_before` of a subject wins."""
        kept = self.held.revoked.get(revocation.subject, 0)
        self.held.revoked[revocation.subject] = max(kept, revocation.not_before)
        await trio.lowlevel.checkpoint()

    async def revoked(self, *subjects: str) -> int:
        """Return the greatest `not_before` of these subjects in ms, 0 if nothing is revoked."""
        await trio.lowlevel.checkpoint()
        return self.revoked_now(*subjects)

    async def revocations(self, *, since: int, after: str | None, limit: int) -> list[Revocation]:
        """Return revocations with `not_before >= since` (ms), by subject, those after `after`."""
        await trio.lowlevel.checkpoint()
        found = [
            Revocation(subject, not_before)
            for subject, not_before in sorted(self.held.revoked.items())
            if not_before >= since and (after is None or subject > after)
        ]
        return found[:limit]

    def revoked_now(self, *subjects: str) -> int:
        """Do what `revoked` does."""
        return max(self.held.revoked.get(one, 0) for one in subjects)

    async def forget_revocations(self, *, older_than: int, limit: int) -> int:
        """Forget families with `not_before < older_than` (ms), at most `limit`."""
        revoked = self.held.revoked
        old = [
            subject
            for subject, not_before in revoked.items()
            if subject.startswith(FAMILY_PREFIX) and not_before < older_than
        ][:limit]
        for subject in old:
            del revoked[subject]
        await trio.lowlevel.checkpoint()
        return len(old)
