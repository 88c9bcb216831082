-- What is asked of the store. Each call is one statement, and what a STABLE function looks at is
-- its caller's snapshot: one state of everything. As functions, because their plans are made
-- once a session with these settings, also behind a pooler, where nothing else can be set. Made
-- while tables are empty, plans would read whole tables, or sort what an index has in order
-- (under a message with 3,000 reactions, all of them for the first ten): so both are off. And the
-- planner would begin with the wrong table: OFFSET 0 has it look up, for each name, what is there.

-- A message as it reads now, without its reactions: the latest edit's time and fact beside it.
CREATE VIEW triolet.folded AS
SELECT m.room_id, m.seq, m.n, m.at, m.cid, m.sender, m.packed, m.rest,
    e.at AS edited_at, e.packed AS edit,
    coalesce(octet_length(CASE WHEN e.at IS NULL THEN m.packed ELSE e.packed END), 0) AS size
FROM triolet.messages m
LEFT JOIN LATERAL (
    SELECT o.at, o.packed FROM triolet.others o
    -- A range of one, ordered: only the index of edits has that order.
    WHERE o.room_id = m.room_id AND o.target BETWEEN m.seq AND m.seq AND o.kind = 1
    ORDER BY o.target DESC, o.seq DESC LIMIT 1
) e ON true;

-- `[emoji, count, the first ten users, mine]` of the first fifty emojis; NULL: there are none.
CREATE FUNCTION triolet.reactions_to(p_room_id bigint, p_target bigint, p_user text)
RETURNS TABLE (reactions text)
LANGUAGE sql STABLE AS $$
    SELECT json_agg(json_build_array(
        c.emoji,
        c.count,
        ARRAY(
            SELECT x.usr FROM triolet.reactions x
            WHERE x.room_id = p_room_id AND x.target = p_target AND x.emoji = c.emoji
            ORDER BY x.seq LIMIT 10),
        -- In the order of the key: the other index knows nothing of users.
        coalesce((
            SELECT x.usr = p_user FROM triolet.reactions x
            WHERE x.room_id = p_room_id AND x.target = p_target AND x.emoji = c.emoji
                AND x.usr >= p_user
            ORDER BY x.usr LIMIT 1), false)
    ) ORDER BY c.emoji)::text
    FROM (
        SELECT n.emoji, n.count FROM triolet.reaction_counts n
        WHERE n.room_id = p_room_id AND n.target = p_target ORDER BY n.emoji LIMIT 50
    ) c
$$;

-- NULL members: there are more than `p_members_max`.
CREATE FUNCTION triolet.rooms(p_names text[], p_members_max integer)
RETURNS TABLE (
    name text, kind text, title text, public boolean, epoch text, lineage text, head bigint,
    n bigint, floor bigint, floor_n bigint, acl_ver bigint, member_count integer, members text)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT s.name, s.kind, s.title, s.public, s.epoch, s.lineage, s.head, s.n, s.floor,
        s.floor_n, s.acl_ver, s.members,
        CASE WHEN s.members <= p_members_max THEN (
            SELECT coalesce(json_agg(json_build_array(m.usr, m.role, m.delivered, m.read, m.read_n)
                ORDER BY m.usr)::text, '[]')
            FROM members m WHERE m.room_id = s.id) END
    FROM unnest(p_names) u(name)
    CROSS JOIN LATERAL (SELECT * FROM states x WHERE x.name = u.name OFFSET 0) s;
END $$;

-- Asked for all rooms of a node every few seconds: 1,000 take a third of what `states` takes.
CREATE FUNCTION triolet.heads(p_names text[])
RETURNS TABLE (name text, epoch text, head bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
DECLARE
    v_epoch CONSTANT text := (
        SELECT g.epoch FROM store s JOIN generations g ON g.gen = s.gen);
BEGIN
    RETURN QUERY
    SELECT u.name, v_epoch, s.head
    FROM unnest(p_names) u(name)
    CROSS JOIN LATERAL (
        SELECT h.head FROM rooms r JOIN heads h ON h.room_id = r.id
        WHERE r.name = u.name OFFSET 0) s;
END $$;

-- Members by name after `p_after`, with a mark at `p_seq` or later; `p_only`: this one.
CREATE FUNCTION triolet.members(
    p_name text, p_after text, p_seq bigint, p_limit bigint, p_only text)
RETURNS TABLE (usr text, role text, delivered bigint, read bigint, read_n bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
DECLARE
    v_room_id CONSTANT bigint := (SELECT r.id FROM rooms r WHERE r.name = p_name);
BEGIN
    IF p_only IS NOT NULL THEN
        RETURN QUERY
        SELECT m.usr, m.role, m.delivered, m.read, m.read_n FROM members m
        WHERE m.room_id = v_room_id AND m.usr = p_only;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT m.usr, m.role, m.delivered, m.read, m.read_n FROM members m
    WHERE m.room_id = v_room_id AND m.usr > p_after
        AND (m.delivered >= p_seq OR m.read >= p_seq)
    ORDER BY m.usr LIMIT p_limit;
END $$;

-- Entries of kind 0 to 5 after `p_after` up to `p_upto`, until their facts exceed `p_bytes_max`:
-- with the one that does, and what is erased counted as nothing.
CREATE FUNCTION triolet.page(
    p_name text, p_after bigint, p_upto bigint, p_limit bigint, p_bytes_max bigint)
RETURNS TABLE (
    seq bigint, n bigint, kind smallint, sender text, at bigint, cid text, packed bytea,
    rest bytea, target bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
DECLARE
    v_room_id CONSTANT bigint := (SELECT r.id FROM rooms r WHERE r.name = p_name);
BEGIN
    RETURN QUERY
    SELECT q.seq, q.n, q.kind, q.sender, q.at, q.cid, q.packed, q.rest, q.target
    FROM (
        SELECT e.*, sum(coalesce(octet_length(e.packed), 0)) OVER (
            ORDER BY e.seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS size_before
        FROM (
            (SELECT m.seq, m.n, 0::smallint AS kind, m.sender, m.at, m.cid, m.packed, m.rest,
                NULL::bigint AS target
            FROM messages m WHERE m.room_id = v_room_id AND m.seq > p_after AND m.seq <= p_upto
            ORDER BY m.seq LIMIT p_limit)
            UNION ALL
            (SELECT o.seq, o.n, o.kind, o.sender, o.at, o.cid, o.packed, NULL, o.target
            FROM others o WHERE o.room_id = v_room_id AND o.seq > p_after AND o.seq <= p_upto
            ORDER BY o.seq LIMIT p_limit)
            ORDER BY seq LIMIT p_limit
        ) e
    ) q
    WHERE q.size_before IS NULL OR q.size_before <= p_bytes_max
    ORDER BY q.seq;
END $$;

-- The messages before, or after, a seq in the order of their distance from it, until their
-- bodies exceed `p_bytes_max`, with the one that does. `found`: how many there are, up to
-- one more than `p_limit`. One row without a seq if there are none; none if there is no room.
CREATE FUNCTION triolet.history(
    p_name text, p_user text, p_before bigint, p_after bigint, p_limit bigint,
    p_bytes_max bigint)
RETURNS TABLE (
    epoch text, head bigint, found integer, seq bigint, n bigint, at bigint, cid text, sender text,
    packed bytea, rest bytea, edited_at bigint, edit bytea, reactions text)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
DECLARE
    v_room_id CONSTANT bigint := (SELECT r.id FROM rooms r WHERE r.name = p_name);
    seqs bigint[];
BEGIN
    IF p_before IS NULL AND p_after IS NOT NULL THEN
        seqs := ARRAY(SELECT m.seq FROM messages m
            WHERE m.room_id = v_room_id AND m.seq > p_after ORDER BY m.seq LIMIT p_limit + 1);
    ELSE
        seqs := ARRAY(SELECT m.seq FROM messages m
            WHERE m.room_id = v_room_id AND m.seq < coalesce(p_before, 9223372036854775807)
            ORDER BY m.seq DESC LIMIT p_limit + 1);
    END IF;
    RETURN QUERY
    SELECT s.epoch, s.head, cardinality(seqs), q.seq, q.n, q.at, q.cid, q.sender, q.packed,
        q.rest, q.edited_at, q.edit, x.reactions
    FROM states s
    LEFT JOIN LATERAL (
        SELECT f.*, u.i, sum(f.size) OVER (
            ORDER BY u.i ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS size_before
        FROM unnest(seqs[:p_limit]) WITH ORDINALITY u(seq, i)
        CROSS JOIN LATERAL (
            SELECT * FROM folded x WHERE x.room_id = v_room_id AND x.seq = u.seq OFFSET 0) f
    ) q ON q.size_before IS NULL OR q.size_before <= p_bytes_max
    LEFT JOIN LATERAL reactions_to(v_room_id, q.seq, p_user) x ON true
    WHERE s.id = v_room_id
    ORDER BY q.i;
END $$;

CREATE FUNCTION triolet.find(p_name text, p_sender text, p_cid text)
RETURNS TABLE (seq bigint, at bigint, op text)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT c.seq, c.at, c.op FROM rooms r JOIN cids c ON c.room_id = r.id
    WHERE r.name = p_name AND c.sender = p_sender AND c.cid = p_cid;
END $$;

CREATE FUNCTION triolet.n_at(p_name text, p_seq bigint) RETURNS TABLE (n bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN p_seq >= h.head THEN h.n ELSE coalesce((
        SELECT m.n FROM messages m WHERE m.room_id = r.id AND m.seq <= p_seq
        ORDER BY m.seq DESC LIMIT 1), r.floor_n) END
    FROM rooms r JOIN heads h ON h.room_id = r.id WHERE r.name = p_name;
END $$;

-- A user's rooms by name after `p_after`, or those of `p_names`, with the last message.
CREATE FUNCTION triolet.inbox(p_user text, p_after text, p_limit bigint, p_names text[])
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
            WHERE x.usr = p_user AND x.room > p_after ORDER BY x.room LIMIT p_limit);
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

CREATE FUNCTION triolet.positions(p_user text, p_limit bigint)
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
        SELECT i.room, i.room_id FROM inboxes i WHERE i.usr = p_user ORDER BY i.room LIMIT p_limit
    ) u
    CROSS JOIN LATERAL (
        SELECT x.epoch, x.head, m.read FROM states x JOIN members m ON m.room_id = x.id
        WHERE x.id = u.room_id AND m.usr = p_user OFFSET 0) s
    ORDER BY u.room;
END $$;

-- Those of `p_others` who share a room with the user that is not public, by their places.
CREATE FUNCTION triolet.acquainted(p_user text, p_others text[])
RETURNS TABLE (usr text)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT u.usr FROM unnest(p_others) WITH ORDINALITY u(usr, i)
    WHERE EXISTS (
        SELECT FROM inboxes mine
        CROSS JOIN LATERAL (
            SELECT FROM members theirs JOIN rooms r ON r.id = theirs.room_id
            WHERE theirs.room_id = mine.room_id AND theirs.usr = u.usr AND NOT r.public OFFSET 0
        ) shared
        WHERE mine.usr = p_user)
    ORDER BY u.i;
END $$;

CREATE FUNCTION triolet.people(p_users text[])
RETURNS TABLE (usr text, status text, last_seen bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT p.usr, p.status, p.last_seen FROM unnest(p_users) u(usr)
    CROSS JOIN LATERAL (SELECT * FROM people x WHERE x.usr = u.usr OFFSET 0) p;
END $$;

-- Revocations since a moment by user after `p_after`; `p_only`: this user's.
CREATE FUNCTION triolet.revocations(p_since bigint, p_after text, p_limit bigint, p_only text)
RETURNS TABLE (usr text, not_before bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    IF p_only IS NOT NULL THEN
        RETURN QUERY SELECT x.usr, x.not_before FROM revocations x WHERE x.usr = p_only;
        RETURN;
    END IF;
    RETURN QUERY
    SELECT x.usr, x.not_before FROM revocations x
    WHERE x.usr > p_after AND x.not_before >= p_since ORDER BY x.usr LIMIT p_limit;
END $$;
