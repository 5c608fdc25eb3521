-- name: backend_pid
-- Which session of the server this is. Without semicolon, since COPY runs it: the one way to ask in a single message, and a pooler may give
-- each message another session.
SELECT pg_catalog.pg_backend_pid()

-- name: impose
-- Give the session our values, and the planner's settings that a role, database or pooler imposes their built-in values. Names that this
-- version of the server does not know are left out, as are those that the role may not set.
SELECT pg_catalog.set_config(s.name, coalesce(w.value, s.boot_val), false)
FROM pg_catalog.pg_settings AS s
LEFT JOIN (VALUES {wanted}) AS w (name, value) ON w.name = s.name
WHERE
    (s.context = 'user' OR pg_catalog.current_setting('is_superuser') = 'on')
    AND (
        w.name IS NOT NULL
        OR (
            s.context = 'user'
            AND s.source IN ('global', 'database', 'user', 'database user', 'session')
            AND (
                s.name ~ '^(enable|geqo|jit|min_parallel)_'
                OR s.name ~ '^(seq_page|random_page|cpu_tuple|cpu_index_tuple|cpu_operator|parallel_setup|parallel_tuple)_cost$'
                OR s.name ~ '^(geqo|cursor_tuple_fraction|constraint_exclusion|from_collapse_limit|join_collapse_limit)$'
                OR s.name ~ '^(effective_cache_size|recursive_worktable_factor|debug_parallel_query|force_parallel_mode)$'
            )
        )
    );

-- name: notice_lost_clients
-- Look once a second, while a statement runs, whether the client is still there. A server on a platform without a way to look refuses.
DO $$
BEGIN
    PERFORM pg_catalog.set_config('client_connection_check_interval', '1s', false);
EXCEPTION WHEN invalid_parameter_value OR undefined_object THEN
    NULL;
END
$$;

-- name: imposed
-- What a role or database imposes on this session and nothing of ours has replaced.
SELECT name, setting, source
FROM pg_catalog.pg_settings
WHERE source IN ('global', 'database', 'user', 'database user') AND setting IS DISTINCT FROM boot_val
ORDER BY name;

-- name: row_security_policies
-- Tables of ours whose policies hold for this role.
SELECT c.relname
FROM pg_catalog.pg_class AS c
WHERE
    c.oid IN (
        pg_catalog.to_regclass('public.services'),
        pg_catalog.to_regclass('public.service_dependencies'),
        pg_catalog.to_regclass('public.circular_dependency_alerts')
    )
    AND pg_catalog.row_security_active(c.oid)
ORDER BY c.relname;
