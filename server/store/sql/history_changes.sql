-- name: history_netted_services
-- What each service was in two states, of those that changed after the earlier: whether it existed, its row, and both once more for the
-- later state. An entry is after a state if its snapshot ($1, $3) does not see it, or if the state is found by time ($2, $4), by its own.
WITH since AS MATERIALIZED (
    SELECT c.*
    FROM depgraph_history.service_changes AS c
    WHERE (
            $2::timestamptz IS NULL
            AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        )
        OR c.at > $2
),
earlier AS MATERIALIZED (
    SELECT DISTINCT ON (e.id) e.existed, {e.service_then}
    FROM since AS e
    ORDER BY e.id, e.seq
),
later AS MATERIALIZED (
    SELECT DISTINCT ON (e.id) e.existed, {e.service_then}
    FROM since AS e
    WHERE (
            $4::timestamptz IS NULL
            AND (e.xid >= pg_snapshot_xmax($3::text::pg_snapshot) OR e.xid = ANY (ARRAY(SELECT pg_snapshot_xip($3::text::pg_snapshot))))
        )
        OR e.at > $4
    ORDER BY e.id, e.seq
),
states AS (
    SELECT l.* FROM later AS l
    UNION ALL
    SELECT true, {s.service_now}
    FROM earlier AS e
    INNER JOIN public.services AS s ON s.id = e.id
    WHERE NOT EXISTS (SELECT FROM later AS l WHERE l.id = e.id)
)
SELECT e.*, s.*
FROM earlier AS e
LEFT JOIN states AS s ON s.id = e.id
LIMIT $5;

-- name: history_netted_dependencies
-- What each dependency was in two states, as history_netted_services, without those that did not change between the two.
WITH since AS MATERIALIZED (
    SELECT c.*
    FROM depgraph_history.dependency_changes AS c
    WHERE (
            $2::timestamptz IS NULL
            AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        )
        OR c.at > $2
),
earlier AS MATERIALIZED (
    SELECT DISTINCT ON (e.id) e.seq, e.existed, {e.dependency_then}
    FROM since AS e
    ORDER BY e.id, e.seq
),
later AS MATERIALIZED (
    SELECT DISTINCT ON (e.id) e.seq, e.existed, {e.dependency_then}
    FROM since AS e
    WHERE (
            $4::timestamptz IS NULL
            AND (e.xid >= pg_snapshot_xmax($3::text::pg_snapshot) OR e.xid = ANY (ARRAY(SELECT pg_snapshot_xip($3::text::pg_snapshot))))
        )
        OR e.at > $4
    ORDER BY e.id, e.seq
),
states AS (
    SELECT e.id AS of_id, l.*
    FROM earlier AS e
    INNER JOIN later AS l ON l.id = e.id
    UNION ALL
    -- Row by row: a plan for many would read the whole table.
    SELECT e.id, NULL, s.*
    FROM earlier AS e
    LEFT JOIN LATERAL (
        SELECT true, {d.dependency_now}
        FROM public.service_dependencies AS d
        WHERE d.id = e.id
        LIMIT 1
    ) AS s ON true
    WHERE NOT EXISTS (SELECT FROM later AS l WHERE l.id = e.id)
)
SELECT e.*, s.*
FROM earlier AS e
INNER JOIN states AS s ON s.of_id = e.id
WHERE s.seq IS DISTINCT FROM e.seq
LIMIT $5;

-- name: history_netted_aliases
-- What each alias was in two states, as history_netted_services.
WITH since AS MATERIALIZED (
    SELECT c.*
    FROM depgraph_history.alias_changes AS c
    WHERE (
            $2::timestamptz IS NULL
            AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        )
        OR c.at > $2
),
earlier AS MATERIALIZED (
    SELECT DISTINCT ON (e.id) e.existed, e.id, e.alias, e.service_id, e.created_at
    FROM since AS e
    ORDER BY e.id, e.seq
),
later AS MATERIALIZED (
    SELECT DISTINCT ON (e.id) e.existed, e.id, e.alias, e.service_id, e.created_at
    FROM since AS e
    WHERE (
            $4::timestamptz IS NULL
            AND (e.xid >= pg_snapshot_xmax($3::text::pg_snapshot) OR e.xid = ANY (ARRAY(SELECT pg_snapshot_xip($3::text::pg_snapshot))))
        )
        OR e.at > $4
    ORDER BY e.id, e.seq
),
states AS (
    SELECT l.* FROM later AS l
    UNION ALL
    SELECT true, a.id, a.alias, a.service_id, a.created_at
    FROM earlier AS e
    INNER JOIN public.service_aliases AS a ON a.id = e.id
    WHERE NOT EXISTS (SELECT FROM later AS l WHERE l.id = e.id)
)
SELECT e.*, s.*
FROM earlier AS e
LEFT JOIN states AS s ON s.id = e.id
LIMIT $5;

-- name: history_dependencies_of
-- The dependencies of some services ($5) that did not change between two states ($1 to $4: as history_netted_services), as they were then;
-- at most $6.
WITH since AS MATERIALIZED (
    SELECT c.*
    FROM depgraph_history.dependency_changes AS c
    WHERE (
            $2::timestamptz IS NULL
            AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        )
        OR c.at > $2
)
SELECT {e.dependency_then}
FROM since AS e
WHERE e.existed
    AND (
        (
            $4::timestamptz IS NULL
            AND (e.xid >= pg_snapshot_xmax($3::text::pg_snapshot) OR e.xid = ANY (ARRAY(SELECT pg_snapshot_xip($3::text::pg_snapshot))))
        )
        OR e.at > $4
    )
    AND NOT EXISTS (SELECT FROM since AS f WHERE f.id = e.id AND f.seq < e.seq)
    AND (e.source_service_id = ANY ($5::uuid[]) OR e.target_service_id = ANY ($5::uuid[]))
UNION ALL
SELECT {d.dependency_now}
FROM public.service_dependencies AS d
WHERE NOT EXISTS (SELECT FROM since AS e WHERE e.id = d.id)
    AND (d.source_service_id = ANY ($5::uuid[]) OR d.target_service_id = ANY ($5::uuid[]))
LIMIT $6;

-- name: history_started
-- The snapshot of the oldest mark of a run of the database ($1): what it sees may be of a run before.
SELECT m.snapshot::text
FROM depgraph_history.marks AS m
WHERE m.feed_id = $1
ORDER BY m.at
LIMIT 1;

-- name: history_newest
-- The newest changes after the earlier state ($1, $2: as history_netted_services) that the later one ($3, $4) has, before number $5; $6 of them.
SELECT c.subject, c.seq, c.id, 0 AS hops
FROM (
    SELECT 1 AS subject, e.seq, e.id, e.xid, e.at FROM depgraph_history.service_changes AS e
    UNION ALL
    SELECT 2, e.seq, e.id, e.xid, e.at FROM depgraph_history.dependency_changes AS e
    UNION ALL
    SELECT 3, e.seq, e.id, e.xid, e.at FROM depgraph_history.alias_changes AS e
) AS c
WHERE ((
        $2::timestamptz IS NULL
        AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
    )
    OR c.at > $2)
    AND NOT ((
        $4::timestamptz IS NULL
        AND (c.xid >= pg_snapshot_xmax($3::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($3::text::pg_snapshot))))
    )
    OR COALESCE(c.at > $4, false))
    AND c.seq < $5
ORDER BY c.seq DESC
LIMIT $6;

-- name: history_nearest
-- The nearest changes, as history_newest, behind the place of $7 hops and number $5: a dependency is as near as the nearest of its ends before
-- and after, by the distances $9 of the services $8.
WITH near AS MATERIALIZED (
    SELECT n.id, n.hops
    FROM unnest($8::text::uuid[], $9::text::integer[]) AS n (id, hops)
),
dependencies AS (
    SELECT c.seq, c.id, c.xid, c.at, c.source_service_id AS source, c.target_service_id AS target,
        lead(c.seq) OVER following AS next_seq,
        lead(c.source_service_id) OVER following AS next_source,
        lead(c.target_service_id) OVER following AS next_target
    FROM depgraph_history.dependency_changes AS c
    WHERE (
            $2::timestamptz IS NULL
            AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        )
        OR c.at > $2
    WINDOW following AS (PARTITION BY c.id ORDER BY c.seq)
),
aliases AS (
    SELECT c.seq, c.id, c.xid, c.at, c.service_id,
        lead(c.seq) OVER following AS next_seq,
        lead(c.service_id) OVER following AS next_service
    FROM depgraph_history.alias_changes AS c
    WHERE (
            $2::timestamptz IS NULL
            AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        )
        OR c.at > $2
    WINDOW following AS (PARTITION BY c.id ORDER BY c.seq)
),
entries AS (
    SELECT 1 AS subject, c.seq, c.id, c.xid, c.at, n.hops
    FROM depgraph_history.service_changes AS c
    INNER JOIN near AS n ON n.id = c.id
    WHERE (
            $2::timestamptz IS NULL
            AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        )
        OR c.at > $2
    UNION ALL
    SELECT 2, c.seq, c.id, c.xid, c.at, LEAST(a.hops, b.hops, x.hops, y.hops)
    FROM dependencies AS c
    LEFT JOIN LATERAL (
        SELECT p.source_service_id, p.target_service_id
        FROM public.service_dependencies AS p
        WHERE p.id = c.id AND c.next_seq IS NULL
        LIMIT 1
    ) AS d ON true
    LEFT JOIN near AS a ON a.id = c.source
    LEFT JOIN near AS b ON b.id = c.target
    LEFT JOIN near AS x ON x.id = COALESCE(c.next_source, d.source_service_id)
    LEFT JOIN near AS y ON y.id = COALESCE(c.next_target, d.target_service_id)
    UNION ALL
    SELECT 3, c.seq, c.id, c.xid, c.at, LEAST(a.hops, x.hops)
    FROM aliases AS c
    LEFT JOIN public.service_aliases AS d ON d.id = c.id AND c.next_seq IS NULL
    LEFT JOIN near AS a ON a.id = c.service_id
    LEFT JOIN near AS x ON x.id = COALESCE(c.next_service, d.service_id)
)
SELECT c.subject, c.seq, c.id, c.hops
FROM entries AS c
WHERE NOT ((
        $4::timestamptz IS NULL
        AND (c.xid >= pg_snapshot_xmax($3::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($3::text::pg_snapshot))))
    )
    OR COALESCE(c.at > $4, false))
    AND (c.hops > $7 OR c.hops = $7 AND c.seq < $5)
ORDER BY c.hops, c.seq DESC
LIMIT $6;

-- name: history_changed_services
-- What services were before and after the changes with numbers $4, of ids $3, after a state ($1, $2): the next entry of the same id says what
-- became of it, or the table. Found by place: a log is indexed by transaction alone.
WITH lined_up AS (
    SELECT c.ctid AS place, c.seq, lead(c.ctid) OVER (PARTITION BY c.id ORDER BY c.seq) AS following
    FROM depgraph_history.service_changes AS c
    WHERE (
            (
                $2::timestamptz IS NULL
                AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
            )
            OR c.at > $2
        )
        AND c.id = ANY ($3::uuid[])
)
SELECT c.seq, c.at, c.principal, c.xid::text, c.existed, {c.service_then}, s.*
FROM lined_up AS l
INNER JOIN depgraph_history.service_changes AS c ON c.ctid = l.place
LEFT JOIN LATERAL (
    SELECT n.existed, {n.service_then}
    FROM depgraph_history.service_changes AS n
    WHERE n.ctid = l.following
    UNION ALL
    SELECT true, {d.service_now}
    FROM public.services AS d
    WHERE d.id = c.id AND l.following IS NULL
) AS s ON true
WHERE l.seq = ANY ($4::bigint[]);

-- name: history_changed_dependencies
-- What dependencies were before and after changes, as history_changed_services.
WITH lined_up AS (
    SELECT c.ctid AS place, c.seq, lead(c.ctid) OVER (PARTITION BY c.id ORDER BY c.seq) AS following
    FROM depgraph_history.dependency_changes AS c
    WHERE (
            (
                $2::timestamptz IS NULL
                AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
            )
            OR c.at > $2
        )
        AND c.id = ANY ($3::uuid[])
)
SELECT c.seq, c.at, c.principal, c.xid::text, c.existed, {c.dependency_then}, s.*
FROM lined_up AS l
INNER JOIN depgraph_history.dependency_changes AS c ON c.ctid = l.place
LEFT JOIN LATERAL (
    SELECT n.existed, {n.dependency_then}
    FROM depgraph_history.dependency_changes AS n
    WHERE n.ctid = l.following
    UNION ALL
    SELECT true, {d.dependency_now}
    FROM public.service_dependencies AS d
    WHERE d.id = c.id AND l.following IS NULL
) AS s ON true
WHERE l.seq = ANY ($4::bigint[]);

-- name: history_changed_aliases
-- What aliases were before and after changes, as history_changed_services.
WITH lined_up AS (
    SELECT c.ctid AS place, c.seq, lead(c.ctid) OVER (PARTITION BY c.id ORDER BY c.seq) AS following
    FROM depgraph_history.alias_changes AS c
    WHERE (
            (
                $2::timestamptz IS NULL
                AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
            )
            OR c.at > $2
        )
        AND c.id = ANY ($3::uuid[])
)
SELECT c.seq, c.at, c.principal, c.xid::text, c.existed, c.id, c.alias, c.service_id, c.created_at, s.*
FROM lined_up AS l
INNER JOIN depgraph_history.alias_changes AS c ON c.ctid = l.place
LEFT JOIN LATERAL (
    SELECT n.existed, n.id, n.alias, n.service_id, n.created_at
    FROM depgraph_history.alias_changes AS n
    WHERE n.ctid = l.following
    UNION ALL
    SELECT true, d.id, d.alias, d.service_id, d.created_at
    FROM public.service_aliases AS d
    WHERE d.id = c.id AND l.following IS NULL
) AS s ON true
WHERE l.seq = ANY ($4::bigint[]);

-- name: history_names_then
-- The names that services ($3) had at changes of others ($4): what the first later entry says, or the table. What refers to a service is
-- removed after it, by the same statement: then what its removal says.
WITH asked AS MATERIALIZED (
    SELECT a.id, a.seq
    FROM unnest($3::uuid[], $4::bigint[]) AS a (id, seq)
),
entries AS MATERIALIZED (
    SELECT c.id, c.seq, c.service_id
    FROM depgraph_history.service_changes AS c
    WHERE (
            (
                $2::timestamptz IS NULL
                AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
            )
            OR c.at > $2
        )
        AND c.id IN (SELECT a.id FROM asked AS a)
),
found AS (
    SELECT e.id, e.seq, e.is_asked,
        min(e.seq) FILTER (WHERE NOT e.is_asked) OVER (PARTITION BY e.id ORDER BY e.seq DESC) AS next_seq,
        max(e.seq) FILTER (WHERE NOT e.is_asked) OVER (PARTITION BY e.id ORDER BY e.seq) AS last_seq
    FROM (
        SELECT a.id, a.seq, true AS is_asked FROM asked AS a
        UNION ALL
        SELECT n.id, n.seq, false FROM entries AS n
    ) AS e
)
SELECT f.id, f.seq, COALESCE(CASE WHEN f.next_seq IS NULL THEN s.service_id ELSE e.service_id END, l.service_id) AS name
FROM found AS f
LEFT JOIN entries AS e ON e.id = f.id AND e.seq = f.next_seq
LEFT JOIN entries AS l ON l.id = f.id AND l.seq = f.last_seq
LEFT JOIN public.services AS s ON s.id = f.id
WHERE f.is_asked;

-- name: history_former_ends
-- The ends that dependencies had after the earlier state ($1, $2) and no longer have, at most $4; and, without ends, the dependencies that
-- changed after the present that a list began with ($3).
WITH since AS MATERIALIZED (
    SELECT c.id, c.seq, c.existed, c.source_service_id, c.target_service_id,
        c.xid >= pg_snapshot_xmax($3::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($3::text::pg_snapshot))) AS is_later
    FROM depgraph_history.dependency_changes AS c
    WHERE (
            $2::timestamptz IS NULL
            AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        )
        OR c.at > $2
),
later AS MATERIALIZED (
    SELECT DISTINCT ON (s.id) s.id, s.seq
    FROM since AS s
    WHERE s.is_later
    ORDER BY s.id, s.seq
)
SELECT l.id, NULL::uuid AS source, NULL::uuid AS target
FROM later AS l
UNION ALL
(
    SELECT DISTINCT NULL::uuid, s.source_service_id, s.target_service_id
    FROM since AS s
    LEFT JOIN later AS l ON l.id = s.id
    -- Row by row: a plan for many would read the whole table.
    LEFT JOIN LATERAL (
        SELECT p.source_service_id, p.target_service_id
        FROM public.service_dependencies AS p
        WHERE p.id = s.id AND l.id IS NULL
        LIMIT 1
    ) AS d ON true
    WHERE s.existed
        AND (NOT s.is_later OR s.seq = l.seq)
        AND (d.source_service_id, d.target_service_id) IS DISTINCT FROM (s.source_service_id, s.target_service_id)
    LIMIT $4
);

-- name: history_last_named
-- The service that had a name ($3) last, of those that changed after a state.
SELECT c.id
FROM depgraph_history.service_changes AS c
WHERE (
        (
            $2::timestamptz IS NULL
            AND (c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot))))
        )
        OR c.at > $2
    )
    AND c.service_id = $3
ORDER BY c.seq DESC
LIMIT 1;

-- name: history_reported
-- The confidence reported, as of a snapshot of the feed ($1), of the dependencies whose confidence may be another one in a graph at it: those
-- that have decayed, and those that changed since.
SELECT i.id, COALESCE(e.confidence_score, d.reported_confidence, d.confidence_score) AS confidence
FROM (
    SELECT decayed.id
    FROM public.service_dependencies AS decayed
    WHERE decayed.reported_confidence IS NOT NULL
    UNION
    SELECT changed.id
    FROM depgraph_feed.all_changes($1::text::pg_snapshot) AS changed
    WHERE changed.source = 2
) AS i
LEFT JOIN public.service_dependencies AS d ON d.id = i.id
LEFT JOIN (
    SELECT DISTINCT ON (c.id) c.id, c.confidence_score
    FROM depgraph_history.dependency_changes AS c
    WHERE c.xid >= pg_snapshot_xmax($1::text::pg_snapshot) OR c.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
    ORDER BY c.id, c.seq
) AS e ON e.id = i.id;
