-- name: ingest_create_services
-- Add the services of a report that are not there yet, as discovered, with the ids $6; returns how many.
WITH created AS (
    INSERT INTO public.services (id, service_id, metadata, criticality, team, kind, discovered)
    SELECT
        node.id,
        node.service_id,
        COALESCE(node.metadata::jsonb, '{}'),
        COALESCE(node.criticality, 'medium'),
        node.team,
        COALESCE(node.kind, 'service'),
        TRUE
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::uuid[])
        AS node (service_id, metadata, criticality, team, kind, id)
    ORDER BY node.service_id COLLATE "C"
    ON CONFLICT (service_id) DO NOTHING
    RETURNING id
)
SELECT count(*) FROM created;

-- name: ingest_update_services
-- Set what a report knows of discovered services; returns the names of those, and of services made by a person that it would change.
-- Looked up as in dependencies_by_keys; written by ON CONFLICT, which finds each row by its name: all exist, and are locked.
WITH differing AS MATERIALIZED (
    SELECT
        service.id,
        service.service_id,
        service.discovered,
        COALESCE(node.metadata::jsonb, service.metadata) AS metadata,
        COALESCE(node.criticality, service.criticality) AS criticality,
        COALESCE(node.team, service.team) AS team,
        COALESCE(node.kind, service.kind) AS kind
    FROM (
        SELECT
            service_id,
            metadata,
            NULLIF(criticality, 'unknown') AS criticality,
            team,
            kind
        FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
            AS given (service_id, metadata, criticality, team, kind)
        ORDER BY service_id COLLATE "C"
    ) AS node
    CROSS JOIN LATERAL (
        SELECT known.*
        FROM public.services AS known
        WHERE known.service_id = node.service_id
            AND (
                node.metadata::jsonb::text <> known.metadata::text
                OR node.criticality <> known.criticality
                OR (node.team IS NOT NULL AND node.team IS DISTINCT FROM known.team)
                OR node.kind <> known.kind
            )
        LIMIT 1
        FOR NO KEY UPDATE
    ) AS service
),
updated AS (
    INSERT INTO public.services (id, service_id, metadata, criticality, team, kind)
    SELECT id, service_id, metadata, criticality, team, kind
    FROM differing
    WHERE discovered
    ON CONFLICT (service_id) DO UPDATE SET
        metadata = excluded.metadata,
        criticality = excluded.criticality,
        team = excluded.team,
        kind = excluded.kind
)
SELECT differing.service_id, differing.discovered
FROM differing
ORDER BY differing.service_id COLLATE "C";

-- name: ingest_edges
-- Take in the edges of a report of source $9, observed at $10; counts those found, created, unchanged but for the time, and reported
-- late. Seen again means not stale any more. A report that comes late says nothing about an edge that was observed after it. $11 proposes
-- ids: a row is new exactly when it carries the one proposed. `kept` locks what exists and reads its newest version, in key order against
-- deadlocks: the counts need what was there before. Comparisons and settings as in dependencies_upsert, all looked up as in
-- dependencies_by_keys.
WITH given AS MATERIALIZED (
    SELECT
        edge.id,
        source.id AS source_id,
        target.id AS target_id,
        COALESCE(edge.communication_mode, 'unknown') AS communication_mode,
        COALESCE(edge.criticality, 'hard') AS criticality,
        edge.protocol,
        edge.timeout_ms,
        edge.retry_config::jsonb AS retry_config,
        COALESCE(edge.confidence_score, 1) AS confidence_score
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::double precision[],
        $11::uuid[]
    ) AS edge (
        source_name, target_name, communication_mode, criticality, protocol, timeout_ms, retry_config, confidence_score,
        id
    )
    CROSS JOIN LATERAL (SELECT id FROM public.services WHERE service_id = edge.source_name LIMIT 1) AS source
    CROSS JOIN LATERAL (SELECT id FROM public.services WHERE service_id = edge.target_name LIMIT 1) AS target
),
kept AS MATERIALIZED (
    SELECT found.*
    FROM (
        SELECT source_id, target_id
        FROM given
        ORDER BY source_id, target_id
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT dependency.*
        FROM public.service_dependencies AS dependency
        WHERE dependency.source_service_id = wanted.source_id
            AND dependency.target_service_id = wanted.target_id
            AND dependency.discovery_source || '' = $9
        LIMIT 1
        FOR NO KEY UPDATE
    ) AS found
),
compared AS MATERIALIZED (
    SELECT
        given.*,
        kept.id IS NOT NULL AND (
            kept.communication_mode, kept.criticality, kept.protocol, kept.timeout_ms,
            kept.retry_config::text, kept.confidence_score, kept.is_stale
        ) IS NOT DISTINCT FROM (
            given.communication_mode, given.criticality, given.protocol, given.timeout_ms,
            given.retry_config::text, given.confidence_score, FALSE
        ) AS unchanged,
        COALESCE(kept.last_observed_at >= $10, FALSE) AS is_known,
        COALESCE(kept.last_observed_at > $10, FALSE) AS is_late
    FROM given
    LEFT JOIN kept
        ON kept.source_service_id = given.source_id
        AND kept.target_service_id = given.target_id
),
written AS (
    INSERT INTO public.service_dependencies AS dependency (
        id, source_service_id, target_service_id, communication_mode, criticality, protocol, timeout_ms,
        retry_config, discovery_source, confidence_score, last_observed_at, is_stale
    )
    SELECT
        id, source_id, target_id, communication_mode, criticality, protocol, timeout_ms,
        retry_config, $9, confidence_score, $10::timestamptz, FALSE
    FROM compared
    WHERE (SELECT set_config('plan_cache_mode', 'auto', TRUE)) = 'auto'
        AND (SELECT set_config('depgraph.staleness', 'given', TRUE)) = 'given'
        AND NOT (is_late OR unchanged AND is_known)
    ORDER BY source_id, target_id
    ON CONFLICT (source_service_id, target_service_id, discovery_source) DO UPDATE SET
        communication_mode = excluded.communication_mode,
        criticality = excluded.criticality,
        protocol = excluded.protocol,
        timeout_ms = excluded.timeout_ms,
        retry_config = excluded.retry_config,
        confidence_score = excluded.confidence_score,
        last_observed_at = excluded.last_observed_at,
        is_stale = FALSE
    WHERE dependency.last_observed_at <= excluded.last_observed_at
    RETURNING dependency.id
)
SELECT
    count(*) AS found,
    count(written.id) AS created,
    count(*) FILTER (WHERE compared.unchanged OR compared.is_late) AS unchanged,
    count(*) FILTER (WHERE compared.is_late) AS late
FROM compared
LEFT JOIN written ON written.id = compared.id;

-- name: ingest_record
-- Remember when a discovery source last reported; a report that comes late does not move its observation time back.
INSERT INTO depgraph_feed.ingestions AS ingestion (discovery_source, observed_at, ingested_at)
VALUES ($1, $2, now())
ON CONFLICT (discovery_source) DO UPDATE SET
    observed_at = greatest(ingestion.observed_at, excluded.observed_at),
    ingested_at = excluded.ingested_at;
