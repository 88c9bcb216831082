-- What a store knows of having been moved here from another one, or being moved.

-- The salt of the digests of cids, once the rows of this store were read or taken as rows: it
-- names the store, too, wherever its rows are.
CREATE TABLE triolet.identity (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    salt text NOT NULL
);

-- Cids of entries that another store had removed before its rows were taken: the digest of room,
-- sender and cid is all that is known of them.
CREATE TABLE triolet.foreign_cids (
    key bytea PRIMARY KEY,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    op text COLLATE "C" NOT NULL
);
CREATE INDEX foreign_cids_at ON triolet.foreign_cids (at);

-- A transfer into this store that is not finished: the state of its source, and how far it is.
CREATE TABLE triolet.transfer (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    state text NOT NULL,
    section integer NOT NULL,
    after text NOT NULL,
    rows bigint NOT NULL
);

-- Entries after one, in the order of rooms and seqs, until their facts exceed `p_bytes_max`.
CREATE FUNCTION triolet.entries_after(
    p_room_id bigint, p_seq bigint, p_limit bigint, p_bytes_max bigint)
RETURNS TABLE (
    room_id bigint, name text, seq bigint, n bigint, kind smallint, sender text, at bigint,
    cid text, packed bytea, rest bytea, target bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT q.room_id, r.name, q.seq, q.n, q.kind, q.sender, q.at, q.cid, q.packed, q.rest,
        q.target
    FROM (
        SELECT e.*, sum(coalesce(octet_length(e.packed), 0)) OVER (
            ORDER BY e.room_id, e.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS size_before
        FROM (
            (SELECT m.room_id, m.seq, m.n, 0::smallint AS kind, m.sender, m.at, m.cid, m.packed,
                m.rest, NULL::bigint AS target
            FROM messages m WHERE (m.room_id, m.seq) > (p_room_id, p_seq)
            ORDER BY m.room_id, m.seq LIMIT p_limit)
            UNION ALL
            (SELECT o.room_id, o.seq, o.n, o.kind, o.sender, o.at, o.cid, o.packed, NULL, o.target
            FROM others o WHERE (o.room_id, o.seq) > (p_room_id, p_seq)
            ORDER BY o.room_id, o.seq LIMIT p_limit)
            ORDER BY room_id, seq LIMIT p_limit
        ) e
    ) q JOIN rooms r ON r.id = q.room_id
    WHERE q.size_before IS NULL OR q.size_before <= p_bytes_max
    ORDER BY q.room_id, q.seq;
END $$;

-- Messages after one that were edited or reacted to; of those that are gone, only where they were.
CREATE FUNCTION triolet.changed_after(p_room_id bigint, p_target bigint, p_limit bigint)
RETURNS TABLE (
    room_id bigint, target bigint, name text, seq bigint, n bigint, at bigint, cid text,
    sender text, packed bytea, rest bytea, edited_at bigint, edit bytea, reactions text)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT t.room_id, t.target, r.name, f.seq, f.n, f.at, f.cid, f.sender, f.packed, f.rest,
        f.edited_at, f.edit, x.reactions
    FROM (
        (SELECT DISTINCT o.room_id, o.target FROM others o
        WHERE o.kind = 1 AND (o.room_id, o.target) > (p_room_id, p_target)
        ORDER BY o.room_id, o.target LIMIT p_limit)
        UNION
        (SELECT DISTINCT c.room_id, c.target FROM reaction_counts c
        WHERE (c.room_id, c.target) > (p_room_id, p_target)
        ORDER BY c.room_id, c.target LIMIT p_limit)
        ORDER BY room_id, target LIMIT p_limit
    ) t
    JOIN rooms r ON r.id = t.room_id
    LEFT JOIN folded f ON f.room_id = t.room_id AND f.seq = t.target
    LEFT JOIN LATERAL reactions_to(f.room_id, f.seq, '') x ON true
    ORDER BY t.room_id, t.target;
END $$;

-- Know cids by what was digested, where the entry is here that tells.
CREATE FUNCTION triolet.adopt_cids(
    p_keys bytea[], p_rooms bigint[], p_seqs bigint[], p_senders text[], p_cids text[])
RETURNS void
LANGUAGE sql VOLATILE AS $$
    WITH adopted AS (
        DELETE FROM triolet.foreign_cids c
        USING unnest(p_keys, p_rooms, p_seqs, p_senders, p_cids) u(key, room_id, seq, sender, cid)
        WHERE c.key = u.key AND c.seq = u.seq
        RETURNING u.room_id, c.seq, c.at, u.sender, u.cid, c.op)
    INSERT INTO triolet.cids (room_id, seq, at, sender, cid, op) SELECT * FROM adopted
$$;

-- What follows from entries that were taken, and no entry tells by itself.
CREATE FUNCTION triolet.settle_transfer() RETURNS void
LANGUAGE sql VOLATILE AS $$
    DELETE FROM triolet.reaction_counts;
    INSERT INTO triolet.reaction_counts (room_id, target, count, emoji)
    SELECT room_id, target, count(*), emoji FROM triolet.reactions GROUP BY room_id, target, emoji;
    SELECT setval(
        pg_get_serial_sequence('triolet.rooms', 'id'),
        coalesce((SELECT max(id) FROM triolet.rooms), 1),
        EXISTS (SELECT FROM triolet.rooms));
$$;

-- Remove at most `p_limit` of the oldest cids that only digests are known of.
CREATE FUNCTION triolet.prune_foreign_cids(p_older_than bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    v_count bigint;
BEGIN
    DELETE FROM foreign_cids c WHERE c.key = ANY (ARRAY(
        SELECT x.key FROM foreign_cids x WHERE x.at < p_older_than ORDER BY x.at LIMIT p_limit
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
