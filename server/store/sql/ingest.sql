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
-- Take in the edges of a report of source $9, observed at $10, with granularity $12. Counts those found, created, updated (in more than
-- the time), renewed (in nothing but the time), left alone because they were observed after $10, and missed: made or deleted by others
-- meanwhile, so that all has to be repeated. What a report leaves out is NULL; `unknown` is left out, too, except for a new row. $11
-- proposes ids for new rows. `given` looks at what is stored without a lock: mostly there is nothing to do. `kept` locks what seems due
-- and reads its newest version, in key order against deadlocks. Of a row that was observed after the report, only what is unknown is
-- set. A confidence that is left out, or is what was reported before, is whole again once the row is observed later. Looked up and set
-- as in dependencies_by_keys and dependencies_upsert.
WITH given AS MATERIALIZED (
    SELECT
        COALESCE(seen.id, edge.id) AS id,
        source.id AS source_id,
        target.id AS target_id,
        edge.communication_mode,
        edge.criticality,
        edge.protocol,
        edge.timeout_ms,
        edge.retry_config::jsonb AS retry_config,
        edge.confidence_score,
        seen.id IS NULL AS is_new,
        COALESCE(seen.last_observed_at > $10, FALSE) AS is_late,
        seen.id IS NOT NULL AND (
            seen.last_observed_at <= $10 AND seen.is_stale
            OR seen.last_observed_at < $10 AND seen.last_observed_at + $12::interval <= $10
            OR (
                COALESCE(edge.communication_mode, seen.communication_mode),
                COALESCE(NULLIF(edge.criticality, 'unknown'), seen.criticality),
                COALESCE(edge.protocol, seen.protocol),
                COALESCE(edge.timeout_ms, seen.timeout_ms),
                COALESCE(edge.retry_config::jsonb, seen.retry_config)::text,
                COALESCE(edge.confidence_score, seen.reported_confidence, seen.confidence_score)
            ) IS DISTINCT FROM (
                seen.communication_mode, seen.criticality, seen.protocol, seen.timeout_ms, seen.retry_config::text,
                COALESCE(seen.reported_confidence, seen.confidence_score)
            )
        ) AS is_due
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::text[], $8::double precision[],
        $11::uuid[]
    ) AS edge (
        source_name, target_name, communication_mode, criticality, protocol, timeout_ms, retry_config, confidence_score,
        id
    )
    CROSS JOIN LATERAL (SELECT id FROM public.services WHERE service_id = edge.source_name LIMIT 1) AS source
    CROSS JOIN LATERAL (SELECT id FROM public.services WHERE service_id = edge.target_name LIMIT 1) AS target
    LEFT JOIN LATERAL (
        SELECT dependency.*
        FROM public.service_dependencies AS dependency
        WHERE dependency.source_service_id = source.id
            AND dependency.target_service_id = target.id
            AND dependency.discovery_source || '' = $9
        LIMIT 1
    ) AS seen ON TRUE
),
kept AS MATERIALIZED (
    SELECT
        found.*,
        found.last_observed_at > $10 AS is_late,
        found.last_observed_at > $10 OR found.last_observed_at = $10 AND COALESCE(
            wanted.confidence_score = COALESCE(found.reported_confidence, found.confidence_score), TRUE
        ) AS keeps_confidence
    FROM (
        SELECT id, confidence_score
        FROM given
        WHERE is_due
        ORDER BY source_id, target_id
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT dependency.*
        FROM public.service_dependencies AS dependency
        WHERE dependency.id = wanted.id
        LIMIT 1
        FOR NO KEY UPDATE
    ) AS found
),
compared AS MATERIALIZED (
    SELECT
        given.id,
        given.source_id,
        given.target_id,
        given.is_new,
        merged.*,
        kept.id AS kept_id,
        COALESCE(kept.is_late, FALSE) AS is_late,
        NOT given.is_new AND (
            merged.communication_mode, merged.criticality, merged.protocol, merged.timeout_ms,
            merged.retry_config::text, merged.confidence_score, merged.reported_confidence, merged.is_stale
        ) IS DISTINCT FROM (
            kept.communication_mode, kept.criticality, kept.protocol, kept.timeout_ms,
            kept.retry_config::text, kept.confidence_score, kept.reported_confidence, kept.is_stale
        ) AS is_changed,
        COALESCE(kept.last_observed_at < $10 AND kept.last_observed_at + $12::interval <= $10, FALSE) AS is_renewed
    FROM given
    LEFT JOIN kept ON kept.id = given.id
    CROSS JOIN LATERAL (
        SELECT
            COALESCE(
                CASE WHEN kept.is_late THEN NULLIF(kept.communication_mode, 'unknown') END,
                given.communication_mode,
                kept.communication_mode,
                'unknown'
            ) AS communication_mode,
            COALESCE(
                CASE WHEN kept.is_late THEN NULLIF(kept.criticality, 'unknown') END,
                NULLIF(given.criticality, 'unknown'),
                kept.criticality,
                given.criticality,
                'hard'
            ) AS criticality,
            COALESCE(CASE WHEN kept.is_late THEN kept.protocol END, given.protocol, kept.protocol) AS protocol,
            COALESCE(CASE WHEN kept.is_late THEN kept.timeout_ms END, given.timeout_ms, kept.timeout_ms) AS timeout_ms,
            COALESCE(
                CASE WHEN kept.is_late THEN kept.retry_config END, given.retry_config, kept.retry_config
            ) AS retry_config,
            CASE
                WHEN kept.keeps_confidence THEN kept.confidence_score
                ELSE COALESCE(given.confidence_score, kept.reported_confidence, kept.confidence_score, 1)
            END AS confidence_score,
            CASE WHEN kept.keeps_confidence THEN kept.reported_confidence END AS reported_confidence,
            greatest(kept.last_observed_at, $10::timestamptz) AS last_observed_at,
            COALESCE(kept.is_late AND kept.is_stale, FALSE) AS is_stale
    ) AS merged
    WHERE given.is_new OR given.is_due
),
written AS (
    INSERT INTO public.service_dependencies AS dependency (
        id, source_service_id, target_service_id, communication_mode, criticality, protocol, timeout_ms,
        retry_config, discovery_source, confidence_score, reported_confidence, last_observed_at, is_stale
    )
    SELECT
        id, source_id, target_id, communication_mode, criticality, protocol, timeout_ms,
        retry_config, $9, confidence_score, reported_confidence, last_observed_at, is_stale
    FROM compared
    WHERE (SELECT set_config('plan_cache_mode', 'auto', TRUE)) = 'auto'
        AND (SELECT set_config('depgraph.staleness', 'given', TRUE)) = 'given'
        AND (is_new OR kept_id IS NOT NULL AND (is_changed OR is_renewed))
    ORDER BY source_id, target_id
    ON CONFLICT (source_service_id, target_service_id, discovery_source) DO UPDATE SET
        communication_mode = excluded.communication_mode,
        criticality = excluded.criticality,
        protocol = excluded.protocol,
        timeout_ms = excluded.timeout_ms,
        retry_config = excluded.retry_config,
        confidence_score = excluded.confidence_score,
        reported_confidence = excluded.reported_confidence,
        last_observed_at = excluded.last_observed_at,
        is_stale = excluded.is_stale
    WHERE dependency.id = excluded.id
    RETURNING dependency.id
)
SELECT
    count(*) AS found,
    count(*) FILTER (WHERE given.is_new) AS created,
    count(*) FILTER (WHERE compared.is_changed) AS updated,
    count(*) FILTER (WHERE compared.is_renewed AND NOT compared.is_changed) AS renewed,
    count(*) FILTER (
        WHERE COALESCE(compared.is_late, given.is_late) AND NOT COALESCE(compared.is_changed, FALSE)
    ) AS late,
    count(*) FILTER (
        WHERE given.is_new AND written.id IS NULL OR given.is_due AND compared.kept_id IS NULL
    ) AS missed
FROM given
LEFT JOIN compared ON compared.id = given.id
LEFT JOIN written ON written.id = given.id;

-- name: ingest_policy_pairs
-- The pairs that policies of callees apply to, each once, with the values of the policy and its place: pairs that are not stale and that
-- another discovery source than $6 reports, or that $6 has seen at $7, give or take less than the granularity $8. A policy for a caller
-- ($2) goes before one for all. Callers wait where a policy counts: the mode is sync, but NULL where $6 knows it already. Two searches,
-- each by its index whatever the statistics say: OFFSET 0 keeps the planner from joins, and is_stale::integer from the index of all fresh
-- callers of a service.
WITH policy AS MATERIALIZED (
    SELECT
        given.*,
        target.id AS target_id,
        caller.id AS caller_id
    FROM unnest($1::text[], $2::text[], $3::integer[], $4::text[], $5::double precision[])
        WITH ORDINALITY AS given (target_name, source_name, timeout_ms, retry_config, confidence_score, place)
    CROSS JOIN LATERAL (SELECT id FROM public.services WHERE service_id = given.target_name LIMIT 1) AS target
    LEFT JOIN LATERAL (SELECT id FROM public.services WHERE service_id = given.source_name LIMIT 1) AS caller ON TRUE
),
pair AS (
    SELECT
        policy.*,
        found.*
    FROM policy
    CROSS JOIN LATERAL (
        SELECT
            dependency.source_service_id AS source_id,
            dependency.discovery_source,
            dependency.last_observed_at
        FROM public.service_dependencies AS dependency
        WHERE dependency.target_service_id = policy.target_id
            AND NOT dependency.is_stale
        OFFSET 0
    ) AS found
    WHERE policy.source_name IS NULL
    UNION ALL
    SELECT
        policy.*,
        found.*
    FROM policy
    CROSS JOIN LATERAL (
        SELECT
            dependency.source_service_id AS source_id,
            dependency.discovery_source,
            dependency.last_observed_at
        FROM public.service_dependencies AS dependency
        WHERE dependency.source_service_id = policy.caller_id
            AND dependency.target_service_id = policy.target_id
            AND dependency.is_stale::integer = 0
        OFFSET 0
    ) AS found
)
SELECT DISTINCT ON (pair.target_id, pair.source_id)
    source.service_id AS source_name,
    pair.target_name,
    CASE
        WHEN NOT EXISTS (
            SELECT
            FROM public.service_dependencies AS own
            WHERE own.source_service_id = pair.source_id
                AND own.target_service_id = pair.target_id
                AND own.discovery_source || '' = $6
                AND own.communication_mode <> 'unknown'
        ) THEN 'sync'
    END AS communication_mode,
    pair.timeout_ms,
    pair.retry_config,
    pair.confidence_score,
    pair.place
FROM pair
CROSS JOIN LATERAL (SELECT service_id FROM public.services WHERE id = pair.source_id LIMIT 1) AS source
WHERE pair.discovery_source <> $6
    OR pair.last_observed_at >= $7
    OR pair.last_observed_at > $7::timestamptz - $8::interval
ORDER BY pair.target_id, pair.source_id, pair.source_name IS NULL;

-- name: ingest_record
-- Remember when a discovery source last reported; a report that comes late does not move its observation time back.
INSERT INTO depgraph_feed.ingestions AS ingestion (discovery_source, observed_at, ingested_at)
VALUES ($1, $2, now())
ON CONFLICT (discovery_source) DO UPDATE SET
    observed_at = greatest(ingestion.observed_at, excluded.observed_at),
    ingested_at = excluded.ingested_at;
