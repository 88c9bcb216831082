"""Leases, what is told under them, and long frames: tables that a crash of the server empties.

They are not written ahead (`UNLOGGED`): after a crash, or on another server after a failover,
every lease has lapsed, and the nodes take new ones. All times are the server's.
"""

from typing import Final

from .kinds import BYTEAS, FLOAT8, INT8, TEXT, TEXTS
from .statement import Statement

# Only ever appended to; a released step is never changed.
STEPS: Final = (
    # Half of each page is free: a renewal is written beside the row it replaces. Frames are not
    # compressed: they live for a moment.
    """CREATE UNLOGGED TABLE triolet_leases (
        lease text COLLATE "C" PRIMARY KEY,
        until timestamptz NOT NULL
    ) WITH (fillfactor = 50);
    CREATE UNLOGGED TABLE triolet_states (
        person text COLLATE "C" NOT NULL,
        lease text COLLATE "C" NOT NULL,
        state bytea NOT NULL,
        PRIMARY KEY (person, lease)
    ) WITH (fillfactor = 50);
    CREATE INDEX triolet_states_lease ON triolet_states (lease);
    CREATE UNLOGGED TABLE triolet_frames (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        frame bytea STORAGE EXTERNAL NOT NULL
    )""",
)

# The channel: of this database, which PostgreSQL keeps apart by itself, and of this schema.
CHANNEL: Final = "'triolet_' || md5(current_schema())"
RING: Final = Statement(
    f"SELECT pg_notify({CHANNEL}, payload) FROM unnest($1) AS payload",  # noqa: S608 - ours
    TEXTS,
    writes=True,
)
# Some of them carry a frame to the table. Whoever rings a minute later clears it away: who has
# not fetched it by then has lost its connection.
RING_LONG: Final = Statement(
    f"""WITH old AS (DELETE FROM triolet_frames WHERE id IN (
        SELECT id FROM triolet_frames WHERE at < clock_timestamp() - interval '1 minute'
        FOR UPDATE SKIP LOCKED)),
    told AS MATERIALIZED (SELECT *, CASE WHEN frame IS NOT NULL
        THEN nextval(pg_get_serial_sequence('triolet_frames', 'id')) END AS id
        FROM unnest($1, $2) WITH ORDINALITY AS told (payload, frame, place)),
    kept AS (INSERT INTO triolet_frames (id, frame) OVERRIDING SYSTEM VALUE
        SELECT id, frame FROM told WHERE frame IS NOT NULL)
    SELECT pg_notify({CHANNEL}, payload || coalesce(id::text, ''))
    FROM (SELECT * FROM told ORDER BY place) AS told""",  # noqa: S608 - ours
    TEXTS,
    BYTEAS,
    writes=True,
)
FETCH: Final = Statement("SELECT frame FROM triolet_frames WHERE id = $1", INT8)

# With it goes what lapsed leases have left, and what was told under one while it ended.
TAKE: Final = Statement(
    """WITH lapsed AS (DELETE FROM triolet_leases WHERE lease IN (
        SELECT lease FROM triolet_leases WHERE until <= clock_timestamp()
        FOR UPDATE SKIP LOCKED)),
    lost AS (DELETE FROM triolet_states WHERE ctid IN (
        SELECT s.ctid FROM triolet_states s LEFT JOIN triolet_leases l USING (lease)
        WHERE l.until IS NULL OR l.until <= clock_timestamp() FOR UPDATE OF s SKIP LOCKED))
    INSERT INTO triolet_leases VALUES ($1, clock_timestamp() + $2 * interval '1 second')
    ON CONFLICT (lease) DO UPDATE SET until = excluded.until""",
    TEXT,
    FLOAT8,
    writes=True,
)
RENEW: Final = Statement(
    """UPDATE triolet_leases SET until = clock_timestamp() + $2 * interval '1 second'
    WHERE lease = $1 AND until > clock_timestamp() RETURNING true""",
    TEXT,
    FLOAT8,
    writes=True,
)
END: Final = Statement(
    """WITH ended AS (DELETE FROM triolet_leases WHERE lease = $1)
    DELETE FROM triolet_states WHERE lease = $1""",
    TEXT,
    writes=True,
)
LIVING: Final = Statement(
    "SELECT lease FROM triolet_leases WHERE until > clock_timestamp() ORDER BY lease"
)
# Who is no more, and how the others are now.
PUT: Final = Statement(
    """WITH gone AS (DELETE FROM triolet_states WHERE lease = $1 AND person = ANY ($2)),
    alive AS (SELECT FROM triolet_leases WHERE lease = $1 AND until > clock_timestamp())
    INSERT INTO triolet_states
    SELECT person, $1, state FROM unnest($3, $4) AS told (person, state), alive
    ON CONFLICT (person, lease) DO UPDATE SET state = excluded.state""",
    TEXT,
    TEXTS,
    TEXTS,
    BYTEAS,
    writes=True,
)
STATES: Final = Statement(
    """SELECT person, lease, state FROM triolet_states JOIN triolet_leases USING (lease)
    WHERE person = ANY ($1) AND until > clock_timestamp() ORDER BY lease""",
    TEXTS,
)
