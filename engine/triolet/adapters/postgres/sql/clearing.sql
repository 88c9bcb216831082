-- What a deleted room leaves behind goes table by table, each in the order of its key, and each step
-- begins where the last one ended: what is gone lies in an index until it is vacuumed, and a step that
-- began at the beginning walked over all of it (of 200,000 messages, at last 12.9 ms a step).
--
-- `stage`: 0 members, 1 messages, 2 others, 3 reactions, 4 their counts, 5 cids, 6 nothing more. What
-- has a key up to (`after_n`, `after_a`, `after_b`), as far as its table's key has them, is gone.

ALTER TABLE triolet.tombstones
    ADD COLUMN stage smallint NOT NULL DEFAULT 0,
    ADD COLUMN after_n bigint NOT NULL DEFAULT -1,
    ADD COLUMN after_a text COLLATE "C" NOT NULL DEFAULT '',
    ADD COLUMN after_b text COLLATE "C" NOT NULL DEFAULT '';

-- Remove at most about `p_limit` rows of one deleted room that nobody else is clearing: its
-- memberships first, of which it returns rows; then the others, for which it returns one without
-- a user. No row: there is nothing left, or others are at it.
CREATE OR REPLACE FUNCTION triolet.clear_deleted(p_limit bigint)
RETURNS TABLE (name text, usr text)
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_bitmapscan = off SET enable_sort = off SET jit = off
AS $$
DECLARE
    v_id bigint; v_name text; v_users text[]; v_rows tid[]; v_left bigint := p_limit;
    v_stage smallint; v_n bigint; v_a text; v_b text;
BEGIN
    SELECT t.room_id, t.name, t.stage, t.after_n, t.after_a, t.after_b
        INTO v_id, v_name, v_stage, v_n, v_a, v_b
        FROM tombstones t WHERE NOT t.is_cleared ORDER BY t.room_id LIMIT 1 FOR UPDATE SKIP LOCKED;
    IF v_id IS NULL THEN
        RETURN;
    END IF;
    IF v_stage = 0 THEN
        v_users := ARRAY(SELECT m.usr FROM members m WHERE m.room_id = v_id AND m.usr > v_a
            ORDER BY m.usr LIMIT p_limit FOR UPDATE);
        IF cardinality(v_users) > 0 THEN
            DELETE FROM members m WHERE m.room_id = v_id AND m.usr = ANY (v_users);
            DELETE FROM inboxes i WHERE i.usr = ANY (v_users) AND i.room = v_name;
            UPDATE tombstones t SET after_a = v_users[cardinality(v_users)] WHERE t.room_id = v_id;
            RETURN QUERY SELECT v_name, u.usr FROM unnest(v_users) u(usr);
            RETURN;
        END IF;
        v_stage := 1;
        v_a := '';
    END IF;
    WHILE v_stage < 6 AND v_left > 0 LOOP
        IF v_stage = 1 THEN
            v_rows := ARRAY(SELECT x.ctid FROM messages x WHERE x.room_id = v_id AND x.seq > v_n
                ORDER BY x.seq LIMIT v_left);
            SELECT x.seq INTO v_n FROM messages x WHERE x.ctid = v_rows[cardinality(v_rows)];
            DELETE FROM messages x WHERE x.ctid = ANY (v_rows);
        ELSIF v_stage = 2 THEN
            v_rows := ARRAY(SELECT x.ctid FROM others x WHERE x.room_id = v_id AND x.seq > v_n
                ORDER BY x.seq LIMIT v_left);
            SELECT x.seq INTO v_n FROM others x WHERE x.ctid = v_rows[cardinality(v_rows)];
            DELETE FROM others x WHERE x.ctid = ANY (v_rows);
        ELSIF v_stage = 3 THEN
            v_rows := ARRAY(SELECT x.ctid FROM reactions x
                WHERE x.room_id = v_id AND (x.target, x.emoji, x.usr) > (v_n, v_a, v_b)
                ORDER BY x.target, x.emoji, x.usr LIMIT v_left);
            SELECT x.target, x.emoji, x.usr INTO v_n, v_a, v_b
                FROM reactions x WHERE x.ctid = v_rows[cardinality(v_rows)];
            DELETE FROM reactions x WHERE x.ctid = ANY (v_rows);
        ELSIF v_stage = 4 THEN
            v_rows := ARRAY(SELECT x.ctid FROM reaction_counts x
                WHERE x.room_id = v_id AND (x.target, x.emoji) > (v_n, v_a)
                ORDER BY x.target, x.emoji LIMIT v_left);
            SELECT x.target, x.emoji INTO v_n, v_a
                FROM reaction_counts x WHERE x.ctid = v_rows[cardinality(v_rows)];
            DELETE FROM reaction_counts x WHERE x.ctid = ANY (v_rows);
        ELSE
            v_rows := ARRAY(SELECT x.ctid FROM cids x
                WHERE x.room_id = v_id AND (x.sender, x.cid) > (v_a, v_b)
                ORDER BY x.sender, x.cid LIMIT v_left);
            SELECT x.sender, x.cid INTO v_a, v_b
                FROM cids x WHERE x.ctid = v_rows[cardinality(v_rows)];
            DELETE FROM cids x WHERE x.ctid = ANY (v_rows);
        END IF;
        IF cardinality(v_rows) < v_left THEN
            v_stage := v_stage + 1;
            v_n := -1;
            v_a := '';
            v_b := '';
        END IF;
        v_left := v_left - cardinality(v_rows);
    END LOOP;
    UPDATE tombstones t SET is_cleared = v_stage = 6, stage = v_stage, after_n = coalesce(v_n, -1),
        after_a = coalesce(v_a, ''), after_b = coalesce(v_b, '')
    WHERE t.room_id = v_id;
    RETURN QUERY SELECT v_name, NULL::text;
END $$;
