-- name: removal_due_dependencies
-- Some stale dependencies of source $1 that were last observed before $2. || '' as in staleness_due_stale.
SELECT id
FROM public.service_dependencies
WHERE is_stale
    AND discovery_source || '' = $1
    AND last_observed_at < $2
LIMIT $3;

-- name: removal_dependencies
-- Remove those of $1 that are still due, see removal_due_dependencies; returns how many. Rows that another session writes at the moment
-- wait for the next sweep.
WITH due AS MATERIALIZED (
    SELECT id
    FROM public.service_dependencies
    WHERE id = ANY ($1::uuid[])
        AND is_stale
        AND discovery_source = $2
        AND last_observed_at < $3
    FOR UPDATE SKIP LOCKED
),
removed AS (
    DELETE FROM public.service_dependencies
    WHERE id = ANY (ARRAY(SELECT due.id FROM due))
    RETURNING id
)
SELECT count(*) FROM removed;

-- name: removal_due_services
-- Some discovered services that no writer has touched since $1, of which nothing is known but name and kind, and that no dependency has an
-- end at. A person may have set a criticality of one; medium is the default.
SELECT service.id
FROM public.services AS service
WHERE service.discovered
    AND service.created_at < $1
    AND service.updated_at < $1
    AND service.metadata = '{}'
    AND service.team IS NULL
    AND service.criticality IN ('medium', 'unknown')
    AND NOT EXISTS (
        SELECT FROM public.service_dependencies AS outgoing WHERE outgoing.source_service_id = service.id
    )
    AND NOT EXISTS (
        SELECT FROM public.service_dependencies AS incoming WHERE incoming.target_service_id = service.id
    )
    AND NOT EXISTS (SELECT FROM public.service_aliases AS alias WHERE alias.service_id = service.id)
LIMIT $2;

-- name: removal_lock_services
-- Lock those of $1 that no other session uses at the moment, until the transaction ends: no dependency or alias can get an end at them
-- meanwhile.
SELECT id
FROM public.services
WHERE id = ANY ($1::uuid[])
FOR UPDATE SKIP LOCKED;

-- name: removal_services
-- Remove those of $1, which are locked, that are still due, see removal_due_services; returns how many.
WITH removed AS (
    DELETE FROM public.services AS service
    WHERE service.id = ANY ($1::uuid[])
        AND service.discovered
        AND service.created_at < $2
        AND service.updated_at < $2
        AND service.metadata = '{}'
        AND service.team IS NULL
        AND service.criticality IN ('medium', 'unknown')
        AND NOT EXISTS (
            SELECT FROM public.service_dependencies AS outgoing WHERE outgoing.source_service_id = service.id
        )
        AND NOT EXISTS (
            SELECT FROM public.service_dependencies AS incoming WHERE incoming.target_service_id = service.id
        )
        AND NOT EXISTS (SELECT FROM public.service_aliases AS alias WHERE alias.service_id = service.id)
    RETURNING service.id
)
SELECT count(*) FROM removed;
