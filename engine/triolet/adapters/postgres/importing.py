"""Taking another store's rows: arrays of thousands of them, and how far it is, in one commit."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Final, final

from msgspec.structs import replace

from ..._model.limits import Limits
from ...ports.clock import Entropy
from ...ports.transfer import Origin, Place, Row, Section, Target
from .._digests import digest, prefix
from .._transfers import is_taken, place_to_begin_at
from .identity import SALT, of_a_copy, refuse_servers, salt_of
from .kinds import BOOL, BYTEAS, INT4, INT8, INT8S, TEXT, TEXTS
from .migrations import migrate
from .pool import Pool, Transaction, open_pool
from .restoring import PATIENT_S, TAKE
from .schema import steps
from .statement import Rows, Statement

# The lock against the beginning of a generation, which each append shares.
_LOCK: Final = Statement("SELECT pg_advisory_xact_lock(7312648201)")
_IS_USED: Final = Statement(
    "SELECT EXISTS (SELECT FROM triolet.rooms) OR EXISTS (SELECT FROM triolet.people)"
    " OR EXISTS (SELECT FROM triolet.revocations) OR EXISTS (SELECT FROM triolet.tombstones)"
    " OR EXISTS (SELECT FROM triolet.documents) OR EXISTS (SELECT FROM triolet.jobs)"
)
_UNDER_WAY: Final = Statement("SELECT state, section, after, rows FROM triolet.transfer FOR UPDATE")
_BEGIN: Final = Statement(
    "INSERT INTO triolet.transfer (state, section, after, rows) VALUES ($1, 0, '', 0)",
    TEXT,
    writes=True,
)
_TAKE_SALT: Final = Statement("UPDATE triolet.identity SET salt = $1", TEXT, writes=True)
_FIRST_GENERATION: Final = Statement(
    "SELECT triolet.begin_generation($1, $2)", TEXT, BOOL, writes=True
)
_NO_GENERATIONS: Final = Statement("DELETE FROM triolet.generations", writes=True)
_GENERATIONS: Final = Statement(
    "INSERT INTO triolet.generations SELECT i, epoch FROM unnest($1) WITH ORDINALITY u(epoch, i)",
    TEXTS,
    writes=True,
)
_VERSION: Final = Statement(
    "SELECT setval('triolet.document_versions', $1) FROM triolet.document_versions"
    " WHERE $1 > CASE WHEN is_called THEN last_value ELSE 0 END",
    INT8,
    writes=True,
)
_LAST_JOB: Final = Statement(
    "SELECT setval('triolet.job_ids', $1) FROM triolet.job_ids"
    " WHERE $1 > CASE WHEN is_called THEN last_value ELSE 0 END",
    INT8,
    writes=True,
)
_PRESENT: Final = Statement("UPDATE triolet.store SET gen = $1", INT4, writes=True)
# A server that crashes takes whole transactions back, and what says how far it is with them.
_LAZILY: Final = Statement("SELECT set_config('synchronous_commit', 'off', true)")
_UPTO: Final = Statement(
    "UPDATE triolet.transfer SET section = $1, after = $2, rows = $3", INT4, TEXT, INT8, writes=True
)
_SETTLE: Final = Statement("SELECT triolet.settle_transfer()", writes=True, within_s=PATIENT_S)
_HAS_FOREIGN: Final = Statement("SELECT EXISTS (SELECT FROM triolet.foreign_cids)")
_EMPTY: Final = Statement("TRUNCATE triolet.foreign_cids", writes=True)
_NAMES: Final = tuple(
    Statement(
        f"SELECT room_id, seq, sender, cid FROM triolet.{table}"  # noqa: S608 - ours
        " WHERE (room_id, seq) > ($1, $2) ORDER BY room_id, seq LIMIT $3",
        INT8,
        INT8,
        INT8,
        within_s=PATIENT_S,
    )
    for table in ("messages", "others")
)
_ADOPT: Final = Statement(
    "SELECT triolet.adopt_cids($1, $2, $3, $4, $5)",
    BYTEAS,
    INT8S,
    INT8S,
    TEXTS,
    TEXTS,
    writes=True,
    within_s=PATIENT_S,
)
_ANALYZE: Final = Statement("ANALYZE", writes=True, within_s=PATIENT_S)
_FINISH: Final = Statement("DELETE FROM triolet.transfer", writes=True)

# Entries whose cids are made out at once.
_ADOPTED_AT_ONCE: Final = 10_000


@asynccontextmanager
async def open_postgres_target(
    url: str, *, entropy: Entropy, limits: Limits
) -> AsyncIterator[Target]:
    """Open the database at `url` to take another store's rows.

    Raises:
        ConfigurationError: the URL is none, or a server uses the database.
        SchemaTooNew: a newer Triolet has written it.
        StoreUnavailable: it cannot be reached.
    """
    url = of_a_copy(url)
    # A page of rows takes what it takes, and is not worth a warning.
    limits = replace(limits, slow_query_s=PATIENT_S)
    await migrate(url, steps(), timeout_s=limits.postgres_connect_timeout_s)
    async with open_pool(url, entropy=entropy, limits=limits) as pool:
        await refuse_servers(pool.run)
        await salt_of(pool.run, entropy.token())
        await pool.run(_FIRST_GENERATION, entropy.token(), True)
        yield PostgresTarget(pool)


@final
class PostgresTarget(Target):
    """Each call is a transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def begin(self, origin: Origin) -> Place:
        """Become the store that `origin` is, if empty; return the place to go on from."""
        async with self._pool.transaction() as transaction:
            await transaction.run(_LOCK)
            ((salt,),) = await transaction.run(SALT)
            ((is_used,),) = await transaction.run(_IS_USED)
            place = place_to_begin_at(
                origin, salt=salt, is_empty=not is_used, under_way=await _under_way(transaction)
            )
            if place is None:
                place = Place()
                await transaction.run(_BEGIN, origin.state)
                await transaction.run(_TAKE_SALT, origin.salt)
                await transaction.run(_NO_GENERATIONS)
                await transaction.run(_GENERATIONS, origin.epochs)
                await transaction.run(_PRESENT, len(origin.epochs))
                await transaction.run(_VERSION, origin.version)
                await transaction.run(_LAST_JOB, origin.last_job)
        return place

    async def take(self, rows: Sequence[Row], *, after: Place, upto: Place) -> None:
        """Take the rows between two places, and know the second one, in one transaction."""
        async with self._pool.transaction() as transaction:
            await transaction.run(_LAZILY)
            under_way = await _under_way(transaction)
            assert under_way is not None, "it was begun"
            if not is_taken(under_way[1], after=after, upto=upto):
                if rows:
                    await TAKE[after.section](transaction, rows)
                await transaction.run(_UPTO, int(upto.section), upto.after, upto.rows)

    async def settle(self) -> None:
        """Count reactions, and know cids by their names, where there is an entry that tells."""
        await self._pool.run(_SETTLE)
        ((has_foreign,),) = await self._pool.run(_HAS_FOREIGN)
        if has_foreign:
            ((salt,),) = await self._pool.run(SALT)
            for names in _NAMES:
                await self._adopt(names, salt)
            ((has_foreign,),) = await self._pool.run(_HAS_FOREIGN)
            if not has_foreign:
                await self._pool.run(_EMPTY)
        await self._pool.run(_ANALYZE)

    async def _adopt(self, names: Statement, salt: str) -> None:
        found: Rows = [(0, 0)]
        while found:
            room_id, seq, *_ = found[-1]
            found = await self._pool.run(names, room_id, seq, _ADOPTED_AT_ONCE)
            if found:
                rooms, seqs, senders, cids = zip(*found, strict=True)
                before = {number: prefix(salt, number) for number in dict.fromkeys(rooms)}
                keys = [digest(before[number], sender, cid) for number, _, sender, cid in found]
                await self._pool.run(_ADOPT, keys, rooms, seqs, senders, cids)

    async def finish(self) -> None:
        """Be a store like any other: what was committed lazily is on the disk before this is."""
        await self._pool.run(_FINISH)


async def _under_way(transaction: Transaction) -> tuple[str, Place] | None:
    found = await transaction.run(_UNDER_WAY)
    if not found:
        return None
    ((state, section, after, rows),) = found
    return state, Place(Section(section), after, rows)
