-- The tables. A released file is never changed: what is to be different comes as another step.
--
-- Names are compared by code points (COLLATE "C"), whatever the database's own order is.
-- A room's entries are in two tables, so that history never walks over a million reactions;
-- each is keyed by (room_id, seq), and what comes is appended to the end of both heap and index.

CREATE SCHEMA triolet;

-- `timeline` and `system_id`: where the log was last written. A server that was promoted, or
-- made from a backup or a dump, has others, and may have lost what was acknowledged. To read the
-- system's identifier is to read a file (44 µs), so each append looks whether the server is still
-- the one that was `started` then, and only another one is asked for it.
CREATE TABLE triolet.store (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    gen integer NOT NULL,
    timeline bigint NOT NULL,
    system_id bigint NOT NULL,
    started timestamptz NOT NULL
);

-- The timeline that this server writes: the first part of the name of its present log file. An
-- error on a server that follows another one.
CREATE FUNCTION triolet.timeline() RETURNS bigint LANGUAGE sql VOLATILE
RETURN ('x' || substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8))::bit(32)::bigint;

CREATE TABLE triolet.generations (
    gen integer PRIMARY KEY,
    epoch text COLLATE "C" NOT NULL UNIQUE
);

-- `born`: the generation in which it was made. `oldest_at`: no entry is older.
CREATE TABLE triolet.rooms (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    floor bigint NOT NULL DEFAULT 0,
    floor_n bigint NOT NULL DEFAULT 0,
    oldest_at bigint NOT NULL DEFAULT 0,
    members integer NOT NULL DEFAULT 0,
    born integer NOT NULL,
    public boolean NOT NULL,
    name text COLLATE "C" NOT NULL UNIQUE,
    kind text NOT NULL,
    title text NOT NULL
) WITH (fillfactor = 80);

-- A room's row here is its lock, too: whoever writes to a room holds it first, and whoever
-- writes to several takes them in ascending order. Narrow and half empty, because each batch
-- writes it anew in the same page. `gen`: the last one of which `lineage` knows.
CREATE TABLE triolet.heads (
    room_id bigint PRIMARY KEY,
    head bigint NOT NULL,
    n bigint NOT NULL,
    at bigint NOT NULL,
    acl_ver bigint NOT NULL,
    gen integer NOT NULL
) WITH (fillfactor = 50);

-- Where generations after a room's first one begin in it, written when its log goes on in them.
CREATE TABLE triolet.lineage (
    room_id bigint,
    gen integer,
    first_seq bigint NOT NULL,
    PRIMARY KEY (room_id, gen)
);

-- `packed`: the fact as msgpack, NULL once erased. `rest`: what an erased one leaves, where that
-- is more than its being erased.
CREATE TABLE triolet.messages (
    room_id bigint,
    seq bigint,
    n bigint NOT NULL,
    at bigint NOT NULL,
    sender text COLLATE "C" NOT NULL,
    cid text COLLATE "C" NOT NULL,
    packed bytea,
    rest bytea,
    PRIMARY KEY (room_id, seq)
);

CREATE TABLE triolet.others (
    room_id bigint,
    seq bigint,
    n bigint NOT NULL,
    at bigint NOT NULL,
    target bigint,
    kind smallint NOT NULL,
    sender text COLLATE "C" NOT NULL,
    cid text COLLATE "C" NOT NULL,
    packed bytea,
    PRIMARY KEY (room_id, seq)
);
-- Edits by their targets; the last one is the present body.
CREATE INDEX others_edits ON triolet.others (room_id, target, seq) WHERE kind = 1;

-- What each cid became. They outlive entries; `at` is for forgetting the old ones.
CREATE TABLE triolet.cids (
    room_id bigint,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    sender text COLLATE "C",
    cid text COLLATE "C",
    op text COLLATE "C" NOT NULL,
    PRIMARY KEY (room_id, sender, cid)
);
CREATE INDEX cids_at ON triolet.cids (at);

CREATE TABLE triolet.reactions (
    room_id bigint,
    target bigint,
    seq bigint NOT NULL,
    emoji text COLLATE "C",
    usr text COLLATE "C",
    PRIMARY KEY (room_id, target, emoji, usr)
);
CREATE INDEX reactions_first ON triolet.reactions (room_id, target, emoji, seq);

CREATE TABLE triolet.reaction_counts (
    room_id bigint,
    target bigint,
    count integer NOT NULL,
    emoji text COLLATE "C",
    PRIMARY KEY (room_id, target, emoji)
) WITH (fillfactor = 80);

CREATE TABLE triolet.members (
    room_id bigint,
    delivered bigint NOT NULL,
    read bigint NOT NULL,
    read_n bigint NOT NULL,
    usr text COLLATE "C",
    role text NOT NULL,
    PRIMARY KEY (room_id, usr)
) WITH (fillfactor = 80);

-- A user's rooms by name, which is the order of the inbox. No second index of `members`: where
-- two would do, a plan that was made on empty tables may use the one that is of no use.
CREATE TABLE triolet.inboxes (
    room_id bigint NOT NULL,
    usr text COLLATE "C",
    room text COLLATE "C",
    PRIMARY KEY (usr, room)
);

CREATE TABLE triolet.people (
    last_seen bigint NOT NULL,
    usr text COLLATE "C" PRIMARY KEY,
    status text NOT NULL
) WITH (fillfactor = 80);

CREATE TABLE triolet.revocations (
    not_before bigint NOT NULL,
    usr text COLLATE "C" PRIMARY KEY
);

-- Room r's row and where its log stands, in the order of the port's `RoomState`. `lineage` is
-- NULL where the present epoch is the only one.
CREATE VIEW triolet.states AS
SELECT r.id, r.name, r.kind, r.title, r.public, g.epoch,
    CASE WHEN r.born < s.gen THEN (
        SELECT json_agg(json_build_array(
            every.epoch,
            CASE WHEN every.gen = r.born THEN 1 ELSE coalesce(l.first_seq, h.head + 1) END
        ) ORDER BY every.gen)::text
        FROM triolet.generations every
        LEFT JOIN triolet.lineage l ON l.room_id = r.id AND l.gen = every.gen
        WHERE every.gen >= r.born
    ) END AS lineage,
    h.head, h.n, r.floor, r.floor_n, h.acl_ver, r.members
FROM triolet.store s
JOIN triolet.generations g ON g.gen = s.gen
CROSS JOIN triolet.rooms r
JOIN triolet.heads h ON h.room_id = r.id;
