-- Jobs whose lease has ended, and nobody had said what became of them: `lost` says how often.
--
-- The first time costs no attempt, for it may never have begun, and it is claimed ahead no more. From
-- two on a job is claimed alone, by an index of its own, so that it is in nobody's way.

ALTER TABLE triolet.jobs ADD COLUMN lost smallint NOT NULL DEFAULT 0;
DROP INDEX triolet.jobs_waiting;
CREATE INDEX jobs_waiting ON triolet.jobs (kind, priority DESC, due_at, id)
    WHERE state = 0 AND lost < 2;
CREATE INDEX jobs_alone ON triolet.jobs (kind, priority DESC, due_at, id)
    WHERE state = 0 AND lost >= 2;

-- Take up to `p_limit` jobs, of which the first `p_limit - p_ahead` begin at once. From priority to
-- priority by the index, so that what is not due yet is in nobody's way; and nobody waits for
-- another: what is locked is being taken.
CREATE FUNCTION triolet.claim_jobs(
    p_kinds text[], p_now bigint, p_lease_until bigint, p_limit bigint, p_ahead bigint,
    p_lease_ended text)
RETURNS SETOF triolet.jobs
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
    v_kind text;
    v_priority smallint;
    v_left bigint;
    v_end bigint;
    v_some bigint[];
    v_ids bigint[] := '{}';
BEGIN
    PERFORM commit_for_sure();
    FOREACH v_kind IN ARRAY p_kinds LOOP
        UPDATE jobs j SET lease_until = 0, error = p_lease_ended, lost = j.lost + 1,
            attempts_max = j.attempts_max
                + CASE WHEN j.lost = 0 AND j.attempts < j.attempts_max THEN 1 ELSE 0 END,
            state = CASE WHEN j.attempts >= j.attempts_max THEN 3 ELSE 0 END,
            finished_at = CASE WHEN j.attempts >= j.attempts_max THEN p_now ELSE 0 END
        WHERE j.id = ANY (ARRAY(
            SELECT x.id FROM jobs x
            WHERE x.state = 1 AND x.kind = v_kind AND x.lease_until <= p_now
            ORDER BY x.lease_until LIMIT 1000 FOR UPDATE SKIP LOCKED));
        v_priority := 101;
        v_left := p_limit;
        LOOP
            v_priority := (SELECT x.priority FROM jobs x
                WHERE x.state = 0 AND x.lost < 2 AND x.kind = v_kind AND x.priority < v_priority
                ORDER BY x.priority DESC LIMIT 1);
            EXIT WHEN v_priority IS NULL OR v_left <= 0;
            v_some := ARRAY(
                SELECT x.id FROM jobs x
                WHERE x.state = 0 AND x.lost < 2 AND x.kind = v_kind AND x.priority = v_priority
                    AND x.due_at <= p_now
                ORDER BY x.due_at, x.id LIMIT v_left FOR UPDATE SKIP LOCKED);
            v_left := v_left - cardinality(v_some);
            v_ids := v_ids || v_some;
        END LOOP;
    END LOOP;
    IF cardinality(p_kinds) > 1 THEN
        v_ids := ARRAY(
            SELECT x.id FROM jobs x WHERE x.id = ANY (v_ids)
            ORDER BY x.priority DESC, x.due_at, x.id LIMIT p_limit);
    END IF;
    -- The first one that may not be taken ahead.
    IF cardinality(v_ids) > p_limit - p_ahead THEN
        v_end := (SELECT min(u.i) FROM unnest(v_ids) WITH ORDINALITY u(id, i)
            CROSS JOIN LATERAL (SELECT * FROM jobs x WHERE x.id = u.id OFFSET 0) y
            WHERE u.i > p_limit - p_ahead AND (y.lost > 0 OR y.attempts + 1 >= y.attempts_max));
        IF v_end IS NOT NULL THEN
            v_ids := v_ids[1:v_end - 1];
        END IF;
    END IF;
    RETURN QUERY
    WITH taken AS (
        UPDATE jobs j SET state = 1, attempts = j.attempts + 1, lease_until = p_lease_until
        WHERE j.id = ANY (v_ids) RETURNING j.*
    )
    SELECT t.* FROM taken t ORDER BY t.priority DESC, t.due_at, t.id;
END $$;

-- As nodes call it that have not been upgraded yet.
CREATE OR REPLACE FUNCTION triolet.claim_jobs(
    p_kinds text[], p_now bigint, p_lease_until bigint, p_limit bigint, p_lease_ended text)
RETURNS SETOF triolet.jobs
LANGUAGE sql VOLATILE AS $$
    SELECT * FROM triolet.claim_jobs(p_kinds, p_now, p_lease_until, p_limit, 0, p_lease_ended)
$$;

-- Take the first one of those that are claimed alone.
CREATE FUNCTION triolet.claim_job_alone(p_kinds text[], p_now bigint, p_lease_until bigint)
RETURNS SETOF triolet.jobs
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
    v_kind text;
    v_priority smallint;
    v_id bigint;
    v_ids bigint[] := '{}';
BEGIN
    PERFORM commit_for_sure();
    FOREACH v_kind IN ARRAY p_kinds LOOP
        v_priority := 101;
        LOOP
            v_priority := (SELECT x.priority FROM jobs x
                WHERE x.state = 0 AND x.lost >= 2 AND x.kind = v_kind AND x.priority < v_priority
                ORDER BY x.priority DESC LIMIT 1);
            EXIT WHEN v_priority IS NULL;
            v_id := (SELECT x.id FROM jobs x
                WHERE x.state = 0 AND x.lost >= 2 AND x.kind = v_kind AND x.priority = v_priority
                    AND x.due_at <= p_now
                ORDER BY x.due_at, x.id LIMIT 1 FOR UPDATE SKIP LOCKED);
            v_ids := array_append(v_ids, v_id);
            EXIT WHEN v_id IS NOT NULL;
        END LOOP;
    END LOOP;
    RETURN QUERY
    UPDATE jobs j SET state = 1, attempts = j.attempts + 1, lease_until = p_lease_until
    WHERE j.id = (SELECT x.id FROM jobs x WHERE x.id = ANY (v_ids)
        ORDER BY x.priority DESC, x.due_at, x.id LIMIT 1)
    RETURNING j.*;
END $$;

CREATE OR REPLACE FUNCTION triolet.next_job_due(p_kinds text[]) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
    v_kind text;
    v_priority smallint;
    v_due bigint;
BEGIN
    FOREACH v_kind IN ARRAY p_kinds LOOP
        v_due := least(v_due, (SELECT min(x.lease_until) FROM jobs x
            WHERE x.state = 1 AND x.kind = v_kind));
        v_priority := 101;
        LOOP
            v_priority := (SELECT x.priority FROM jobs x
                WHERE x.state = 0 AND x.lost < 2 AND x.kind = v_kind AND x.priority < v_priority
                ORDER BY x.priority DESC LIMIT 1);
            EXIT WHEN v_priority IS NULL;
            v_due := least(v_due, (SELECT min(x.due_at) FROM jobs x
                WHERE x.state = 0 AND x.lost < 2 AND x.kind = v_kind
                    AND x.priority = v_priority));
        END LOOP;
    END LOOP;
    RETURN v_due;
END $$;

CREATE FUNCTION triolet.next_job_due_alone(p_kinds text[]) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off
AS $$
DECLARE
    v_kind text;
    v_priority smallint;
    v_due bigint;
BEGIN
    FOREACH v_kind IN ARRAY p_kinds LOOP
        v_priority := 101;
        LOOP
            v_priority := (SELECT x.priority FROM jobs x
                WHERE x.state = 0 AND x.lost >= 2 AND x.kind = v_kind AND x.priority < v_priority
                ORDER BY x.priority DESC LIMIT 1);
            EXIT WHEN v_priority IS NULL;
            v_due := least(v_due, (SELECT min(x.due_at) FROM jobs x
                WHERE x.state = 0 AND x.lost >= 2 AND x.kind = v_kind
                    AND x.priority = v_priority));
        END LOOP;
    END LOOP;
    RETURN v_due;
END $$;

-- As before, each part by an index.
CREATE OR REPLACE FUNCTION triolet.count_jobs()
RETURNS TABLE (kind text, waiting bigint, running bigint, dead bigint, oldest_due_at bigint)
LANGUAGE sql STABLE SET search_path = triolet, pg_temp SET jit = off AS $$
    SELECT u.kind, sum(u.waiting)::bigint, sum(u.running)::bigint, sum(u.dead)::bigint,
        coalesce(min(u.due_at), 0)
    FROM (
        SELECT x.kind, count(*) AS waiting, 0 AS running, 0 AS dead, min(x.due_at) AS due_at
            FROM jobs x WHERE x.state = 0 AND x.lost < 2 GROUP BY x.kind
        UNION ALL
        SELECT x.kind, count(*), 0, 0, min(x.due_at)
            FROM jobs x WHERE x.state = 0 AND x.lost >= 2 GROUP BY x.kind
        UNION ALL
        SELECT x.kind, 0, count(*), 0, NULL FROM jobs x WHERE x.state = 1 GROUP BY x.kind
        UNION ALL
        SELECT x.kind, 0, 0, count(*), NULL FROM jobs x WHERE x.state = 3 GROUP BY x.kind
    ) u GROUP BY u.kind ORDER BY u.kind COLLATE "C"
$$;

-- As before, but what runs is found by its id alone. With `j.state = 1` it was planned by `jobs_running`
-- where the table was empty at first, and each job walked over all that ran: of 3,000, to end 500 took
-- 1.6 s.
CREATE OR REPLACE FUNCTION triolet.finish_jobs(
    p_now bigint, p_ids bigint[], p_attempts integer[], p_fates smallint[], p_errors text[],
    p_retry_at bigint[])
RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off SET lock_timeout = '2s'
AS $$
BEGIN
    PERFORM commit_for_sure();
    PERFORM FROM jobs j WHERE j.id = ANY (p_ids) ORDER BY j.id FOR NO KEY UPDATE;
    RETURN QUERY
    UPDATE jobs j SET lease_until = 0,
        error = CASE WHEN u.error = '' THEN j.error ELSE u.error END,
        state = CASE WHEN u.fate = 0 THEN 2 WHEN u.dies THEN 3 ELSE 0 END,
        payload = CASE WHEN u.fate = 0 THEN ''::bytea ELSE j.payload END,
        finished_at = CASE WHEN u.fate = 0 OR u.dies THEN p_now ELSE 0 END,
        due_at = CASE WHEN u.fate = 0 OR u.dies THEN j.due_at ELSE u.retry_at END,
        attempts_max = j.attempts_max + CASE WHEN u.fate = 2 THEN 1 ELSE 0 END
    FROM (
        SELECT x.*, x.fate = 1 AND (x.retry_at IS NULL OR y.attempts >= y.attempts_max) AS dies
        FROM unnest(p_ids, p_attempts, p_fates, p_errors, p_retry_at)
            WITH ORDINALITY x(id, attempt, fate, error, retry_at, i)
        CROSS JOIN LATERAL (SELECT * FROM jobs z WHERE z.id = x.id OFFSET 0) y
    ) u
    WHERE j.id = u.id AND j.attempts = u.attempt AND j.state + 0 = 1
    RETURNING u.i;
END $$;

CREATE OR REPLACE FUNCTION triolet.extend_jobs(p_ids bigint[], p_attempts integer[], p_lease_until bigint)
RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off SET lock_timeout = '2s'
AS $$
BEGIN
    PERFORM FROM jobs j WHERE j.id = ANY (p_ids) ORDER BY j.id FOR NO KEY UPDATE;
    RETURN QUERY
    UPDATE jobs j SET lease_until = p_lease_until
    FROM unnest(p_ids, p_attempts) WITH ORDINALITY u(id, attempt, i)
    WHERE j.id = u.id AND j.attempts = u.attempt AND j.state + 0 = 1
    RETURNING u.i;
END $$;
