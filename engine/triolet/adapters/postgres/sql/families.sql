-- What is revoked is a user's, or a family's, which is called `sid:USER:FAMILY`.

-- The greatest of these subjects, 0 where nothing of them is revoked.
CREATE FUNCTION triolet.revoked(p_subjects text[]) RETURNS bigint
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    RETURN (
        SELECT coalesce(max(mine.not_before), 0) FROM unnest(p_subjects) s(usr)
        CROSS JOIN LATERAL (SELECT x.not_before FROM revocations x WHERE x.usr = s.usr OFFSET 0) mine);
END $$;

-- Families up to `p_limit` that were revoked before `p_older_than` are forgotten.
CREATE FUNCTION triolet.forget_revocations(p_older_than bigint, p_limit bigint) RETURNS bigint
LANGUAGE plpgsql VOLATILE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
    forgotten bigint;
BEGIN
    DELETE FROM revocations r WHERE r.usr = ANY (ARRAY(
        SELECT x.usr FROM revocations x
        WHERE x.usr >= 'sid:' AND x.usr < 'sid;' AND x.not_before < p_older_than
        ORDER BY x.usr LIMIT p_limit FOR UPDATE SKIP LOCKED));
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END $$;
