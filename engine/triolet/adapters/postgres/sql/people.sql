-- Who may see whether somebody is here; and forgetting a person.

ALTER TABLE triolet.people ADD COLUMN visible_to text NOT NULL DEFAULT 'shared';

-- As `people`, with the new column: nodes of the version before read three.
CREATE FUNCTION triolet.persons(p_users text[])
RETURNS TABLE (usr text, status text, last_seen bigint, visible_to text)
LANGUAGE plpgsql STABLE
SET search_path = triolet, pg_temp SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET enable_sort = off SET jit = off
AS $$
BEGIN
    RETURN QUERY
    SELECT p.usr, p.status, p.last_seen, p.visible_to FROM unnest(p_users) u(usr)
    CROSS JOIN LATERAL (SELECT * FROM people x WHERE x.usr = u.usr OFFSET 0) p;
END $$;

CREATE FUNCTION triolet.show_to(p_user text, p_visible_to text) RETURNS void
LANGUAGE sql VOLATILE AS $$
    INSERT INTO triolet.people AS p (usr, status, last_seen, visible_to)
    VALUES (p_user, '', 0, p_visible_to)
    ON CONFLICT (usr) DO UPDATE SET visible_to = excluded.visible_to
$$;

CREATE FUNCTION triolet.forget(p_user text) RETURNS void
LANGUAGE sql VOLATILE AS $$
    DELETE FROM triolet.people WHERE usr = p_user
$$;
