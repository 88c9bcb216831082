-- The append: one call a batch, one round trip, one transaction.
--
-- A batch comes as rows, one for each fact, those of a draft beside each other; a draft without
-- facts is one row of kind -1. Rooms are named once (`p_names`), and `p_room` counts in them.
-- Everything is judged in order in this function's memory, and written together at the end;
-- only what changes more than the log is written at once. The locks, in this order:
--
-- 1. shared, against the beginning of a generation;
-- 2. the names of rooms to be made, ascending: whoever makes one of them too waits here;
-- 3. `heads`, ascending: the rooms are ours until the commit;
-- 4. `members` that change, ascending, as `put_marks` takes them.
--
-- It is VOLATILE and runs under READ COMMITTED, so each statement sees what was committed
-- before it began: above all, the cids are looked up when the rooms are ours.

-- `p_flags`: 1 a draft's first row, 2 revokes, 4 logged. `p_facts`: of the draft, at its first
-- row. `p_before`: the row of the same cid before this one, or 0. `p_text` and `p_more`: user
-- and role of a member, emoji and "on" of a reaction, title and "t" or "f" of the room.
-- `p_new`: rows whose drafts make their room; `p_new_name` ascending, each once.
-- Statuses: 0 stored, 1 known, 2 of another op, 3 the room exists, 4 no such room, 5 stale,
-- 6 no target, 7 not by the author, 8 needs an entry.
CREATE FUNCTION triolet.append(
    p_now bigint, p_gen bigint, p_names text[],
    p_room integer[], p_flags integer[], p_facts integer[], p_before integer[],
    p_sender text[], p_cid text[], p_op text[], p_acl bigint[], p_author text[],
    p_kind smallint[], p_target bigint[], p_packed bytea[], p_rest bytea[],
    p_text text[], p_more text[],
    p_new integer[], p_new_kind text[], p_new_title text[], p_new_public boolean[],
    p_new_name text[],
    OUT o_status integer[], OUT o_seq bigint[], OUT o_n bigint[], OUT o_at bigint[]
)
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off SET lock_timeout = '2s'
AS $$
DECLARE
    rows CONSTANT integer := coalesce(array_length(p_room, 1), 0);
    v_gen integer;
    is_fenced boolean;
    -- By room, as `p_names` has them; a room that is not there has no head.
    ids bigint[]; heads bigint[]; ns bigint[]; ats bigint[]; acls bigint[]; gens integer[];
    base bigint[]; base_acls bigint[];
    -- By row: what its cid became, and whether its body is gone.
    known bigint[]; known_at bigint[]; known_op text[];
    gone boolean[];
    has_others boolean := false;
    i integer := 1; j integer; k integer; m integer; last integer; step integer;
    flags integer; facts integer; v_head bigint; v_at bigint;
    v_kind smallint; v_target bigint; v_author text; v_status integer; v_change integer;
    erased bigint[];
    found_new integer;
BEGIN
    -- What is acknowledged is stored, whatever the role's or the database's settings are.
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
    IF p_new IS NOT NULL THEN
        -- For the lock on their names; what is not made in the end is removed.
        INSERT INTO rooms (born, public, name, kind, title)
        SELECT v_gen, false, u.name, '', '' FROM unnest(p_new_name) u(name) ORDER BY u.name
        ON CONFLICT (name) DO NOTHING;
    END IF;
    SELECT array_agg(r.id ORDER BY u.k) INTO ids
        FROM unnest(p_names) WITH ORDINALITY u(name, k) LEFT JOIN rooms r ON r.name = u.name;
    PERFORM 1 FROM heads h WHERE h.room_id = ANY (ids) ORDER BY h.room_id FOR NO KEY UPDATE;
    SELECT array_agg(h.head ORDER BY u.k), array_agg(h.n ORDER BY u.k),
            array_agg(h.at ORDER BY u.k), array_agg(h.acl_ver ORDER BY u.k),
            array_agg(h.gen ORDER BY u.k)
        INTO heads, ns, ats, acls, gens
        FROM unnest(ids) WITH ORDINALITY u(id, k) LEFT JOIN heads h ON h.room_id = u.id;
    base := heads;
    base_acls := acls;
    SELECT array_agg(c.seq ORDER BY u.i), array_agg(c.at ORDER BY u.i),
            array_agg(c.op ORDER BY u.i)
        INTO known, known_at, known_op
        FROM unnest(p_room, p_sender, p_cid) WITH ORDINALITY u(k, sender, cid, i)
        LEFT JOIN cids c ON c.room_id = ids[u.k] AND c.sender = u.sender AND c.cid = u.cid;
    o_status := array_fill(0, ARRAY[rows]);
    o_seq := array_fill(NULL::bigint, ARRAY[rows]);
    o_n := o_seq;
    o_at := o_seq;
    gone := array_fill(false, ARRAY[rows]);
    IF 4::smallint = ANY (p_kind) THEN
        PERFORM FROM (
            SELECT DISTINCT ids[x.k] AS id, x.usr COLLATE "C" AS usr
            FROM unnest(p_room, p_kind, p_text) x(k, kind, usr) WHERE x.kind = 4 ORDER BY 1, 2
        ) u CROSS JOIN LATERAL (
            SELECT FROM members x WHERE x.room_id = u.id AND x.usr = u.usr FOR UPDATE
        ) mine;
    END IF;

    WHILE i <= rows LOOP
        k := p_room[i];
        flags := p_flags[i];
        facts := p_facts[i];
        last := i + facts - 1;
        step := greatest(facts, 1);
        v_head := heads[k];
        IF known[i] IS NULL AND p_before[i] > 0 THEN
            j := p_before[i];
            known[i] := known[j];
            known_at[i] := known_at[j];
            known_op[i] := known_op[j];
        END IF;
        found_new := array_position(p_new, i);
        v_status := CASE
            WHEN known[i] IS NOT NULL AND known_op[i] = p_op[i] THEN 1
            WHEN known[i] IS NOT NULL THEN 2
            WHEN v_head IS NOT NULL AND found_new IS NOT NULL THEN 3
            WHEN v_head IS NULL AND found_new IS NULL THEN 4
            WHEN p_acl[i] <> coalesce(acls[k], 0) THEN 5
            ELSE 0 END;

        -- Judge what the facts point at.
        IF v_status = 0 AND NOT (facts = 1 AND p_kind[i] = 0 AND flags & 4 <> 0) THEN
            v_head := coalesce(v_head, 0);
            erased := '{}';
            FOR j IN i .. last LOOP
                v_kind := p_kind[j];
                IF v_kind BETWEEN 1 AND 3 THEN
                    v_target := p_target[j];
                    v_author := NULL;
                    IF v_target > v_head THEN
                        m := i + (v_target - v_head)::integer - 1;
                        IF m < j AND p_kind[m] = 0 THEN
                            v_author := p_sender[i];
                        END IF;
                    ELSIF v_target > coalesce(base[k], 0) THEN
                        FOR m IN REVERSE i - 1 .. 1 LOOP
                            IF o_seq[m] = v_target AND p_room[m] = k AND o_status[m] = 0 THEN
                                IF p_kind[m] = 0 AND NOT gone[m] THEN
                                    v_author := p_sender[m];
                                END IF;
                                EXIT;
                            END IF;
                        END LOOP;
                    ELSE
                        SELECT x.sender INTO v_author FROM messages x
                        WHERE x.room_id = ids[k] AND x.seq = v_target AND x.packed IS NOT NULL;
                    END IF;
                    IF v_author IS NULL OR v_target = ANY (erased) THEN
                        v_status := 6;
                        EXIT;
                    END IF;
                    IF p_author[i] <> v_author THEN
                        v_status := 7;
                        EXIT;
                    END IF;
                    IF v_kind = 2 THEN
                        erased := erased || v_target;
                    END IF;
                END IF;
                IF flags & 4 = 0 AND v_kind <> 4 THEN
                    v_status := 8;
                    EXIT;
                END IF;
            END LOOP;
        END IF;

        IF v_status <> 0 THEN
            o_status[i] := v_status;
            o_seq[i] := known[i];
            o_at[i] := known_at[i];
            FOR j IN i + 1 .. last LOOP
                o_status[j] := v_status;
            END LOOP;
            i := i + step;
            CONTINUE;
        END IF;

        -- Carry it out.
        IF found_new IS NOT NULL THEN
            UPDATE rooms SET kind = p_new_kind[found_new], title = p_new_title[found_new],
                public = p_new_public[found_new], oldest_at = p_now WHERE id = ids[k];
            INSERT INTO heads VALUES (ids[k], 0, 0, p_now, 0, v_gen);
            heads[k] := 0;
            ns[k] := 0;
            ats[k] := p_now;
            acls[k] := 0;
            gens[k] := v_gen;
            base[k] := 0;
            base_acls[k] := 0;
        END IF;
        IF flags & 2 <> 0 THEN
            acls[k] := acls[k] + 1;
        END IF;
        IF flags & 4 <> 0 AND facts > 0 THEN
            v_at := greatest(ats[k], p_now);
            ats[k] := v_at;
            known[i] := heads[k] + 1;
            known_at[i] := v_at;
            known_op[i] := p_op[i];
        END IF;
        FOR j IN i .. last LOOP
            v_kind := p_kind[j];
            IF flags & 4 <> 0 THEN
                heads[k] := heads[k] + 1;
                o_seq[j] := heads[k];
                o_at[j] := v_at;
                IF v_kind = 0 THEN
                    ns[k] := ns[k] + 1;
                ELSE
                    has_others := true;
                END IF;
                o_n[j] := ns[k];
            END IF;
            CONTINUE WHEN v_kind < 2;
            v_target := p_target[j];
            IF v_kind = 2 THEN
                UPDATE messages x SET packed = NULL
                WHERE x.room_id = ids[k] AND x.seq = v_target;
                UPDATE others x SET packed = NULL
                WHERE x.room_id = ids[k] AND x.target = v_target AND x.kind = 1;
                FOR m IN 1 .. j - 1 LOOP
                    IF p_room[m] = k AND o_status[m] = 0 AND (o_seq[m] = v_target
                            OR p_target[m] = v_target AND p_kind[m] = 1) THEN
                        gone[m] := true;
                    END IF;
                END LOOP;
            ELSIF v_kind = 3 THEN
                IF p_more[j] IS NOT NULL THEN
                    INSERT INTO reactions VALUES (ids[k], v_target, heads[k], p_text[j], p_sender[j])
                    ON CONFLICT DO NOTHING;
                    IF FOUND THEN
                        INSERT INTO reaction_counts AS c VALUES (ids[k], v_target, 1, p_text[j])
                        ON CONFLICT (room_id, target, emoji) DO UPDATE SET count = c.count + 1;
                    END IF;
                ELSE
                    -- In the order of the key: the other index knows nothing of users.
                    DELETE FROM reactions x WHERE x.usr = p_sender[j] AND x.ctid = (
                        SELECT y.ctid FROM reactions y
                        WHERE y.room_id = ids[k] AND y.target = v_target
                            AND y.emoji = p_text[j] AND y.usr >= p_sender[j]
                        ORDER BY y.usr LIMIT 1);
                    IF FOUND THEN
                        DELETE FROM reaction_counts c WHERE c.room_id = ids[k]
                            AND c.target = v_target AND c.emoji = p_text[j] AND c.count = 1;
                        IF NOT FOUND THEN
                            UPDATE reaction_counts c SET count = c.count - 1
                            WHERE c.room_id = ids[k] AND c.target = v_target
                                AND c.emoji = p_text[j];
                        END IF;
                    END IF;
                END IF;
            ELSIF v_kind = 4 THEN
                v_change := 0;
                IF p_more[j] IS NULL THEN
                    DELETE FROM members x WHERE x.room_id = ids[k] AND x.usr = p_text[j];
                    IF FOUND THEN
                        DELETE FROM inboxes x WHERE x.usr = p_text[j] AND x.room = p_names[k];
                        v_change := -1;
                    END IF;
                ELSE
                    UPDATE members x SET role = p_more[j]
                    WHERE x.room_id = ids[k] AND x.usr = p_text[j];
                    IF NOT FOUND THEN
                        INSERT INTO members VALUES
                            (ids[k], heads[k], heads[k], ns[k], p_text[j], p_more[j]);
                        INSERT INTO inboxes VALUES (ids[k], p_text[j], p_names[k]);
                        v_change := 1;
                    END IF;
                END IF;
                IF v_change <> 0 THEN
                    UPDATE rooms r SET members = r.members + v_change WHERE r.id = ids[k];
                END IF;
            ELSIF v_kind = 5 THEN
                UPDATE rooms r SET title = coalesce(p_text[j], r.title),
                    public = coalesce(p_more[j]::boolean, r.public) WHERE r.id = ids[k];
            END IF;
        END LOOP;
        IF found_new IS NOT NULL THEN
            UPDATE members x SET delivered = heads[k], read = heads[k], read_n = ns[k]
            WHERE x.room_id = ids[k];
        END IF;
        i := i + step;
    END LOOP;

    INSERT INTO messages
    SELECT ids[u.k], u.seq, u.n, u.at, u.sender, u.cid,
        CASE WHEN NOT u.gone THEN u.packed END, u.rest
    FROM unnest(p_room, o_seq, o_n, o_at, p_sender, p_cid, p_packed, p_rest, p_kind, o_status, gone)
        u(k, seq, n, at, sender, cid, packed, rest, kind, status, gone)
    WHERE u.kind = 0 AND u.status = 0 AND u.seq IS NOT NULL;
    IF has_others THEN
        INSERT INTO others
        SELECT ids[u.k], u.seq, u.n, u.at, u.target, u.kind, u.sender, u.cid,
            CASE WHEN NOT u.gone THEN u.packed END
        FROM unnest(p_room, o_seq, o_n, o_at, p_target, p_kind, p_sender, p_cid, p_packed,
                o_status, gone)
            u(k, seq, n, at, target, kind, sender, cid, packed, status, gone)
        WHERE u.kind > 0 AND u.status = 0 AND u.seq IS NOT NULL;
    END IF;
    INSERT INTO cids
    SELECT ids[u.k], u.seq, u.at, u.sender, u.cid, u.op
    FROM unnest(p_room, o_seq, o_at, p_sender, p_cid, p_op, p_flags, o_status)
        u(k, seq, at, sender, cid, op, flags, status)
    WHERE u.flags & 1 <> 0 AND u.status = 0 AND u.seq IS NOT NULL;
    IF v_gen > 1 THEN
        INSERT INTO lineage
        SELECT u.id, g.gen, u.base + 1
        FROM unnest(ids, heads, base, gens) u(id, head, base, gen)
        JOIN generations g ON g.gen > u.gen
        WHERE u.head > u.base AND u.gen < v_gen;
    END IF;
    UPDATE heads h SET head = u.head, n = u.n, at = u.at, acl_ver = u.acl,
        gen = CASE WHEN u.head > u.base THEN v_gen ELSE h.gen END
    FROM unnest(ids, heads, ns, ats, acls, base, base_acls)
        u(id, head, n, at, acl, base, base_acl)
    WHERE h.room_id = u.id AND (u.head > u.base OR u.acl > u.base_acl);
    IF p_new IS NOT NULL THEN
        DELETE FROM rooms r USING unnest(ids, heads) u(id, head)
        WHERE r.id = u.id AND u.head IS NULL AND r.kind = '';
    END IF;
END $$;
