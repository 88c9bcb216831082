"""What rooms were when they were deleted: noted with the commit, for later nobody can ask."""

from collections.abc import Callable, Sequence
from typing import final

import trio

from ...adapters.memory import MemoryStore
from ...ports.store import Draft, Outcome, RoomDeleted
from .. import history
from ..recorder import log_of


@final
class Deletions:
    """See the module.

    Attributes:
        write: where they are noted.
    """

    def __init__(self, memory: MemoryStore) -> None:
        self._memory = memory
        self.write: Callable[[history.Event], None] | None = None

    async def append(self, batch: Sequence[Draft]) -> list[Outcome]:
        """Commit a batch, and note which rooms that has ended."""
        outcomes = self._memory.append_now(batch)
        for draft, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, RoomDeleted) and self.write is not None:
                self._note(draft, outcome, self.write)
        await trio.lowlevel.checkpoint()
        return outcomes

    def _note(
        self, draft: Draft, outcome: RoomDeleted, write: Callable[[history.Event], None]
    ) -> None:
        room, now = self._memory.held.leftovers[draft.room], trio.current_time()
        write(log_of(room.state(), room.records, now))
        write(
            history.Deleted(now, room=room.name, seq=outcome.seq, user=draft.sender, cid=draft.cid)
        )

    def is_cleared(self) -> bool:
        """Whether nothing is left of what was said in them."""
        return not self._memory.held.leftovers
