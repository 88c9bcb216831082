-- What was revoked lately is asked for by every node every few seconds, among all that ever was.

CREATE INDEX revocations_lately ON triolet.revocations (not_before);

-- As before, but those since a moment are found by it, and then put in order: they are few.
CREATE OR REPLACE FUNCTION triolet.revocations(
    p_since bigint, p_after text, p_limit bigint, p_only text)
RETURNS TABLE (usr text, not_before bigint)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
BEGIN
    IF p_only IS NOT NULL THEN
        RETURN QUERY SELECT x.usr, x.not_before FROM revocations x WHERE x.usr = p_only;
    ELSIF p_since > 0 THEN
        RETURN QUERY
        SELECT y.usr, y.not_before FROM (
            SELECT x.usr, x.not_before FROM revocations x WHERE x.not_before >= p_since OFFSET 0
        ) y WHERE y.usr > p_after ORDER BY y.usr LIMIT p_limit;
    ELSE
        RETURN QUERY
        SELECT x.usr, x.not_before FROM revocations x
        WHERE x.usr > p_after ORDER BY x.usr LIMIT p_limit;
    END IF;
END $$;
