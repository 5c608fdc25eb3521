-- name: is_standby
-- Whether this server is a standby.
SELECT pg_is_in_recovery();

-- name: broken_triggers
-- The feed triggers that are not in place, with how they fire now (NULL = they do not exist).
SELECT m.table_name, m.trigger_name, t.tgenabled::text AS fires
FROM depgraph_feed.missing_triggers() AS m
LEFT JOIN pg_trigger AS t
    ON t.tgrelid = format('public.%I', m.table_name)::regclass AND t.tgname = m.trigger_name;

-- name: install_triggers
-- Put the feed triggers back; return each that was missing or altered, and what was done.
SELECT table_name, trigger_name, deed
FROM depgraph_feed.install_triggers();

-- name: notify_switched_off
-- The roles for which notifications are switched off (NULL = all roles).
SELECT r.rolname
FROM pg_db_role_setting AS s
LEFT JOIN pg_roles AS r ON r.oid = s.setrole
WHERE 'depgraph.notify=off' = ANY (s.setconfig)
    AND s.setdatabase IN (0, (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()));

-- name: log_state
-- The size of the change logs in bytes, the least age of its oldest row (NULL = younger than every
-- pruning), and the time since any replica last pruned (NULL = never).
SELECT
    pg_total_relation_size('depgraph_feed.change_log') + pg_total_relation_size('depgraph_feed.alias_log') AS bytes,
    (
        SELECT now() - min(m.at)
        FROM depgraph_feed.prune_mark AS m
        WHERE pg_visible_in_snapshot((SELECT l.xid FROM depgraph_feed.change_log AS l ORDER BY l.xid LIMIT 1), m.snapshot)
    ) AS oldest,
    (SELECT now() - max(m.at) FROM depgraph_feed.prune_mark AS m) AS last_pruned;

-- name: long_transactions
-- Transactions open for longer than a bound, oldest first.
SELECT a.pid, a.usename, a.application_name, a.state, now() - a.xact_start AS age
FROM pg_stat_activity AS a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.xact_start < now() - $1::interval
ORDER BY a.xact_start;

-- name: prepared_transactions
-- Prepared transactions (two-phase commit) that have not ended, oldest first.
SELECT p.gid, p.owner, now() - p.prepared AS age
FROM pg_prepared_xacts AS p
WHERE p.database = current_database()
ORDER BY p.prepared;

-- name: orphans
-- Some of the dependencies that can't join the graph, and the number of all: a service is missing, or
-- the service calls itself.
SELECT d.id, s.id IS NULL AS lacks_source, t.id IS NULL AS lacks_target, count(*) OVER () AS total
FROM public.service_dependencies AS d
LEFT JOIN public.services AS s ON s.id = d.source_service_id
LEFT JOIN public.services AS t ON t.id = d.target_service_id
WHERE s.id IS NULL OR t.id IS NULL OR d.source_service_id = d.target_service_id
LIMIT $1;

-- name: alias_faults
-- Some of the aliases whose service is missing, or that a service has as its own name, and the number of all.
SELECT a.alias, s.id IS NULL AS lacks_service, count(*) OVER () AS total
FROM public.service_aliases AS a
LEFT JOIN public.services AS s ON s.id = a.service_id
LEFT JOIN public.services AS namesake ON namesake.service_id = a.alias
WHERE s.id IS NULL OR namesake.id IS NOT NULL
ORDER BY a.alias
LIMIT $1;

-- name: revision
-- A revision that stands for everything committed until now.
SELECT depgraph_feed.revision();
