-- name: history_begin
-- Begin to read former rows in one snapshot. The locks come before it: TRUNCATE and table rewrites are not MVCC-safe. The timeout is shorter
-- than deadlock_timeout, so that a writer that truncates in another order goes on. Conditions differ with their parameters, and all rows are
-- fetched.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET LOCAL lock_timeout = '500ms';
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL cursor_tuple_fraction = 1;
LOCK TABLE public.services, public.service_dependencies, public.service_aliases, depgraph_history.service_changes,
    depgraph_history.dependency_changes, depgraph_history.alias_changes, depgraph_feed.change_log, depgraph_feed.alias_log
    IN ACCESS SHARE MODE;

-- name: history_mark_at
-- The last mark at or before a time, whether its lineage can be read, the oldest time that can, and what history is; one row in any case.
-- A lineage can be read by snapshots if it is the one that holds, and by time if only dumps were restored since.
WITH holding AS (SELECT depgraph_history.holding_lineage() AS id),
readable AS (
    SELECT l.id, l.id = h.id AS is_exact
    FROM depgraph_history.lineages AS l
    JOIN holding AS h ON h.id IS NOT NULL
    WHERE NOT EXISTS (SELECT FROM depgraph_history.lineages AS later WHERE later.id > l.id AND later.cause <> 'restored')
)
SELECT m.at, m.lineage, m.snapshot::text AS snapshot, m.feed_id,
    (SELECT min(n.at) FROM depgraph_history.marks AS n WHERE n.at > m.at) AS next_at,
    (SELECT r.is_exact FROM readable AS r WHERE r.id = m.lineage) AS is_exact,
    (SELECT min(o.at) FROM depgraph_history.marks AS o WHERE o.lineage IN (SELECT r.id FROM readable AS r)) AS oldest,
    (SELECT s.is_on FROM depgraph_history.switch AS s) AS is_on
FROM (SELECT) AS one_row
LEFT JOIN LATERAL (
    SELECT found.at, found.lineage, found.snapshot, found.feed_id
    FROM depgraph_history.marks AS found
    WHERE found.at <= $1
    ORDER BY found.at DESC
    LIMIT 1
) AS m ON true;

-- name: history_mark_before
-- The time of the last mark of the holding lineage that sees no more than a snapshot.
SELECT m.at
FROM depgraph_history.marks AS m
WHERE m.lineage = depgraph_history.holding_lineage()
    AND pg_snapshot_xmax(m.snapshot) <= pg_snapshot_xmax($1::text::pg_snapshot)
    AND NOT EXISTS (
        SELECT FROM pg_snapshot_xip($1::text::pg_snapshot) AS x (xid) WHERE pg_visible_in_snapshot(x.xid, m.snapshot)
    )
ORDER BY m.at DESC
LIMIT 1;

-- name: history_mark_of_snapshot
-- The time of the mark that is this very snapshot of a run of the database.
SELECT m.at
FROM depgraph_history.marks AS m
WHERE m.snapshot::text = $1 AND m.feed_id = $2
ORDER BY m.at DESC
LIMIT 1;

-- name: history_mark_after
-- The time of the first mark of the holding lineage that sees a transaction.
SELECT m.at
FROM depgraph_history.marks AS m
WHERE m.lineage = depgraph_history.holding_lineage()
    AND m.at > COALESCE(
        (
            SELECT unseeing.at
            FROM depgraph_history.marks AS unseeing
            WHERE NOT pg_visible_in_snapshot($1::text::xid8, unseeing.snapshot)
            ORDER BY unseeing.at DESC
            LIMIT 1
        ),
        '-infinity'
    )
ORDER BY m.at
LIMIT 1;

-- name: history_feed
-- Which run of the database this is, by its feed.
SELECT depgraph_history.origin() || ':' || i.id AS feed_id
FROM depgraph_feed.incarnation AS i
WHERE i.identity = depgraph_feed.identity();

-- name: history_since
-- Whether what changed since a snapshot of the feed is known, of which run of the database; it fixes this transaction's snapshot.
SELECT w.usable, depgraph_history.origin() || ':' || w.incarnation AS feed_id, w.snapshot
FROM depgraph_feed.whole_step($1::text::pg_snapshot, 0) AS w;

-- name: history_services
-- What services were before the first change after a snapshot, or after a time; not existed = there was none.
SELECT DISTINCT ON (e.id) e.existed, {e.service_row}
FROM (SELECT c.*, c.created_at AS updated_at FROM depgraph_history.service_changes AS c) AS e
WHERE (
        $2::timestamptz IS NULL
        AND (
            e.xid >= pg_snapshot_xmax($1::text::pg_snapshot)
            OR e.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
        )
    )
    OR e.at > $2
ORDER BY e.id, e.seq;

-- name: history_dependencies
-- What dependencies were, as history_services.
SELECT DISTINCT ON (e.id) e.existed, {e.dependency_row}
FROM (
    SELECT c.*, c.created_at AS updated_at, c.created_at AS last_observed_at FROM depgraph_history.dependency_changes AS c
) AS e
WHERE (
        $2::timestamptz IS NULL
        AND (
            e.xid >= pg_snapshot_xmax($1::text::pg_snapshot)
            OR e.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
        )
    )
    OR e.at > $2
ORDER BY e.id, e.seq;

-- name: history_aliases
-- What aliases were, as history_services.
SELECT DISTINCT ON (e.id) e.existed, e.id, e.alias, e.service_id, e.created_at
FROM depgraph_history.alias_changes AS e
WHERE (
        $2::timestamptz IS NULL
        AND (
            e.xid >= pg_snapshot_xmax($1::text::pg_snapshot)
            OR e.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
        )
    )
    OR e.at > $2
ORDER BY e.id, e.seq;

-- name: history_confidences
-- The reported confidences of dependencies that may have another one in a graph at a snapshot of the feed: those that have decayed, and
-- those that changed since.
SELECT d.id, COALESCE(d.reported_confidence, d.confidence_score) AS reported
FROM public.service_dependencies AS d
WHERE d.id IN (
    SELECT decayed.id
    FROM public.service_dependencies AS decayed
    WHERE decayed.reported_confidence IS NOT NULL
    UNION
    SELECT changed.id
    FROM depgraph_feed.all_changes($1::text::pg_snapshot) AS changed
    WHERE changed.source = 2
);

-- name: history_switch
-- Switch the history on or off, if it is not.
SELECT depgraph_history.set_switch($1);

-- name: history_mark
-- Mark this moment if something changed; returns what was done.
SELECT depgraph_history.mark();

-- name: history_prune
-- Remove one batch of what is older than that; returns how many entries.
SELECT depgraph_history.prune($1, $2);

-- name: history_ended
-- How many lineages have begun within an hour because something was not noted.
SELECT count(*)
FROM depgraph_history.lineages AS l
WHERE l.cause = 'holes' AND l.began_at > clock_timestamp() - interval '1 hour';

-- name: history_missing_triggers
-- The history triggers that are not in place.
SELECT m.table_name, m.trigger_name
FROM depgraph_history.missing_triggers() AS m;

-- name: history_install_triggers
-- Put the history triggers back; return each that was missing or altered, and what was done.
SELECT i.table_name, i.trigger_name, i.deed
FROM depgraph_history.install_triggers() AS i;

-- name: history_state
-- Whether history is on, how long the holding lineage goes back (NULL = none holds, or it has no mark yet), and how much there is: entries
-- as the statistics of PostgreSQL estimate them.
SELECT
    (SELECT s.is_on FROM depgraph_history.switch AS s) AS is_on,
    clock_timestamp() - (SELECT min(m.at) FROM depgraph_history.marks AS m WHERE m.lineage = h.id) AS oldest,
    (SELECT count(*) FROM depgraph_history.marks) AS marks,
    (
        SELECT COALESCE(sum(t.n_live_tup), 0)::bigint
        FROM pg_stat_all_tables AS t
        WHERE t.schemaname = 'depgraph_history' AND t.relname LIKE '%\_changes'
    ) AS entries,
    (
        SELECT sum(pg_total_relation_size(c.oid))::bigint
        FROM pg_class AS c
        WHERE c.relnamespace = 'depgraph_history'::regnamespace AND c.relkind = 'r'
    ) AS bytes
FROM (SELECT depgraph_history.holding_lineage() AS id) AS h;
