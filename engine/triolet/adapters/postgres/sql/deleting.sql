-- Rooms that were deleted: a tombstone at once, and what they leave behind a little at a time.
--
-- With the tombstone a room's rows in `rooms` and `heads` go, and with them all that is found by
-- its name. Ids are never given again, so what is left is found by them until it is cleared.

CREATE TABLE triolet.tombstones (
    room_id bigint PRIMARY KEY,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    is_cleared boolean NOT NULL,
    name text COLLATE "C" NOT NULL UNIQUE,
    sender text COLLATE "C" NOT NULL,
    cid text COLLATE "C" NOT NULL,
    op text COLLATE "C" NOT NULL
);
CREATE INDEX tombstones_left ON triolet.tombstones (room_id) WHERE NOT is_cleared;

-- A name is never given again. After the insertion, which waits for whoever is about to delete the
-- room of that name: what that has committed is seen then.
CREATE FUNCTION triolet.refuse_deleted() RETURNS trigger
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET jit = off
AS $$
BEGIN
    IF EXISTS (SELECT FROM tombstones t WHERE t.name = NEW.name) THEN
        RAISE 'a room of this name was deleted' USING ERRCODE = 'TR003';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER rooms_once AFTER INSERT ON triolet.rooms
    FOR EACH ROW EXECUTE FUNCTION triolet.refuse_deleted();

-- Statuses as those of `append`: 0 deleted, 1 known, 2 of another op, 4 no such room, 5 stale. A
-- room's row in `heads` is its lock; whoever waits for it finds nothing afterwards.
CREATE FUNCTION triolet.delete_room(
    p_now bigint, p_gen bigint, p_name text, p_sender text, p_cid text, p_op text, p_acl bigint,
    OUT o_status integer, OUT o_seq bigint, OUT o_at bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET jit = off SET lock_timeout = '2s'
AS $$
DECLARE
    v_gen integer; is_fenced boolean; v_id bigint; v_op text; v_acl bigint;
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7312648201);
    SELECT s.gen, s.timeline <> timeline() OR s.started <> pg_postmaster_start_time()
        INTO v_gen, is_fenced FROM store s;
    IF is_fenced THEN
        RAISE 'this server may not be the one that wrote the log' USING ERRCODE = 'TR001';
    ELSIF v_gen <> p_gen THEN
        RAISE 'the log has begun generation %', v_gen USING ERRCODE = 'TR002';
    END IF;
    SELECT r.id INTO v_id FROM rooms r WHERE r.name = p_name;
    PERFORM FROM heads h WHERE h.room_id = v_id FOR UPDATE;
    SELECT h.head, greatest(h.at, p_now), h.acl_ver INTO o_seq, o_at, v_acl
        FROM heads h WHERE h.room_id = v_id;
    IF NOT FOUND THEN
        SELECT t.seq, t.at, t.op INTO o_seq, o_at, v_op FROM tombstones t
            WHERE t.name = p_name AND t.sender = p_sender AND t.cid = p_cid;
        o_status := CASE WHEN v_op IS NULL THEN 4 WHEN v_op = p_op THEN 1 ELSE 2 END;
        RETURN;
    END IF;
    SELECT c.op INTO v_op FROM cids c
        WHERE c.room_id = v_id AND c.sender = p_sender AND c.cid = p_cid;
    IF v_op IS NOT NULL THEN
        -- A deletion that was stored has left no room, so it is another op's.
        o_status := 2;
    ELSIF v_acl <> p_acl THEN
        o_status := 5;
    ELSE
        INSERT INTO tombstones VALUES (v_id, o_seq, o_at, false, p_name, p_sender, p_cid, p_op);
        DELETE FROM heads h WHERE h.room_id = v_id;
        DELETE FROM lineage l WHERE l.room_id = v_id;
        DELETE FROM rooms r WHERE r.id = v_id;
        o_status := 0;
    END IF;
END $$;

-- What the drafts became that deleted these rooms, of those whose names have tombstones.
CREATE FUNCTION triolet.tombstones_of(p_names text[])
RETURNS TABLE (name text, sender text, cid text, seq bigint, at bigint, op text)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT t.name, t.sender, t.cid, t.seq, t.at, t.op FROM unnest(p_names) u(name)
    CROSS JOIN LATERAL (SELECT * FROM tombstones x WHERE x.name = u.name OFFSET 0) t;
END $$;

-- Remove at most about `p_limit` rows of one deleted room that nobody else is clearing: its
-- memberships first, of which it returns rows; then the others, for which it returns one without
-- a user. No row: there is nothing left, or others are at it.
CREATE FUNCTION triolet.clear_deleted(p_limit bigint) RETURNS TABLE (name text, usr text)
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    v_id bigint; v_name text; v_users text[]; v_count bigint; v_some bigint;
BEGIN
    SELECT t.room_id, t.name INTO v_id, v_name FROM tombstones t WHERE NOT t.is_cleared
        ORDER BY t.room_id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF v_id IS NULL THEN
        RETURN;
    END IF;
    v_users := ARRAY(SELECT m.usr FROM members m WHERE m.room_id = v_id
        ORDER BY m.usr LIMIT p_limit FOR UPDATE);
    IF cardinality(v_users) > 0 THEN
        DELETE FROM members m WHERE m.room_id = v_id AND m.usr = ANY (v_users);
        DELETE FROM inboxes i WHERE i.usr = ANY (v_users) AND i.room = v_name;
        RETURN QUERY SELECT v_name, u.usr FROM unnest(v_users) u(usr);
        RETURN;
    END IF;
    DELETE FROM messages m WHERE m.room_id = v_id AND m.seq = ANY (ARRAY(
        SELECT x.seq FROM messages x WHERE x.room_id = v_id ORDER BY x.seq LIMIT p_limit));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    DELETE FROM others o WHERE o.room_id = v_id AND o.seq = ANY (ARRAY(
        SELECT x.seq FROM others x WHERE x.room_id = v_id ORDER BY x.seq LIMIT p_limit - v_count));
    GET DIAGNOSTICS v_some = ROW_COUNT;
    v_count := v_count + v_some;
    DELETE FROM reactions x WHERE x.ctid = ANY (ARRAY(
        SELECT y.ctid FROM reactions y WHERE y.room_id = v_id LIMIT p_limit - v_count));
    GET DIAGNOSTICS v_some = ROW_COUNT;
    v_count := v_count + v_some;
    DELETE FROM reaction_counts x WHERE x.ctid = ANY (ARRAY(
        SELECT y.ctid FROM reaction_counts y WHERE y.room_id = v_id LIMIT p_limit - v_count));
    GET DIAGNOSTICS v_some = ROW_COUNT;
    v_count := v_count + v_some;
    DELETE FROM cids x WHERE x.ctid = ANY (ARRAY(
        SELECT y.ctid FROM cids y WHERE y.room_id = v_id LIMIT p_limit - v_count));
    GET DIAGNOSTICS v_some = ROW_COUNT;
    IF v_count + v_some = 0 THEN
        UPDATE tombstones t SET is_cleared = true WHERE t.room_id = v_id;
    END IF;
    RETURN QUERY SELECT v_name, NULL::text;
END $$;

-- What follows from entries that were taken, and no entry tells by itself.
CREATE OR REPLACE FUNCTION triolet.settle_transfer() RETURNS void
LANGUAGE sql VOLATILE AS $$
    DELETE FROM triolet.reaction_counts;
    INSERT INTO triolet.reaction_counts (room_id, target, count, emoji)
    SELECT room_id, target, count(*), emoji FROM triolet.reactions GROUP BY room_id, target, emoji;
    SELECT setval(
        pg_get_serial_sequence('triolet.rooms', 'id'),
        coalesce(max(x.id), 1),
        coalesce(max(x.id) > 0, false))
    FROM (SELECT id FROM triolet.rooms UNION ALL SELECT room_id FROM triolet.tombstones) x;
$$;

-- As before, but what is left of deleted rooms takes no place in a page.
-- A user's rooms by name after `p_after`, or those of `p_names`, with the last message.
CREATE OR REPLACE FUNCTION triolet.inbox(p_user text, p_after text, p_limit bigint, p_names text[])
RETURNS TABLE (
    name text, kind text, title text, public boolean, epoch text, lineage text, head bigint,
    n bigint, floor bigint, floor_n bigint, acl_ver bigint, member_count integer,
    role text, delivered bigint, read bigint, read_n bigint,
    m_seq bigint, m_n bigint, m_at bigint, m_cid text, m_sender text,
    packed bytea, rest bytea, edited_at bigint, edit bytea, reactions text)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
DECLARE
    ids bigint[];
BEGIN
    IF p_names IS NULL THEN
        ids := ARRAY(SELECT x.room_id FROM inboxes x
            WHERE x.usr = p_user AND x.room > p_after
                AND EXISTS (SELECT FROM heads h WHERE h.room_id = x.room_id)
            ORDER BY x.room LIMIT p_limit);
    ELSE
        ids := ARRAY(SELECT x.room_id FROM unnest(p_names) u(name) CROSS JOIN LATERAL (
                SELECT i.room_id FROM inboxes i WHERE i.usr = p_user AND i.room = u.name OFFSET 0
            ) x ORDER BY u.name COLLATE "C");
    END IF;
    RETURN QUERY
    SELECT s.name, s.kind, s.title, s.public, s.epoch, s.lineage, s.head, s.n, s.floor, s.floor_n,
        s.acl_ver, s.members, mine.role, mine.delivered, mine.read, mine.read_n,
        f.seq, f.n, f.at, f.cid, f.sender, f.packed, f.rest, f.edited_at, f.edit, x.reactions
    FROM unnest(ids) WITH ORDINALITY u(id, i)
    CROSS JOIN LATERAL (SELECT * FROM states x WHERE x.id = u.id OFFSET 0) s
    CROSS JOIN LATERAL (
        SELECT * FROM members x WHERE x.room_id = u.id AND x.usr = p_user OFFSET 0) mine
    LEFT JOIN LATERAL (
        SELECT * FROM folded x WHERE x.room_id = u.id ORDER BY x.seq DESC LIMIT 1) f ON true
    LEFT JOIN LATERAL reactions_to(u.id, f.seq, p_user) x ON true
    ORDER BY u.i;
END $$;

CREATE OR REPLACE FUNCTION triolet.positions(p_user text, p_limit bigint)
RETURNS TABLE (name text, epoch text, head bigint, read bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT u.room, s.epoch, s.head, s.read
    FROM (
        SELECT i.room, i.room_id FROM inboxes i WHERE i.usr = p_user
            AND EXISTS (SELECT FROM heads h WHERE h.room_id = i.room_id)
        ORDER BY i.room LIMIT p_limit
    ) u
    CROSS JOIN LATERAL (
        SELECT x.epoch, x.head, m.read FROM states x JOIN members m ON m.room_id = x.id
        WHERE x.id = u.room_id AND m.usr = p_user OFFSET 0) s
    ORDER BY u.room;
END $$;
