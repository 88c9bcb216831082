-- Jobs: what is to be done later.
--
-- `state`: 0 waiting, 1 running, 2 done, 3 dead. Each state has an index of its own, so that a claim
-- costs the rows it takes, whatever else is there. A job is written two or three times in its life
-- and then removed: the table is vacuumed when a hundredth of it has changed.

CREATE SEQUENCE triolet.job_ids;

CREATE TABLE triolet.jobs (
    id bigint PRIMARY KEY,
    due_at bigint NOT NULL,
    lease_until bigint NOT NULL DEFAULT 0,
    added_at bigint NOT NULL,
    finished_at bigint NOT NULL DEFAULT 0,
    attempts integer NOT NULL DEFAULT 0,
    attempts_max integer NOT NULL,
    priority smallint NOT NULL,
    state smallint NOT NULL DEFAULT 0,
    kind text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    error text NOT NULL DEFAULT '',
    payload bytea NOT NULL,
    UNIQUE (kind, key)
) WITH (
    fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.1
);
CREATE INDEX jobs_waiting ON triolet.jobs (kind, priority DESC, due_at, id) WHERE state = 0;
CREATE INDEX jobs_running ON triolet.jobs (kind, lease_until) WHERE state = 1;
CREATE INDEX jobs_done ON triolet.jobs (finished_at) WHERE state = 2;
CREATE INDEX jobs_dead ON triolet.jobs (id) WHERE state = 3;

-- What is acknowledged is stored, whatever the role's or the database's settings are.
CREATE FUNCTION triolet.commit_for_sure() RETURNS void LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
END $$;

-- Return the places of those that are new. Their ids are in the order in which they came; they are
-- inserted by their names, as everybody does: who adds the same ones waits, and not in a circle.
CREATE FUNCTION triolet.add_jobs(
    p_now bigint, p_kinds text[], p_keys text[], p_payloads bytea[], p_priorities smallint[],
    p_dues bigint[], p_attempts integer[])
RETURNS SETOF bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan SET jit = off
SET lock_timeout = '2s'
AS $$
BEGIN
    PERFORM commit_for_sure();
    RETURN QUERY
    WITH asked AS MATERIALIZED (
        SELECT u.*, nextval('job_ids') AS id
        FROM unnest(p_kinds, p_keys, p_payloads, p_priorities, p_dues, p_attempts)
            WITH ORDINALITY u(kind, key, payload, priority, due_at, attempts_max, i)
    ), once AS (
        SELECT DISTINCT ON (a.kind COLLATE "C", a.key COLLATE "C") a.* FROM asked a
        ORDER BY a.kind COLLATE "C", a.key COLLATE "C", a.i
    ), added AS (
        INSERT INTO jobs (id, kind, key, payload, priority, due_at, attempts_max, added_at)
        SELECT o.id, o.kind, o.key, o.payload, o.priority, o.due_at, o.attempts_max, p_now
        FROM once o ORDER BY o.kind COLLATE "C", o.key COLLATE "C"
        ON CONFLICT (kind, key) DO NOTHING RETURNING jobs.id
    )
    SELECT a.i FROM asked a WHERE a.id IN (SELECT d.id FROM added d);
END $$;

-- Take up to `p_limit` jobs. From priority to priority by the index, so that what is not due yet is
-- in nobody's way; and nobody waits for another: what is locked is being taken.
CREATE FUNCTION triolet.claim_jobs(
    p_kinds text[], p_now bigint, p_lease_until bigint, p_limit bigint, p_lease_ended text)
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
    v_some bigint[];
    v_ids bigint[] := '{}';
BEGIN
    PERFORM commit_for_sure();
    FOREACH v_kind IN ARRAY p_kinds LOOP
        UPDATE jobs j SET lease_until = 0, error = p_lease_ended,
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
                WHERE x.state = 0 AND x.kind = v_kind AND x.priority < v_priority
                ORDER BY x.priority DESC LIMIT 1);
            EXIT WHEN v_priority IS NULL OR v_left <= 0;
            v_some := ARRAY(
                SELECT x.id FROM jobs x
                WHERE x.state = 0 AND x.kind = v_kind AND x.priority = v_priority
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
    RETURN QUERY
    WITH taken AS (
        UPDATE jobs j SET state = 1, attempts = j.attempts + 1, lease_until = p_lease_until
        WHERE j.id = ANY (v_ids) RETURNING j.*
    )
    SELECT t.* FROM taken t ORDER BY t.priority DESC, t.due_at, t.id;
END $$;

-- Say what became of attempts, and return the places of those whose lease held. `p_fates`: 0 done,
-- 1 failed, 2 given back. The rows are locked ascending, as by `extend_jobs`.
CREATE FUNCTION triolet.finish_jobs(
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
    WHERE j.id = u.id AND j.attempts = u.attempt AND j.state = 1
    RETURNING u.i;
END $$;

CREATE FUNCTION triolet.extend_jobs(p_ids bigint[], p_attempts integer[], p_lease_until bigint)
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
    WHERE j.id = u.id AND j.attempts = u.attempt AND j.state = 1
    RETURNING u.i;
END $$;

-- What is locked is being taken: it runs. With `x.state = 0` it might be planned by `jobs_waiting`,
-- and walk over all that wait.
CREATE FUNCTION triolet.withdraw_jobs(p_kind text, p_keys text[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    v_count bigint;
BEGIN
    PERFORM commit_for_sure();
    DELETE FROM jobs j WHERE j.id = ANY (ARRAY(
        SELECT x.id FROM jobs x WHERE x.kind = p_kind AND x.key = ANY (p_keys) AND x.state + 0 = 0
        FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

CREATE FUNCTION triolet.next_job_due(p_kinds text[]) RETURNS bigint
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
                WHERE x.state = 0 AND x.kind = v_kind AND x.priority < v_priority
                ORDER BY x.priority DESC LIMIT 1);
            EXIT WHEN v_priority IS NULL;
            v_due := least(v_due, (SELECT min(x.due_at) FROM jobs x
                WHERE x.state = 0 AND x.kind = v_kind AND x.priority = v_priority));
        END LOOP;
    END LOOP;
    RETURN v_due;
END $$;

-- A text a state, each with its constant, so that each has the plan of its own index.
CREATE FUNCTION triolet.jobs_listed(
    p_state smallint, p_kind text, p_below bigint, p_limit bigint)
RETURNS SETOF triolet.jobs
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET jit = off
AS $$
BEGIN
    RETURN QUERY EXECUTE format(
        'SELECT * FROM jobs j WHERE j.state = %s AND j.id < $2 AND ($1 = '''' OR j.kind = $1)
         ORDER BY j.id DESC LIMIT $3', p_state) USING p_kind, p_below, p_limit;
END $$;

CREATE FUNCTION triolet.count_jobs()
RETURNS TABLE (kind text, waiting bigint, running bigint, dead bigint, oldest_due_at bigint)
LANGUAGE sql STABLE SET search_path = triolet, pg_temp SET jit = off AS $$
    SELECT u.kind, sum(u.waiting)::bigint, sum(u.running)::bigint, sum(u.dead)::bigint,
        coalesce(min(u.due_at), 0)
    FROM (
        SELECT x.kind, count(*) AS waiting, 0 AS running, 0 AS dead, min(x.due_at) AS due_at
            FROM jobs x WHERE x.state = 0 GROUP BY x.kind
        UNION ALL
        SELECT x.kind, 0, count(*), 0, NULL FROM jobs x WHERE x.state = 1 GROUP BY x.kind
        UNION ALL
        SELECT x.kind, 0, 0, count(*), NULL FROM jobs x WHERE x.state = 3 GROUP BY x.kind
    ) u GROUP BY u.kind ORDER BY u.kind COLLATE "C"
$$;

-- Under a new id: who had its last lease does not have this one.
CREATE FUNCTION triolet.requeue_jobs(p_ids bigint[], p_now bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    v_count bigint;
BEGIN
    PERFORM commit_for_sure();
    PERFORM FROM jobs j WHERE j.id = ANY (p_ids) AND j.state = 3 ORDER BY j.id FOR UPDATE;
    UPDATE jobs j SET id = nextval('job_ids'), state = 0, attempts = 0, due_at = p_now,
        finished_at = 0
    WHERE j.id = ANY (p_ids) AND j.state = 3;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

CREATE FUNCTION triolet.drop_jobs(p_ids bigint[]) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    v_count bigint;
BEGIN
    PERFORM commit_for_sure();
    PERFORM FROM jobs j WHERE j.id = ANY (p_ids) AND j.state = 3 ORDER BY j.id FOR UPDATE;
    DELETE FROM jobs j WHERE j.id = ANY (p_ids) AND j.state = 3;
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;

CREATE FUNCTION triolet.prune_jobs(p_done_before bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    v_count bigint;
BEGIN
    DELETE FROM jobs j WHERE j.id = ANY (ARRAY(
        SELECT x.id FROM jobs x WHERE x.state = 2 AND x.finished_at < p_done_before
        ORDER BY x.finished_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
