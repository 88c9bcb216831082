"""Schema steps: numbered, each run once, by one node at a time, however many start at once.

One node holds the advisory lock, the others wait for it and find the work done. All steps that
are missing are one transaction: a step that fails leaves the schema as it was. A session's lock
needs one session, so this asks for a URL that leads to PostgreSQL itself or, behind a pooler,
for a pool that keeps a transaction together: the lock is one of the transaction.
"""

from collections.abc import Sequence
from typing import Final

import trio

from ..._model.errors import SchemaTooNew, StoreUnavailable
from .address import parse
from .connection import Connection, connect
from .failures import Lost
from .kinds import INT4, TEXT
from .statement import Statement

# "triolet" as a number: another program's lock is another number, as a rule.
_LOCK: Final = 0x7472696F6C6574
_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS triolet_schema (part text PRIMARY KEY, version integer NOT NULL)"
)
_VERSION: Final = Statement("SELECT version FROM triolet_schema WHERE part = $1", TEXT)
_DONE: Final = Statement(
    "INSERT INTO triolet_schema VALUES ($1, $2)"
    " ON CONFLICT (part) DO UPDATE SET version = excluded.version",
    TEXT,
    INT4,
)


async def migrate(url: str, steps: Sequence[str], *, timeout_s: float, part: str = "store") -> int:
    """Bring a database to the newest schema, and return how many steps were missing.

    Args:
        url: where; see `address`.
        steps: SQL, several statements each; step 1 first. Only ever appended to. None may need
            to be outside a transaction (`CREATE INDEX CONCURRENTLY`).
        timeout_s: for connecting, and for leaving when cancelled. The steps take what they
            take, and so does waiting for another node's.
        part: of the schema: each has numbers of its own.

    Raises:
        SchemaTooNew: more steps were run than are known here.
        Refused: a step is wrong; nothing was changed.
        StoreUnavailable: nothing was changed, or all was: try again.
    """
    connection = await connect(parse(url), timeout_s=timeout_s)
    try:
        return await migrate_over(connection, steps, part=part)
    except Lost as lost:
        raise StoreUnavailable(f"the schema: {lost}") from lost
    finally:
        # A server notices late that nobody waits for a step, which would hold the lock.
        with trio.CancelScope(shield=True):
            await connection.recover(within_s=timeout_s)
        connection.close()


async def migrate_over(connection: Connection, steps: Sequence[str], *, part: str) -> int:
    """Do it over a connection that is nobody else's.

    Raises:
        Lost: the connection was lost; the others as `migrate`.
    """
    await connection.script(f"BEGIN; SELECT pg_advisory_xact_lock({_LOCK})")
    await connection.script(_TABLE)
    found = await connection.run(_VERSION, [part])
    version = int(found[0][0]) if found else 0
    if version > len(steps):
        raise SchemaTooNew(
            f"the database has schema {version}, and this Triolet knows schemas up to "
            f"{len(steps)}: it was written by a newer one; install that"
        )
    missing = steps[version:]
    if missing:
        for step in missing:
            await connection.script(step)
        await connection.run(_DONE, [part, len(steps)])
    await connection.script("COMMIT")
    return len(missing)
