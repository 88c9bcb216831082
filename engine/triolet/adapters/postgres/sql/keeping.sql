-- What is written beside the log: marks, people, revocations; and what is removed of it.

-- Each member's marks come once. They are locked ascending by room and user. They are repeated by
-- whoever has them, so a commit need not wait for the disk.
CREATE FUNCTION triolet.put_marks(
    p_names text[], p_users text[], p_delivered bigint[], p_read bigint[], p_read_n bigint[])
RETURNS void
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    ids CONSTANT bigint[] := ARRAY(
        SELECT (SELECT r.id FROM rooms r WHERE r.name = u.name)
        FROM unnest(p_names) WITH ORDINALITY u(name, i) ORDER BY u.i);
BEGIN
    PERFORM set_config('synchronous_commit', 'off', true);
    PERFORM FROM (
        SELECT x.id, x.usr FROM unnest(ids, p_users) x(id, usr) ORDER BY x.id, x.usr COLLATE "C"
    ) u CROSS JOIN LATERAL (
        SELECT FROM members x WHERE x.room_id = u.id AND x.usr = u.usr FOR NO KEY UPDATE
    ) mine;
    UPDATE members m SET
        delivered = greatest(m.delivered, u.delivered),
        read = greatest(m.read, u.read),
        read_n = CASE WHEN u.read > m.read THEN u.read_n ELSE m.read_n END
    FROM unnest(ids, p_users, p_delivered, p_read, p_read_n) u(id, usr, delivered, read, read_n)
    WHERE m.room_id = u.id AND m.usr = u.usr
        AND (u.delivered > m.delivered OR u.read > m.read);
END $$;

-- People come ascending, each once.
CREATE FUNCTION triolet.put_people(p_users text[], p_status text[], p_last_seen bigint[])
RETURNS void
LANGUAGE sql VOLATILE AS $$
    INSERT INTO triolet.people AS p (usr, status, last_seen)
    SELECT u.usr, u.status, u.last_seen
    FROM unnest(p_users, p_status, p_last_seen) WITH ORDINALITY u(usr, status, last_seen, i)
    ORDER BY u.i
    ON CONFLICT (usr) DO UPDATE SET status = excluded.status,
        last_seen = greatest(p.last_seen, excluded.last_seen)
$$;

CREATE FUNCTION triolet.revoke(p_user text, p_not_before bigint) RETURNS void
LANGUAGE sql VOLATILE AS $$
    INSERT INTO triolet.revocations AS x (usr, not_before) VALUES (p_user, p_not_before)
    ON CONFLICT (usr) DO UPDATE SET not_before = greatest(x.not_before, excluded.not_before)
$$;

-- Rooms after `p_after` that may have entries to remove, looked for among `p_rooms` of them, and
-- in the last row the room after which to look on, or NULL at the end of all.
CREATE FUNCTION triolet.due(
    p_after bigint, p_rooms bigint, p_older_than bigint, p_entries_max bigint)
RETURNS TABLE (id bigint, name text)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    ids CONSTANT bigint[] := ARRAY(
        SELECT r.id FROM rooms r WHERE r.id > p_after ORDER BY r.id LIMIT p_rooms);
BEGIN
    RETURN QUERY
    SELECT s.id, s.name FROM unnest(ids) WITH ORDINALITY u(id, i)
    CROSS JOIN LATERAL (
        SELECT r.id, r.name, r.floor, r.oldest_at, h.head
        FROM rooms r JOIN heads h ON h.room_id = r.id WHERE r.id = u.id OFFSET 0) s
    WHERE s.head > s.floor AND (s.oldest_at < p_older_than
        OR p_entries_max > 0 AND s.head - s.floor > p_entries_max)
    ORDER BY u.i;
    RETURN QUERY
    SELECT CASE WHEN cardinality(ids) = p_rooms THEN ids[p_rooms] END, NULL;
END $$;

-- Remove at most `p_limit` of a room's oldest entries. Entries stand without a gap, and their
-- times never go back: what goes is a prefix.
CREATE FUNCTION triolet.prune(
    p_room_id bigint, p_older_than bigint, p_entries_max bigint, p_limit bigint,
    OUT o_floor bigint, OUT o_floor_n bigint, OUT o_removed bigint)
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    v_head bigint; v_upto bigint; v_floor bigint; v_oldest bigint;
BEGIN
    SELECT h.head INTO v_head FROM heads h WHERE h.room_id = p_room_id FOR NO KEY UPDATE;
    SELECT r.floor, r.floor_n INTO v_floor, o_floor_n FROM rooms r WHERE r.id = p_room_id;
    v_upto := least(v_head, v_floor + p_limit);
    o_floor := greatest(
        v_floor,
        CASE WHEN p_entries_max > 0 THEN least(v_head - p_entries_max, v_upto) END,
        (SELECT max(m.seq) FROM messages m WHERE m.room_id = p_room_id
            AND m.seq > v_floor AND m.seq <= v_upto AND m.at < p_older_than),
        (SELECT max(o.seq) FROM others o WHERE o.room_id = p_room_id
            AND o.seq > v_floor AND o.seq <= v_upto AND o.at < p_older_than));
    o_removed := o_floor - v_floor;
    SELECT m.n INTO o_floor_n FROM messages m
        WHERE m.room_id = p_room_id AND m.seq > v_floor AND m.seq <= o_floor
        UNION ALL SELECT o_floor_n ORDER BY 1 DESC LIMIT 1;
    DELETE FROM messages m WHERE m.room_id = p_room_id AND m.seq <= o_floor;
    DELETE FROM others o WHERE o.room_id = p_room_id AND o.seq <= o_floor;
    SELECT e.at INTO v_oldest FROM (
        (SELECT m.seq, m.at FROM messages m WHERE m.room_id = p_room_id ORDER BY m.seq LIMIT 1)
        UNION ALL
        (SELECT o.seq, o.at FROM others o WHERE o.room_id = p_room_id ORDER BY o.seq LIMIT 1)
    ) e ORDER BY e.seq LIMIT 1;
    UPDATE rooms r SET floor = o_floor, floor_n = o_floor_n,
        oldest_at = coalesce(v_oldest, (SELECT h.at FROM heads h WHERE h.room_id = p_room_id))
    WHERE r.id = p_room_id AND (r.floor, r.oldest_at) IS DISTINCT FROM (o_floor, v_oldest);
END $$;

-- Remove at most `p_limit` rows of what was folded for messages up to a room's floor.
CREATE FUNCTION triolet.sweep(p_room_id bigint, p_floor bigint, p_limit bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    v_count bigint;
    v_more bigint;
BEGIN
    DELETE FROM reactions x WHERE (x.room_id, x.target, x.emoji, x.usr) IN (
        SELECT y.room_id, y.target, y.emoji, y.usr FROM reactions y
        WHERE y.room_id = p_room_id AND y.target <= p_floor LIMIT p_limit);
    GET DIAGNOSTICS v_count = ROW_COUNT;
    DELETE FROM reaction_counts x WHERE (x.room_id, x.target, x.emoji) IN (
        SELECT y.room_id, y.target, y.emoji FROM reaction_counts y
        WHERE y.room_id = p_room_id AND y.target <= p_floor LIMIT p_limit - v_count);
    GET DIAGNOSTICS v_more = ROW_COUNT;
    RETURN v_count + v_more;
END $$;

CREATE FUNCTION triolet.prune_cids(p_older_than bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    v_count bigint;
BEGIN
    DELETE FROM cids c WHERE c.ctid = ANY (ARRAY(
        SELECT x.ctid FROM cids x WHERE x.at < p_older_than ORDER BY x.at LIMIT p_limit
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

-- Begin a generation, or with `p_if_elsewhere` only if the log was written elsewhere, and return
-- the present one. A new store has its first one by this. What is being appended
-- ends before, in the old one.
CREATE FUNCTION triolet.begin_generation(
    p_epoch text, p_if_elsewhere boolean,
    OUT o_gen integer, OUT o_epoch text)
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp
AS $$
DECLARE
    here CONSTANT store := (
        true, 1, timeline(), (SELECT c.system_identifier FROM pg_control_system() c),
        pg_postmaster_start_time());
    before store;
BEGIN
    PERFORM pg_advisory_xact_lock(7312648201);
    SELECT * INTO before FROM store;
    IF before IS NULL THEN
        INSERT INTO store SELECT here.*;
        INSERT INTO generations VALUES (1, p_epoch);
    ELSIF p_if_elsewhere
        AND (before.timeline, before.system_id) = (here.timeline, here.system_id)
    THEN
        UPDATE store s SET started = here.started WHERE s.started <> here.started;
    ELSE
        UPDATE store s SET gen = before.gen + 1, timeline = here.timeline,
            system_id = here.system_id, started = here.started;
        INSERT INTO generations VALUES (before.gen + 1, p_epoch);
    END IF;
    SELECT g.gen, g.epoch INTO o_gen, o_epoch FROM store s JOIN generations g ON g.gen = s.gen;
END $$;
