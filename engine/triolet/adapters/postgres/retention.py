"""Removing what is old, in small transactions, so that no append waits long for one.

A step holds one room, for as long as it takes to remove so many entries of it. Each leaves the
store right: the floor moves in the transaction that removes the entries below it. Several nodes
may do it at once; each finds what the other has left.
"""

from typing import Final, NamedTuple, final

from . import foreign
from .kinds import INT8
from .pool import Pool
from .statement import Statement

# Entries, cids or reactions of one transaction: 500 entries held their room for 18 to 28 ms on a
# machine with eight other processes for each processor.
ROWS_PER_STEP: Final = 250
# Rooms looked at by one statement.
_ROOMS_PER_READ: Final = 1000

_DUE: Final = Statement("SELECT * FROM triolet.due($1, $2, $3, $4)", INT8, INT8, INT8, INT8)
_PRUNE: Final = Statement(
    "SELECT o_floor, o_floor_n, o_removed FROM triolet.prune($1, $2, $3, $4)",
    INT8,
    INT8,
    INT8,
    INT8,
    writes=True,
)
_SWEEP: Final = Statement("SELECT triolet.sweep($1, $2, $3)", INT8, INT8, INT8, writes=True)
_PRUNE_CIDS: Final = Statement("SELECT triolet.prune_cids($1, $2)", INT8, INT8, writes=True)


class _Room(NamedTuple):
    room_id: int
    name: str


@final
class Retention:
    """See the module."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        # Where the search goes on: a call need not begin at the first room.
        self._after_room = 0

    async def prune(
        self, *, older_than: int, entries_max: int, limit: int
    ) -> list[tuple[str, int, int]]:
        """Remove about `limit` of the oldest entries; return where floors have moved to."""
        floors: dict[_Room, tuple[int, int]] = {}
        rounds = 0
        # The first round may have begun in the middle.
        while limit > 0 and rounds < 2:
            *found, (next_room, _) = await self._pool.run(
                _DUE, self._after_room, _ROOMS_PER_READ, older_than, entries_max
            )
            for room in [_Room(*row) for row in found]:
                while limit > 0:
                    most = min(limit, ROWS_PER_STEP)
                    rows = await self._pool.run(_PRUNE, room.room_id, older_than, entries_max, most)
                    floor, floor_n, removed = rows[0]
                    if removed is None:
                        break  # it was deleted since it was found
                    limit -= removed
                    if removed:
                        floors[room] = floor, floor_n
                    if removed < most:
                        break
            if limit > 0:
                self._after_room = next_room or 0
                rounds += next_room is None
        for room, (floor, _) in floors.items():
            await self._sweep(room.room_id, floor)
        return [(room.name, *floor) for room, floor in floors.items()]

    async def _sweep(self, room_id: int, floor: int) -> None:
        """Remove what was folded for messages that are gone."""
        removed = ROWS_PER_STEP
        while removed == ROWS_PER_STEP:
            ((removed,),) = await self._pool.run(_SWEEP, room_id, floor, ROWS_PER_STEP)

    async def prune_cids(self, *, older_than: int, limit: int) -> int:
        """Forget at most `limit` cids of drafts older than `older_than` (ms)."""
        count = 0
        for prune in (_PRUNE_CIDS, foreign.PRUNE):
            removed = most = ROWS_PER_STEP
            while count < limit and removed == most:
                most = min(limit - count, ROWS_PER_STEP)
                ((removed,),) = await self._pool.run(prune, older_than, most)
                count += removed
        return count
