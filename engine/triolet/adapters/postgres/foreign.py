"""Cids that came from another store, whose entries are gone: found by their digests.

A store that was never moved, or has forgotten them (`dedupe_days`), asks nothing here. One that
has any asks once more for each batch, before it is appended: what a digest was never changes,
and no room's number is ever another's.
"""

from collections.abc import Sequence
from typing import Final, final

import trio

from ...ports.store import Duplicate
from .._digests import digest, prefix
from .identity import SALT, Run
from .kinds import BYTEAS, INT8, TEXTS
from .statement import Statement

_ANY: Final = Statement("SELECT EXISTS (SELECT FROM triolet.foreign_cids)")
_NUMBERS: Final = Statement("SELECT name, id FROM triolet.rooms WHERE name = ANY ($1)", TEXTS)
_FIND: Final = Statement(
    "SELECT key, seq, at, op FROM triolet.foreign_cids WHERE key = ANY ($1)", BYTEAS
)
PRUNE: Final = Statement("SELECT triolet.prune_foreign_cids($1, $2)", INT8, INT8, writes=True)

# Rooms whose numbers are remembered, about 150 bytes each.
_ROOMS_MAX: Final = 65_536


@final
class ForeignCids:
    """What this store took over of another one's cids."""

    def __init__(self) -> None:
        # Empty: there are none.
        self._salt = ""
        self._numbers: dict[str, int] = {}

    async def load(self, run: Run) -> None:
        """Look whether there are any."""
        ((has_any,),) = await run(_ANY)
        if has_any:
            ((self._salt,),) = await run(SALT)

    async def find(
        self, run: Run, cids: Sequence[tuple[str, str, str]]
    ) -> dict[tuple[str, str, str], Duplicate]:
        """Return what `(room, sender, cid)`s became, those of them that are found here."""
        if not self._salt:
            await trio.lowlevel.checkpoint()
            return {}
        await self._know(run, [room for room, _, _ in cids])
        keys = {
            digest(prefix(self._salt, self._numbers[room]), sender, cid): (room, sender, cid)
            for room, sender, cid in cids
            if room in self._numbers
        }
        rows = await run(_FIND, list(keys)) if keys else []
        return {keys[key]: Duplicate(seq, at, op) for key, seq, at, op in rows}

    async def _know(self, run: Run, rooms: Sequence[str]) -> None:
        missing = [room for room in dict.fromkeys(rooms) if room not in self._numbers]
        if missing:
            if len(self._numbers) > _ROOMS_MAX:
                self._numbers.clear()
                missing = list(dict.fromkeys(rooms))
            self._numbers.update(await run(_NUMBERS, missing))
