-- name: merge_lock_aliases
-- Lock the aliases of the service named $1. First of all: whoever writes by an alias has locked it before services and dependencies.
SELECT alias.id
FROM public.service_aliases AS alias
WHERE alias.service_id = (SELECT service.id FROM public.services AS service WHERE service.service_id = $1::text)
ORDER BY alias.alias
FOR UPDATE;

-- name: merge_lock_services
-- Lock the services named $1, in key order against deadlocks, as services_upsert does; their ids and names.
SELECT service.id, service.service_id
FROM public.services AS service
WHERE service.service_id = ANY ($1::text[])
ORDER BY service.service_id COLLATE "C"
FOR NO KEY UPDATE;

-- name: merge_close
-- Keep writers from giving the service $1 more dependencies or aliases: they refer to it, and wait.
SELECT id
FROM public.services
WHERE id = $1
FOR UPDATE;

-- name: merge_lock_dependencies
-- Lock the dependencies of the service $1, and those of $2 with which they will be one, in key order against deadlocks. Looked up
-- as in dependencies_by_keys.
WITH locked AS MATERIALIZED (
    SELECT dependency.id
    FROM public.service_dependencies AS dependency
    WHERE dependency.id = ANY (
            ARRAY(
                SELECT own.id
                FROM public.service_dependencies AS own
                WHERE own.source_service_id = $1 OR own.target_service_id = $1
                UNION ALL
                SELECT kept.id
                FROM public.service_dependencies AS own
                CROSS JOIN LATERAL (
                    SELECT parallel.id
                    FROM public.service_dependencies AS parallel
                    WHERE parallel.source_service_id = CASE own.source_service_id WHEN $1 THEN $2 ELSE own.source_service_id END
                        AND parallel.target_service_id = CASE own.target_service_id WHEN $1 THEN $2 ELSE own.target_service_id END
                        AND parallel.discovery_source || '' = own.discovery_source
                    LIMIT 1
                ) AS kept
                WHERE own.source_service_id = $1 OR own.target_service_id = $1
            )
        )
    ORDER BY dependency.source_service_id, dependency.target_service_id, dependency.discovery_source
    FOR UPDATE
)
SELECT count(*) FROM locked;

-- name: merge_drop_self_calls
-- Remove the calls between the services $1 and $2; returns how many.
WITH dropped AS (
    DELETE FROM public.service_dependencies
    WHERE (source_service_id = $1 AND target_service_id = $2)
        OR (source_service_id = $2 AND target_service_id = $1)
    RETURNING id
)
SELECT count(*) FROM dropped;

-- name: merge_parallel
-- Make each dependency of the service $1 and the one that $2 has of the same other end, direction and discovery source one, as effective
-- dependencies are made (server/wire/effective.py): known before unknown, then fresh before stale, higher confidence, observed later. The
-- row of $2 stays; returns how many went. depgraph.staleness: a decayed confidence goes over with what was reported, see
-- freshen_when_observed. Looked up as in dependencies_by_keys. Written by ON CONFLICT, which finds each row by its id: all exist, and are
-- locked. An UPDATE that joins them might read all pairs for each row.
WITH paired AS MATERIALIZED (
    SELECT
        own.id AS own_id,
        kept.id AS kept_id,
        kept.source_service_id,
        kept.target_service_id,
        kept.discovery_source,
        CASE WHEN said.leads THEN kept.stored ELSE own END AS lead,
        CASE WHEN said.leads THEN own ELSE kept.stored END AS other
    FROM public.service_dependencies AS own
    CROSS JOIN LATERAL (
        SELECT parallel.*, parallel AS stored
        FROM public.service_dependencies AS parallel
        WHERE parallel.source_service_id = CASE own.source_service_id WHEN $1 THEN $2 ELSE own.source_service_id END
            AND parallel.target_service_id = CASE own.target_service_id WHEN $1 THEN $2 ELSE own.target_service_id END
            AND parallel.discovery_source || '' = own.discovery_source
        LIMIT 1
    ) AS kept
    CROSS JOIN LATERAL (
        SELECT
            (kept.is_stale, own.confidence_score, own.last_observed_at, kept.id)
            < (own.is_stale, kept.confidence_score, kept.last_observed_at, own.id) AS leads
    ) AS said
    WHERE own.source_service_id = $1 OR own.target_service_id = $1
),
removed AS (
    DELETE FROM public.service_dependencies
    WHERE id = ANY (ARRAY(SELECT paired.own_id FROM paired))
),
written AS (
    INSERT INTO public.service_dependencies AS dependency (
        id, source_service_id, target_service_id, communication_mode, criticality, protocol, timeout_ms,
        retry_config, discovery_source, confidence_score, reported_confidence, last_observed_at, is_stale
    )
    SELECT
        kept_id,
        source_service_id,
        target_service_id,
        COALESCE(NULLIF((lead).communication_mode, 'unknown'), (other).communication_mode),
        COALESCE(NULLIF((lead).criticality, 'unknown'), (other).criticality),
        COALESCE((lead).protocol, (other).protocol),
        COALESCE((lead).timeout_ms, (other).timeout_ms),
        COALESCE((lead).retry_config, (other).retry_config),
        discovery_source,
        (lead).confidence_score,
        (lead).reported_confidence,
        greatest((lead).last_observed_at, (other).last_observed_at),
        (lead).is_stale
    FROM paired
    WHERE (SELECT set_config('depgraph.staleness', 'swept', TRUE)) = 'swept'
    ON CONFLICT (id) DO UPDATE SET
        communication_mode = excluded.communication_mode,
        criticality = excluded.criticality,
        protocol = excluded.protocol,
        timeout_ms = excluded.timeout_ms,
        retry_config = excluded.retry_config,
        confidence_score = excluded.confidence_score,
        reported_confidence = excluded.reported_confidence,
        last_observed_at = excluded.last_observed_at,
        is_stale = excluded.is_stale
)
SELECT count(*) FROM paired;

-- name: merge_move
-- Make what is left of the dependencies of the service $1 those of $2; returns how many.
WITH moved AS (
    UPDATE public.service_dependencies
    SET
        source_service_id = CASE source_service_id WHEN $1 THEN $2 ELSE source_service_id END,
        target_service_id = CASE target_service_id WHEN $1 THEN $2 ELSE target_service_id END
    WHERE source_service_id = $1 OR target_service_id = $1
    RETURNING id
)
SELECT count(*) FROM moved;

-- name: merge_move_aliases
-- Give the aliases of the service $1 to $2; returns how many.
WITH moved AS (
    UPDATE public.service_aliases
    SET service_id = $2
    WHERE service_id = $1
    RETURNING id
)
SELECT count(*) FROM moved;

-- name: merge_services
-- Let the service $2 take from $1 what it does not know, and from a service that a person made, if it was only discovered, all that is
-- known there.
WITH said AS MATERIALIZED (
    SELECT
        CASE WHEN own.discovered OR NOT kept.discovered THEN kept ELSE own END AS lead,
        CASE WHEN own.discovered OR NOT kept.discovered THEN own ELSE kept END AS other
    FROM public.services AS own
    CROSS JOIN public.services AS kept
    WHERE own.id = $1 AND kept.id = $2
)
UPDATE public.services AS service
SET
    metadata = (said.other).metadata || (said.lead).metadata,
    criticality = COALESCE(NULLIF((said.lead).criticality, 'unknown'), (said.other).criticality),
    team = COALESCE((said.lead).team, (said.other).team),
    kind = COALESCE(NULLIF((said.lead).kind, 'service'), (said.other).kind),
    discovered = (said.lead).discovered AND (said.other).discovered
FROM said
WHERE service.id = $2
RETURNING {service.service_row};

-- name: merge_remove
-- Remove the service $1; returns its name.
DELETE FROM public.services
WHERE id = $1
RETURNING service_id;

-- name: merge_alias
-- Give the name $1, which no service has any more, to the service $2 as an alias.
INSERT INTO public.service_aliases (alias, service_id)
VALUES ($1, $2);
