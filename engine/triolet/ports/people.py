"""People: what a store keeps of users beside their rooms; a part of `ports.store`."""

from collections.abc import Sequence
from typing import Protocol, final

from msgspec import Struct

from .._model.commands import VisibleTo


@final
class Person(Struct, frozen=True):
    """What is kept of a user.

    Attributes:
        status: `dnd`, `invisible` or empty.
        last_seen: when (ms).
        visible_to: who may see them; `put_people` leaves it as it is.
    """

    user: str
    status: str = ""
    last_seen: int = 0
    visible_to: VisibleTo = "shared"


@final
class Revocation(Struct, frozen=True):
    """Tokens of `subject` issued before `not_before` (ms) count no more.

    A subject is a user, or a family of a user's tokens: `ids.subject_of`.
    """

    subject: str
    not_before: int


class People(Protocol):
    """See the module, and `ports.store` for what an adapter promises."""

    async def acquainted(self, user: str, others: Sequence[str]) -> list[str]:
        """Return those of `others`, in their order, who share a room that is not public."""
        ...

    async def people(self, users: Sequence[str]) -> list[Person]:
        """Return what is kept of these users, in their order; a default for the unknown."""
        ...

    async def put_people(self, people: Sequence[Person]) -> None:
        """Keep each person's status, and `last_seen` unless the stored one is greater."""
        ...

    async def show_to(self, user: str, visible_to: VisibleTo) -> None:
        """Keep who may see a user."""
        ...

    async def forget(self, user: str) -> None:
        """Keep nothing of a user but their revocation."""
        ...

    async def revoke(self, revocation: Revocation) -> None:
        """Keep a revocation; the greatest `not_before` of a subject wins."""
        ...

    async def revoked(self, *subjects: str) -> int:
        """Return the greatest `not_before` of these subjects in ms, 0 if nothing is revoked."""
        ...

    async def revocations(self, *, since: int, after: str | None, limit: int) -> list[Revocation]:
        """Return those with `not_before >= since` (ms), by subject, those after `after`."""
        ...

    def revoked_now(self, *subjects: str) -> int | None:
        """Return what `revoked` does, if that is known in memory; else None."""
        del subjects
        return None

    async def forget_revocations(self, *, older_than: int, limit: int) -> int:
        """Forget families with `not_before < older_than` (ms), at most `limit`; return how many.

        Those of users stay: tokens may have been made for years.
        """
        ...
