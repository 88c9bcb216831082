-- Documents: small values by key.

-- Given to documents one after the other, of whatever key, so that no version comes twice.
CREATE SEQUENCE triolet.document_versions;

CREATE TABLE triolet.documents (
    version bigint NOT NULL,
    expires_at bigint NOT NULL,
    key text COLLATE "C" PRIMARY KEY,
    value bytea NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX documents_expiry ON triolet.documents (expires_at) WHERE expires_at > 0;

-- Those of `p_keys` that are there at `p_now`.
CREATE FUNCTION triolet.documents_of(p_keys text[], p_now bigint)
RETURNS TABLE (key text, value bytea, version bigint, expires_at bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT d.key, d.value, d.version, d.expires_at
    FROM unnest(p_keys) u(key)
    CROSS JOIN LATERAL (SELECT * FROM documents x WHERE x.key = u.key OFFSET 0) d
    WHERE d.expires_at = 0 OR d.expires_at > p_now;
END $$;

-- Keys from `p_first` on, or from behind it, below `p_end`.
CREATE FUNCTION triolet.documents_between(
    p_first text, p_is_behind boolean, p_end text, p_now bigint, p_limit bigint,
    p_descending boolean)
RETURNS TABLE (key text, value bytea, version bigint, expires_at bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET enable_bitmapscan = off SET jit = off
AS $$
BEGIN
    IF p_descending THEN
        RETURN QUERY
        SELECT d.key, d.value, d.version, d.expires_at FROM documents d
        WHERE d.key >= p_first AND d.key < p_end AND (d.expires_at = 0 OR d.expires_at > p_now)
        ORDER BY d.key DESC LIMIT p_limit;
    ELSIF p_is_behind THEN
        RETURN QUERY
        SELECT d.key, d.value, d.version, d.expires_at FROM documents d
        WHERE d.key > p_first AND d.key < p_end AND (d.expires_at = 0 OR d.expires_at > p_now)
        ORDER BY d.key LIMIT p_limit;
    ELSE
        RETURN QUERY
        SELECT d.key, d.value, d.version, d.expires_at FROM documents d
        WHERE d.key >= p_first AND d.key < p_end AND (d.expires_at = 0 OR d.expires_at > p_now)
        ORDER BY d.key LIMIT p_limit;
    END IF;
END $$;

-- Make all changes, or none. `p_versions`: NULL: whatever there is; 0: nothing. `p_values`: NULL:
-- there is to be none. The keys come once each.
--
-- Who writes a key holds the lock of its part of all keys, whether there is a row or not: a row
-- that is not there yet cannot be locked. The locks are taken ascending, so nobody waits in a
-- circle, and there are few of them, so that a large write does not fill the server's table of
-- locks. It is VOLATILE and runs under READ COMMITTED: what is there is looked at when the keys
-- are ours.
CREATE FUNCTION triolet.write_documents(
    p_now bigint, p_keys text[], p_versions bigint[], p_expires_at bigint[], p_values bytea[])
RETURNS boolean
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET jit = off SET lock_timeout = '2s'
AS $$
DECLARE
    v_part integer;
    v_version bigint;
BEGIN
    -- What is acknowledged is stored, whatever the role's or the database's settings are.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    FOR v_part IN SELECT DISTINCT hashtext(u.key) & 63 FROM unnest(p_keys) u(key) ORDER BY 1 LOOP
        PERFORM pg_advisory_xact_lock(73126482, v_part);
    END LOOP;
    IF EXISTS (
        SELECT FROM unnest(p_keys, p_versions) u(key, version)
        WHERE u.version <> coalesce((
            SELECT d.version FROM documents d
            WHERE d.key = u.key AND (d.expires_at = 0 OR d.expires_at > p_now)), 0)
    ) THEN
        RETURN false;
    END IF;
    v_version := nextval('document_versions');
    DELETE FROM documents d USING unnest(p_keys, p_values) u(key, value)
    WHERE d.key = u.key AND u.value IS NULL;
    INSERT INTO documents AS d (key, value, version, expires_at)
    SELECT u.key, u.value, v_version, u.expires_at
    FROM unnest(p_keys, p_values, p_expires_at) u(key, value, expires_at)
    WHERE u.value IS NOT NULL
    ON CONFLICT (key) DO UPDATE SET value = excluded.value, version = excluded.version,
        expires_at = excluded.expires_at;
    RETURN true;
END $$;

-- Remove at most `p_limit` documents that have expired. It waits for nobody: what somebody is
-- writing is left.
CREATE FUNCTION triolet.prune_documents(p_now bigint, p_limit bigint)
RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    v_count bigint;
BEGIN
    DELETE FROM documents d WHERE d.key = ANY (ARRAY(
        SELECT x.key FROM documents x WHERE x.expires_at > 0 AND x.expires_at <= p_now
        ORDER BY x.expires_at LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS v_count = ROW_COUNT;
    RETURN v_count;
END $$;
