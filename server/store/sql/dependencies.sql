-- name: dependency_get
-- One dependency by its id, its ends as business names.
SELECT
    dependency.id,
    source.service_id AS source_name,
    target.service_id AS target_name,
    dependency.communication_mode,
    dependency.criticality,
    dependency.protocol,
    dependency.timeout_ms,
    dependency.retry_config::text,
    dependency.discovery_source,
    dependency.confidence_score,
    dependency.last_observed_at,
    dependency.is_stale,
    dependency.created_at,
    dependency.updated_at
FROM public.service_dependencies AS dependency
INNER JOIN public.services AS source ON source.id = dependency.source_service_id
INNER JOIN public.services AS target ON target.id = dependency.target_service_id
WHERE dependency.id = $1;

-- name: dependencies_page
-- Newest first, after the key ($1, $2); NULL filters ($3 source, $4 target, $5 discovery source) match all;
-- $6 = stale ones too.
-- The page is cut before names are looked up. A name that no service has becomes NULL and matches nothing.
WITH page AS (
    SELECT *
    FROM public.service_dependencies
    WHERE (created_at, id) < (
            COALESCE($1::timestamptz, 'infinity'),
            COALESCE($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        )
        AND (
            $3::text IS NULL
            OR source_service_id = (SELECT source.id FROM public.services AS source WHERE source.service_id = $3::text)
        )
        AND (
            $4::text IS NULL
            OR target_service_id = (SELECT target.id FROM public.services AS target WHERE target.service_id = $4::text)
        )
        AND ($5::text IS NULL OR discovery_source = $5::text)
        AND ($6::boolean OR NOT is_stale)
    ORDER BY created_at DESC, id DESC
    LIMIT $7
)
SELECT
    page.id,
    source.service_id AS source_name,
    target.service_id AS target_name,
    page.communication_mode,
    page.criticality,
    page.protocol,
    page.timeout_ms,
    page.retry_config::text,
    page.discovery_source,
    page.confidence_score,
    page.last_observed_at,
    page.is_stale,
    page.created_at,
    page.updated_at
FROM page
INNER JOIN public.services AS source ON source.id = page.source_service_id
INNER JOIN public.services AS target ON target.id = page.target_service_id
ORDER BY page.created_at DESC, page.id DESC;

-- name: dependencies_adjacency
-- Every service with the distinct names of what it calls, sorted by code point; $1 = stale dependencies too.
SELECT
    source.service_id,
    COALESCE(
        array_agg(DISTINCT target.service_id::text COLLATE "C") FILTER (WHERE target.id IS NOT NULL),
        '{}'
    ) AS target_names
FROM public.services AS source
LEFT JOIN public.service_dependencies AS dependency
    ON dependency.source_service_id = source.id
    AND ($1::boolean OR NOT dependency.is_stale)
LEFT JOIN public.services AS target ON target.id = dependency.target_service_id
GROUP BY source.id
ORDER BY source.service_id COLLATE "C";

-- name: dependency_delete
-- Remove one dependency; returns its id.
DELETE FROM public.service_dependencies
WHERE id = $1
RETURNING id;

-- name: dependencies_mark_stale
-- Mark what was last observed before $1, of one discovery source ($2) or all (NULL); returns how many were fresh.
WITH outdated AS (
    SELECT id
    FROM public.service_dependencies
    WHERE NOT is_stale
        AND last_observed_at < $1
        AND ($2::text IS NULL OR discovery_source = $2::text)
    ORDER BY source_service_id, target_service_id, discovery_source
    FOR NO KEY UPDATE
),
marked AS (
    UPDATE public.service_dependencies AS dependency
    SET is_stale = TRUE
    FROM outdated
    WHERE dependency.id = outdated.id
    RETURNING dependency.id
)
SELECT count(*) FROM marked;

-- name: dependencies_upsert
-- Create or replace many dependencies; one row for each given, in order, with whether it is new and its ends exist.
-- Nothing is written unless all ends exist. New rows, locks and comparisons work as in services_upsert. The LIMIT makes the planner
-- look each row up by its key; while statistics lag behind a bulk load it would rather read every row of the discovery source.
WITH given AS MATERIALIZED (
    SELECT
        gen_random_uuid() AS id,
        source.id AS source_id,
        target.id AS target_id,
        draft.source_name,
        draft.target_name,
        draft.communication_mode,
        draft.criticality,
        draft.protocol,
        draft.timeout_ms,
        draft.retry_config::jsonb AS retry_config,
        draft.discovery_source,
        draft.confidence_score,
        COALESCE(draft.last_observed_at, now()) AS last_observed_at,
        draft.is_stale,
        draft.place
    FROM unnest(
        $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[],
        $7::text[], $8::text[], $9::double precision[], $10::timestamptz[], $11::boolean[]
    ) WITH ORDINALITY AS draft (
        source_name, target_name, communication_mode, criticality, protocol, timeout_ms,
        retry_config, discovery_source, confidence_score, last_observed_at, is_stale, place
    )
    LEFT JOIN public.services AS source ON source.service_id = draft.source_name
    LEFT JOIN public.services AS target ON target.service_id = draft.target_name
),
writable AS MATERIALIZED (
    SELECT given.*
    FROM given
    WHERE NOT EXISTS (SELECT FROM given AS other WHERE other.source_id IS NULL OR other.target_id IS NULL)
),
kept AS MATERIALIZED (
    SELECT found.*
    FROM (
        SELECT source_id, target_id, discovery_source
        FROM writable
        ORDER BY source_id, target_id, discovery_source
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT dependency.*
        FROM public.service_dependencies AS dependency
        WHERE dependency.source_service_id = wanted.source_id
            AND dependency.target_service_id = wanted.target_id
            AND dependency.discovery_source = wanted.discovery_source
        LIMIT 1
        FOR NO KEY UPDATE
    ) AS found
),
compared AS MATERIALIZED (
    SELECT
        writable.*,
        kept.id AS kept_id,
        kept.id IS NOT NULL AND (
            kept.communication_mode, kept.criticality, kept.protocol, kept.timeout_ms,
            kept.retry_config::text, kept.confidence_score, kept.last_observed_at, kept.is_stale
        ) IS NOT DISTINCT FROM (
            writable.communication_mode, writable.criticality, writable.protocol, writable.timeout_ms,
            writable.retry_config::text, writable.confidence_score, writable.last_observed_at, writable.is_stale
        ) AS unchanged
    FROM writable
    LEFT JOIN kept
        ON kept.source_service_id = writable.source_id
        AND kept.target_service_id = writable.target_id
        AND kept.discovery_source = writable.discovery_source
),
written AS (
    INSERT INTO public.service_dependencies AS dependency (
        id, source_service_id, target_service_id, communication_mode, criticality, protocol, timeout_ms,
        retry_config, discovery_source, confidence_score, last_observed_at, is_stale
    )
    SELECT
        id, source_id, target_id, communication_mode, criticality, protocol, timeout_ms,
        retry_config, discovery_source, confidence_score, last_observed_at, is_stale
    FROM compared
    WHERE NOT unchanged
    ORDER BY source_id, target_id, discovery_source
    ON CONFLICT (source_service_id, target_service_id, discovery_source) DO UPDATE SET
        communication_mode = excluded.communication_mode,
        criticality = excluded.criticality,
        protocol = excluded.protocol,
        timeout_ms = excluded.timeout_ms,
        retry_config = excluded.retry_config,
        confidence_score = excluded.confidence_score,
        last_observed_at = excluded.last_observed_at,
        is_stale = excluded.is_stale
    RETURNING dependency.*
),
stored AS (
    SELECT written.* FROM written
    UNION ALL
    SELECT kept.* FROM kept INNER JOIN compared ON compared.kept_id = kept.id WHERE compared.unchanged
)
SELECT
    stored.id,
    given.source_name,
    given.target_name,
    stored.communication_mode,
    stored.criticality,
    stored.protocol,
    stored.timeout_ms,
    stored.retry_config::text,
    stored.discovery_source,
    stored.confidence_score,
    stored.last_observed_at,
    stored.is_stale,
    stored.created_at,
    stored.updated_at,
    stored.id = given.id AS created,
    given.source_id IS NOT NULL AS source_exists,
    given.target_id IS NOT NULL AS target_exists
FROM given
LEFT JOIN stored
    ON stored.source_service_id = given.source_id
    AND stored.target_service_id = given.target_id
    AND stored.discovery_source = given.discovery_source
ORDER BY given.place;
