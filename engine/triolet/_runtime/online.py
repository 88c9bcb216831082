"""Who is seen on all nodes: a list by pages, and a count.

Each node answers for its own users. Those who hide, and those who are to be seen by nobody, are
in neither; who may ask is for the host to say.
"""

from collections.abc import Iterable
from heapq import nsmallest
from typing import TYPE_CHECKING, Final, final

import trio
from msgspec import Struct, structs

from .._domain.presence import Told, combined
from .._model.events import VisibleStatus
from .._wire.questions import Headcount, HeadcountWanted, PeopleFound, PeopleWanted, PersonRow
from .rollcall import RollCall

if TYPE_CHECKING:
    from .engine import Engine

# Users of one page: their rows fit a frame, and a query.
ROWS_MAX: Final = 200
# Users looked at between two checkpoints: about a millisecond.
_USERS_PER_TURN: Final = 500
# How long a count is told again without being counted: 15,000 users take a node 30 ms.
_COUNT_KEPT_S: Final = 1.0


@final
class OnlinePage(Struct, frozen=True):
    """Some of those who are seen, by name; `after` asks for the next ones, None: no more.

    Attributes:
        users: each with a status; there may be fewer than were asked for, and others behind.
        silent: the nodes that did not answer in time: their users are missing.
    """

    users: tuple[tuple[str, VisibleStatus], ...]
    after: str | None
    silent: tuple[str, ...] = ()


@final
class Online:
    """See the module."""

    def __init__(self, engine: "Engine", roll: RollCall) -> None:
        self._store = engine.store
        self._presence = engine.presence
        self._roll = roll
        self._count = 0
        self._counted_at = float("-inf")
        # By one task at a time.
        self._counting = trio.Lock()
        roll.answer(PeopleWanted, self._find)
        roll.answer(HeadcountWanted, self._own_count)

    async def page(self, *, after: str = "", limit: int = ROWS_MAX) -> OnlinePage:
        """Return those who are seen on any node, by name, those behind `after`.

        Args:
            after: a user's name; empty: from the first on.
            limit: at most so many, 1 to 200.

        Raises:
            StoreError: by whom they wish to be seen could not be read.
        """
        limit = max(1, min(limit, ROWS_MAX))
        poll = await self._roll.ask(PeopleWanted(after, limit), PeopleFound)
        told: dict[str, list[Told]] = {}
        for found in poll.answers.values():
            for user, status, is_grace, kept, kept_at in found.rows:
                word = Told(status, is_grace, kept, kept_at)
                told.setdefault(user, []).append(word)
        # Behind the last one that a node has looked at there may be others of it.
        end = min((found.end for found in poll.answers.values() if found.end), default="")
        known = [user for user in sorted(told) if not end or user <= end]
        users = known[:limit]
        hidden = await self._hidden(users)
        rows = [(user, combined(told[user])) for user in users if user not in hidden]
        return OnlinePage(
            tuple((user, status) for user, status in rows if status != "offline"),
            users[-1] if len(known) > limit else end or None,
            poll.silent,
        )

    async def _hidden(self, users: list[str]) -> dict[str, None]:
        people = await self._store.people(users) if users else []
        return {person.user: None for person in people if person.visible_to == "nobody"}

    async def count(self) -> int:
        """Return how many users are seen on all nodes, as it was at most a second ago.

        Who has just come to another node may count twice, and those of a node that does not
        answer are missing.
        """
        async with self._counting:
            if trio.current_time() - self._counted_at >= _COUNT_KEPT_S:
                poll = await self._roll.ask(HeadcountWanted(), Headcount)
                self._count = sum(one.count for one in poll.answers.values())
                self._counted_at = trio.current_time()
            return self._count

    # --- of this node ------------------------------------------------------------------

    async def _find(self, wanted: PeopleWanted) -> PeopleFound:
        limit = max(1, min(wanted.limit, ROWS_MAX))
        users: list[str] = []
        for chunk in _chunks(list(self._presence.present)):
            await trio.lowlevel.checkpoint()
            # One more than is asked for: it tells that there are others.
            behind = (user for user in chunk if user > wanted.after)
            users = nsmallest(limit + 1, [*users, *behind])
        await trio.lowlevel.checkpoint()
        rows: list[PersonRow] = []
        for user in users[:limit]:
            word = self._presence.own(user)
            if word is not None:
                rows.append((user, *structs.astuple(word)))
        return PeopleFound(tuple(rows), users[limit - 1] if len(users) > limit else "")

    async def _own_count(self, wanted: HeadcountWanted) -> Headcount:
        del wanted
        count = 0
        for chunk in _chunks(list(self._presence.present)):
            await trio.lowlevel.checkpoint()
            count += sum(map(self._is_counted, chunk))
        await trio.lowlevel.checkpoint()
        return Headcount(count)

    def _is_counted(self, user: str) -> bool:
        """Whether a user is seen, and is this node's to count."""
        present, elsewhere = self._presence.present.get(user), self._presence.elsewhere
        own = self._presence.own(user)
        if present is None or own is None or present.visible_to in (None, "nobody"):
            return False
        others = [] if elsewhere is None else elsewhere.told(user)
        if combined([*others, own]) == "offline":
            return False
        return elsewhere is None or elsewhere.counts(user)


def _chunks(users: list[str]) -> Iterable[list[str]]:
    for start in range(0, len(users), _USERS_PER_TURN):
        yield users[start : start + _USERS_PER_TURN]
