"""Documents in PostgreSQL: one call of a function each, which is one round trip."""

from collections.abc import Sequence
from typing import Final, final

from ...ports.clock import Clock
from ...ports.documents import Change, Document, Documents
from .._documents import check_changes, check_keys, check_scan, is_key, span
from .kinds import BOOL, BYTEAS, INT8, INT8S, TEXT, TEXTS
from .pool import Pool
from .statement import Statement

_READ: Final = Statement("SELECT * FROM triolet.documents_of($1, $2)", TEXTS, INT8)
_SCAN: Final = Statement(
    "SELECT * FROM triolet.documents_between($1, $2, $3, $4, $5, $6)",
    *(TEXT, BOOL, TEXT, INT8, INT8, BOOL),
)
_WRITE: Final = Statement(
    "SELECT triolet.write_documents($1, $2, $3, $4, $5)",
    *(INT8, TEXTS, INT8S, INT8S, BYTEAS),
    writes=True,
)
_PRUNE: Final = Statement("SELECT triolet.prune_documents($1, $2)", INT8, INT8, writes=True)


@final
class PostgresDocuments(Documents):
    """Any node may write any key: the function says who was first."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock

    async def read(self, keys: Sequence[str]) -> list[Document | None]:
        """Return the documents of these keys, in their order, None where there is none."""
        check_keys(keys)
        asked = [key for key in dict.fromkeys(keys) if is_key(key)]
        rows = await self._pool.run(_READ, asked, self._clock.now_ms())
        found = {row[0]: Document(*row) for row in rows}
        return [found.get(key) for key in keys]

    async def scan(
        self, prefix: str, *, after: str = "", limit: int, descending: bool = False
    ) -> list[Document]:
        """Return documents whose keys begin with `prefix`, by key, those behind `after`."""
        check_scan(prefix, after, limit)
        keys = span(prefix, after, descending=descending)
        now = self._clock.now_ms()
        rows = await self._pool.run(
            _SCAN, keys.first, keys.is_behind, keys.end, now, limit, descending
        )
        return [Document(*row) for row in rows]

    async def write(self, changes: Sequence[Change]) -> bool:
        """Make all changes, or none: False, if a version was another than a change says."""
        check_changes(changes)
        ((is_made,),) = await self._pool.run(
            _WRITE,
            self._clock.now_ms(),
            [one.key for one in changes],
            [one.version for one in changes],
            [one.expires_at for one in changes],
            [one.value for one in changes],
        )
        return bool(is_made)

    async def prune(self, *, now: int, limit: int) -> int:
        """Remove documents with `0 < expires_at <= now` (ms), at most `limit`."""
        ((count,),) = await self._pool.run(_PRUNE, now, limit)
        return int(count)
