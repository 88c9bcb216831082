"""The tables, as a tuple of numbered migrations; `PRAGMA user_version` says how many were run.

The shape follows from what was measured (batches of 100 messages over 200 rooms):

- `journal` is one row a batch: 0.6 µs and 250 B a message. A row a message, in the order of
  their coming, is 3.9 µs; keyed by `(room, seq)` it wrote 7.9 KB.
- `runs` and `places` are written from it sorted by room, a window of entries at a time
  (`upkeep`); what they do not hold yet (`batch > store.indexed`) is also held in memory. A run
  is up to 64 entries of a room in one row, so a page of history is one to four rows, wherever
  they are in a file of 10^7. Messages (lane 0) and all else (lane 1) apart, so that history
  never walks over a million reactions. `places` says which runs a room has, and where they end.
- `cids`, `segments` and `sieves` know what each cid became (`segments` says how).
- `words` says which runs a search need not read; it is of rooms that were searched.
- `edits`, `bodies`, `reactions` and `reaction_counts` are folded as they are written, so a page
  of history reads nothing later than itself.
"""

import sqlite3
from typing import Final

from ..._model.errors import ConfigurationError, SchemaTooNew

# "TRLT": says whose file this is, to `file(1)` and to ourselves.
APPLICATION_ID: Final = 0x54524C54
# "TRIO": files of development versions, a row an entry, which nothing reads any more.
_FORMER_ID: Final = 0x5452494F

_FIRST: Final = (
    # `indexed`: the last batch whose entries are in `runs`. `salt`: of the digests of cids.
    """CREATE TABLE store (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        gen INTEGER NOT NULL,
        indexed INTEGER NOT NULL,
        salt TEXT NOT NULL
    )""",
    "CREATE TABLE generations (gen INTEGER PRIMARY KEY, epoch TEXT NOT NULL UNIQUE)",
    """CREATE TABLE rooms (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        kind TEXT NOT NULL,
        title TEXT NOT NULL,
        public INTEGER NOT NULL,
        acl_ver INTEGER NOT NULL,
        members INTEGER NOT NULL,
        floor INTEGER NOT NULL,
        floor_n INTEGER NOT NULL,
        oldest_at INTEGER NOT NULL
    )""",
    """CREATE TABLE lineage (
        room_id INTEGER NOT NULL,
        gen INTEGER NOT NULL,
        first_seq INTEGER NOT NULL,
        PRIMARY KEY (room_id, gen)
    ) WITHOUT ROWID""",
    "CREATE TABLE journal (batch INTEGER PRIMARY KEY, packed BLOB NOT NULL)",
    "CREATE TABLE runs (id INTEGER PRIMARY KEY, packed BLOB NOT NULL)",
    # `last`, `n` and `at` are those of the run's last entry.
    """CREATE TABLE places (
        room_id INTEGER NOT NULL,
        lane INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        last INTEGER NOT NULL,
        n INTEGER NOT NULL,
        at INTEGER NOT NULL,
        run INTEGER NOT NULL,
        PRIMARY KEY (room_id, lane, seq)
    ) WITHOUT ROWID""",
    # The row's id is segment << 32 | the first bits of the digests in it.
    "CREATE TABLE cids (id INTEGER PRIMARY KEY, packed BLOB NOT NULL)",
    """CREATE TABLE segments (
        id INTEGER PRIMARY KEY,
        level INTEGER NOT NULL,
        bits INTEGER NOT NULL,
        count INTEGER NOT NULL,
        oldest_at INTEGER NOT NULL
    )""",
    "CREATE TABLE sieves (segment INTEGER PRIMARY KEY, packed BLOB NOT NULL)",
    "CREATE TABLE ops (code INTEGER PRIMARY KEY, op TEXT NOT NULL UNIQUE)",
    """CREATE TABLE members (
        room_id INTEGER NOT NULL,
        user TEXT NOT NULL,
        role TEXT NOT NULL,
        delivered INTEGER NOT NULL,
        read INTEGER NOT NULL,
        read_n INTEGER NOT NULL,
        PRIMARY KEY (room_id, user)
    ) WITHOUT ROWID""",
    # A user's rooms by name, which is the order of the inbox.
    """CREATE TABLE inboxes (
        user TEXT NOT NULL,
        room TEXT NOT NULL,
        room_id INTEGER NOT NULL,
        PRIMARY KEY (user, room)
    ) WITHOUT ROWID""",
    # Which entries edit a message, and the body that the last one has left.
    """CREATE TABLE edits (
        room_id INTEGER NOT NULL,
        target INTEGER NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (room_id, target, seq)
    ) WITHOUT ROWID""",
    """CREATE TABLE bodies (
        room_id INTEGER NOT NULL,
        target INTEGER NOT NULL,
        at INTEGER NOT NULL,
        packed BLOB NOT NULL,
        PRIMARY KEY (room_id, target)
    )""",
    """CREATE TABLE reactions (
        room_id INTEGER NOT NULL,
        target INTEGER NOT NULL,
        emoji TEXT NOT NULL,
        user TEXT NOT NULL,
        seq INTEGER NOT NULL,
        PRIMARY KEY (room_id, target, emoji, user)
    ) WITHOUT ROWID""",
    "CREATE INDEX reactions_first ON reactions (room_id, target, emoji, seq)",
    """CREATE TABLE reaction_counts (
        room_id INTEGER NOT NULL,
        target INTEGER NOT NULL,
        emoji TEXT NOT NULL,
        count INTEGER NOT NULL,
        PRIMARY KEY (room_id, target, emoji)
    ) WITHOUT ROWID""",
    """CREATE TABLE people (
        user TEXT PRIMARY KEY,
        status TEXT NOT NULL,
        last_seen INTEGER NOT NULL
    ) WITHOUT ROWID""",
    """CREATE TABLE revocations (
        user TEXT PRIMARY KEY,
        not_before INTEGER NOT NULL
    ) WITHOUT ROWID""",
    f"PRAGMA application_id = {APPLICATION_ID}",
)

# Rooms that were deleted. The number is never given again; `seq` and `at` answer the retries of
# the draft that did it. Until it `is_cleared` something of the room is left in other tables, or,
# until it `is_folded`, in the journal.
_TOMBSTONES: Final = (
    """CREATE TABLE tombstones (
        room_id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        sender TEXT NOT NULL,
        cid TEXT NOT NULL,
        op TEXT NOT NULL,
        seq INTEGER NOT NULL,
        at INTEGER NOT NULL,
        is_folded INTEGER NOT NULL,
        is_cleared INTEGER NOT NULL
    )""",
    "CREATE INDEX tombstones_left ON tombstones (room_id) WHERE NOT is_cleared",
)

# `store.version`: the last that was given to a document, of whatever key.
_DOCUMENTS: Final = (
    "ALTER TABLE store ADD COLUMN version INTEGER NOT NULL DEFAULT 0",
    """CREATE TABLE documents (
        key TEXT NOT NULL UNIQUE,
        version INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        value BLOB NOT NULL
    )""",
    "CREATE INDEX documents_expiry ON documents (expires_at) WHERE expires_at > 0",
)

# Who may see whether somebody is here.
_VISIBILITY: Final = ("ALTER TABLE people ADD COLUMN visible_to TEXT NOT NULL DEFAULT 'shared'",)

# Jobs: `state` is 0 waiting, 1 running, 2 done, 3 dead. Each state has an index of its own, so that
# a call costs its rows; each ends with the row's id, by which the oldest goes first.
_JOBS: Final = (
    """CREATE TABLE jobs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        kind TEXT NOT NULL,
        key TEXT NOT NULL,
        payload BLOB NOT NULL,
        priority INTEGER NOT NULL,
        due_at INTEGER NOT NULL,
        attempts_max INTEGER NOT NULL,
        state INTEGER NOT NULL DEFAULT 0,
        attempts INTEGER NOT NULL DEFAULT 0,
        added_at INTEGER NOT NULL,
        lease_until INTEGER NOT NULL DEFAULT 0,
        error TEXT NOT NULL DEFAULT '',
        finished_at INTEGER NOT NULL DEFAULT 0,
        UNIQUE (kind, key)
    )""",
    "CREATE INDEX jobs_waiting ON jobs (kind, priority DESC, due_at) WHERE state = 0",
    "CREATE INDEX jobs_running ON jobs (kind, lease_until) WHERE state = 1",
    "CREATE INDEX jobs_done ON jobs (finished_at) WHERE state = 2",
    "CREATE INDEX jobs_dead ON jobs (kind) WHERE state = 3",
    "CREATE INDEX jobs_dead_ids ON jobs (id) WHERE state = 3",
)

# Jobs by state, kind and id, which is the order in which they are listed: without it 100,000 done
# ones were walked for each page (25 ms) or sorted (300 ms). Those that run are few, and need none.
_JOB_LISTS: Final = (
    "DROP INDEX jobs_dead_ids",
    "CREATE INDEX jobs_waiting_ids ON jobs (kind) WHERE state = 0",
    "CREATE INDEX jobs_done_ids ON jobs (kind) WHERE state = 2",
)

# `lost`: how often a job's lease has ended. From two on a job is claimed alone, by an index of its
# own, so that it is in nobody's way.
_LOST_JOBS: Final = (
    "ALTER TABLE jobs ADD COLUMN lost INTEGER NOT NULL DEFAULT 0",
    "DROP INDEX jobs_waiting",
    "CREATE INDEX jobs_waiting ON jobs (kind, priority DESC, due_at) WHERE state = 0 AND lost < 2",
    "CREATE INDEX jobs_alone ON jobs (kind, priority DESC, due_at) WHERE state = 0 AND lost >= 2",
)

_FORGET: Final = """DELETE FROM words WHERE run = (
    SELECT run FROM places WHERE room_id = new.room_id AND lane = 0 AND seq <= new.target
    ORDER BY seq DESC LIMIT 1)"""

# What is known of the words in a run's messages as they read now (`searching` says how); no row:
# nothing. The tables see to it that no row is of a former state: whoever changes a run or the
# present body of one of its messages, for whatever reason, takes what was known of it away.
_WORDS: Final = (
    "CREATE TABLE words (run INTEGER PRIMARY KEY, packed BLOB)",
    """CREATE TRIGGER words_of_runs_removed AFTER DELETE ON runs
    BEGIN DELETE FROM words WHERE run = old.id; END""",
    """CREATE TRIGGER words_of_runs_changed AFTER UPDATE ON runs
    BEGIN DELETE FROM words WHERE run = old.id; END""",
    f"CREATE TRIGGER words_of_bodies_added AFTER INSERT ON bodies BEGIN {_FORGET}; END",
    f"CREATE TRIGGER words_of_bodies_changed AFTER UPDATE ON bodies BEGIN {_FORGET}; END",
)

# Only in a store that takes another one's rows, and until it has all of them: how far it is, and
# the state of the other one. So no other file has to know of it.
TRANSFER: Final = """CREATE TABLE transfer (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    state TEXT NOT NULL,
    section INTEGER NOT NULL,
    after TEXT NOT NULL,
    rows INTEGER NOT NULL
)"""

# Room r's head, n and `at` as the tables know them; memory may know later ones.
_LAST: Final = (
    "coalesce((SELECT {0} FROM places WHERE room_id = r.id AND lane = 0 ORDER BY seq DESC LIMIT 1),"
    " 0), coalesce((SELECT {0} FROM places WHERE room_id = r.id AND lane = 1 ORDER BY seq DESC "
    "LIMIT 1), 0)"
)
HEAD: Final = f"max(r.floor, {_LAST.format('last')})"
N: Final = f"max(r.floor_n, {_LAST.format('n')})"
AT: Final = f"max(r.oldest_at, {_LAST.format('at')})"

# Only ever appended to; a released step is never changed.
MIGRATIONS: Final[tuple[tuple[str, ...], ...]] = (
    _FIRST,
    _TOMBSTONES,
    _DOCUMENTS,
    _VISIBILITY,
    _JOBS,
    _WORDS,
    _JOB_LISTS,
    _LOST_JOBS,
)


def check(connection: sqlite3.Connection, path: str) -> int:
    """Return how many migrations the file has seen; nothing is written.

    Raises:
        SchemaTooNew: more than this Triolet knows.
        ConfigurationError: it is some other program's database, or of a layout that is gone.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if owner == _FORMER_ID:
        raise ConfigurationError(
            f"{path} was written by a development version of Triolet, in a layout that this one "
            "does not read: keep it, and name another file"
        )
    if owner != APPLICATION_ID and (tables or version):
        raise ConfigurationError(f"{path} is another program's SQLite database")
    if version > len(MIGRATIONS):
        raise SchemaTooNew(
            f"{path} has schema {version}, and this Triolet knows schemas up to "
            f"{len(MIGRATIONS)}: it was written by a newer one; install that"
        )
    return int(version)


def migrate(
    connection: sqlite3.Connection,
    version: int,
    migrations: tuple[tuple[str, ...], ...],
) -> None:
    """Bring a file from `version` to the newest schema; each step is one transaction."""
    for number, statements in enumerate(migrations[version:], start=version + 1):
        connection.execute("BEGIN IMMEDIATE")
        try:
            for statement in statements:
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number}")
        except BaseException:
            connection.execute("ROLLBACK")
            raise
        connection.execute("COMMIT")


def is_unfinished(connection: sqlite3.Connection) -> bool:
    """Whether a transfer into this store is not finished."""
    found = connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'transfer'").fetchone()
    return found is not None


def begin_log(connection: sqlite3.Connection, epoch: str) -> None:
    """Give a new store its first epoch; an old one keeps its own."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(
        "INSERT OR IGNORE INTO store (one, gen, indexed, salt) "
        "VALUES (1, 1, 0, hex(randomblob(16)))"
    )
    connection.execute(
        "INSERT INTO generations SELECT 1, ? WHERE NOT EXISTS (SELECT 1 FROM generations)",
        (epoch,),
    )
    connection.execute("COMMIT")
