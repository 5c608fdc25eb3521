-- name: begin
-- Begin a step. The locks come before the snapshot: TRUNCATE and table rewrites are not MVCC-safe.
-- A TRUNCATE that commits between snapshot and SELECT would show an empty table, or an empty log.
-- ACCESS SHARE conflicts only with TRUNCATE and DDL.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
LOCK TABLE public.services, public.service_dependencies, public.service_aliases, depgraph_feed.change_log, depgraph_feed.alias_log
    IN ACCESS SHARE MODE;

-- name: commit
-- End a step.
COMMIT;

-- name: rollback
-- End a step that failed.
ROLLBACK;

-- name: open
-- The feed's id: which database this is, and its present incarnation.
SELECT depgraph_feed.open();

-- name: changed_at
-- The snapshot that noticed a change of tables, triggers or functions; NULL = they have not changed.
SELECT (SELECT i.changed_at::text FROM depgraph_feed.incarnation AS i) AS changed_at;

-- name: take_over
-- End a former session of this feed, if the server still keeps it, and return this session.
SELECT own.pid, own.backend_start,
    (
        SELECT pg_terminate_backend(other.pid)
        FROM pg_stat_activity AS other
        WHERE other.pid = $1::integer AND other.backend_start = $2::timestamptz
    )
FROM pg_stat_activity AS own
WHERE own.pid = pg_backend_pid();

-- name: step
-- Fix the snapshot of a step, and return what is new since the last one.
SELECT snapshot, incarnation, usable, sources, ids, ingestions
FROM depgraph_feed.whole_step($1::text::pg_snapshot, $2);

-- name: hold_log
-- Keep the log from being pruned until this session releases it or ends.
SELECT pg_advisory_lock_shared(7203411, 4);

-- name: release_log
-- Let the log be pruned again.
SELECT pg_advisory_unlock_shared(7203411, 4);

-- name: change_count
-- How many keys have changed since a snapshot, and whether a table may have changed in any row.
SELECT count(*) AS rows, COALESCE(bool_or(id IS NULL), false) AS any_row
FROM depgraph_feed.all_changes($1::text::pg_snapshot);

-- name: changes
-- The keys that have changed since a snapshot.
SELECT source, id
FROM depgraph_feed.all_changes($1::text::pg_snapshot);

-- name: changes_gone
-- The changed keys whose rows no longer exist.
SELECT changed.source, changed.id
FROM depgraph_feed.all_changes($1::text::pg_snapshot) AS changed
WHERE
    NOT EXISTS (SELECT FROM public.services AS s WHERE s.id = changed.id AND changed.source = 1)
    AND NOT EXISTS (SELECT FROM public.service_dependencies AS d WHERE d.id = changed.id AND changed.source = 2)
    AND NOT EXISTS (SELECT FROM public.service_aliases AS a WHERE a.id = changed.id AND changed.source = 3)
ORDER BY changed.source;

-- name: dependencies_changed
-- The changed dependencies that exist, for COPY, which takes no parameters.
SELECT {d.dependency_row}
FROM depgraph_feed.all_changes('{since}'::pg_snapshot) AS changed
JOIN public.service_dependencies AS d ON d.id = changed.id
WHERE changed.source = 2;

-- name: services
-- All services.
SELECT {service_row}
FROM public.services;

-- name: services_by_id
-- Those services of these ids that exist.
SELECT {service_row}
FROM public.services
WHERE id = ANY ($1::uuid[]);

-- name: dependencies
-- All dependencies.
SELECT {dependency_row}
FROM public.service_dependencies;

-- name: dependencies_by_id
-- Those dependencies of these ids that exist.
SELECT {dependency_row}
FROM public.service_dependencies
WHERE id = ANY ($1::uuid[]);

-- name: aliases
-- All aliases.
SELECT id, alias, service_id, created_at
FROM public.service_aliases;

-- name: aliases_by_id
-- Those aliases of these ids that exist.
SELECT id, alias, service_id, created_at
FROM public.service_aliases
WHERE id = ANY ($1::uuid[]);

-- name: aliases_changed
-- The changed aliases that exist.
SELECT a.id, a.alias, a.service_id, a.created_at
FROM depgraph_feed.all_changes($1::text::pg_snapshot) AS changed
JOIN public.service_aliases AS a ON a.id = changed.id
WHERE changed.source = 3;

-- name: begin_history
-- Begin to read the log alone, in one snapshot; watchers see no aliases. The lock keeps TRUNCATE away until it is read.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
LOCK TABLE depgraph_feed.change_log IN ACCESS SHARE MODE;

-- name: history
-- The incarnation (NULL = no valid one), the snapshot that noticed the last change of tables, triggers
-- or functions, and whether the log still holds everything since a snapshot.
SELECT i.id AS incarnation, i.changed_at::text AS changed_at, depgraph_feed.covers_pruned($1::text::pg_snapshot) AS is_complete
FROM (SELECT) AS one_row
LEFT JOIN depgraph_feed.incarnation AS i ON i.identity = depgraph_feed.identity();

-- name: changes_until
-- Keys whose rows may differ between two snapshots. The caller's own snapshot must be later than both.
SELECT l.source, l.id
FROM depgraph_feed.change_log AS l
WHERE l.xid >= pg_snapshot_xmax($1::text::pg_snapshot) AND pg_visible_in_snapshot(l.xid, $2::text::pg_snapshot)
UNION
SELECT l.source, l.id
FROM depgraph_feed.change_log AS l
WHERE l.xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::text::pg_snapshot)))
    AND pg_visible_in_snapshot(l.xid, $2::text::pg_snapshot);

-- name: missing_triggers
-- The feed triggers that are not in place.
SELECT table_name, trigger_name
FROM depgraph_feed.missing_triggers();

-- name: table_faults
-- Faults of the three tables that hide rows, or let rows change without firing the triggers.
SELECT format('public.%s %s', wanted.name, fault.description) AS fault
FROM (VALUES ('services'), ('service_dependencies'), ('service_aliases')) AS wanted (name)
INNER JOIN pg_class AS c ON c.oid = to_regclass('public.' || wanted.name)
CROSS JOIN LATERAL (
    VALUES
    (c.relkind <> 'r', 'is not an ordinary table'),
    (EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhrelid = c.oid), 'is a partition or a child of another table'),
    (EXISTS (SELECT FROM pg_inherits AS i WHERE i.inhparent = c.oid), 'has partitions or child tables'),
    (row_security_active(c.oid), 'hides rows from this role by row security')
) AS fault (is_so, description)
WHERE fault.is_so
ORDER BY fault;

-- name: prune
-- Remove one batch of what no reader needs; returns how many rows.
SELECT depgraph_feed.prune($1, $2, $3);

-- name: unpruned_for
-- How long ago the log was last pruned by any process; NULL = no pruning is known.
SELECT depgraph_feed.undone_for('pruning');

-- name: log_rows
-- How many rows the change logs hold: counted while they are few, then as the planner estimates.
SELECT CASE
    WHEN counted.few <= 10000 THEN counted.few
    ELSE (
        SELECT greatest(sum(c.reltuples::bigint), counted.few)::bigint
        FROM pg_class AS c
        WHERE c.oid IN ('depgraph_feed.change_log'::regclass, 'depgraph_feed.alias_log'::regclass)
    )
END
FROM (
    SELECT count(*) AS few
    FROM (SELECT 1 FROM depgraph_feed.change_log UNION ALL SELECT 1 FROM depgraph_feed.alias_log LIMIT 10001) AS first_rows
) AS counted;

-- name: export_snapshot
-- Let another connection see what this transaction sees, for as long as it is open.
SELECT pg_export_snapshot();

-- name: import_snapshot
-- Begin a transaction with an exported snapshot, while the exporter still holds its locks. NOWAIT: the
-- feed waits for this session, so to queue behind a session that waits for the feed is a deadlock.
BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
SET TRANSACTION SNAPSHOT '{snapshot}';
LOCK TABLE public.services, public.service_dependencies, public.service_aliases IN ACCESS SHARE MODE NOWAIT;
