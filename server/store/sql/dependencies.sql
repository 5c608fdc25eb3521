-- name: dependency_get
-- One dependency by its id, its ends as business names.
SELECT
    dependency.id,
    source.service_id AS source_name,
    target.service_id AS target_name,
    {dependency.dependency_attributes}
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
            OR source_service_id = COALESCE(
                (SELECT source.id FROM public.services AS source WHERE source.service_id = $3::text),
                (SELECT alias.service_id FROM public.service_aliases AS alias WHERE alias.alias = $3::text)
            )
        )
        AND (
            $4::text IS NULL
            OR target_service_id = COALESCE(
                (SELECT target.id FROM public.services AS target WHERE target.service_id = $4::text),
                (SELECT alias.service_id FROM public.service_aliases AS alias WHERE alias.alias = $4::text)
            )
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
    {page.dependency_attributes}
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
    WHERE dependency.id = ANY (ARRAY(SELECT outdated.id FROM outdated))
    RETURNING dependency.id
)
SELECT count(*) FROM marked;

-- name: dependencies_upsert
-- Create or replace many dependencies; a row for each one given, in order: as stored if it was written, NULL if it was there already just
-- as given (now locked, to be read by dependencies_by_keys). $1 proposes ids: a row is new exactly when it carries the one proposed; ends
-- are looked up as in dependencies_by_keys. The given ends and discovery source come with it; source_id and target_id where nothing was
-- written, NULL for ends that don't exist: nothing at all is written then. Written in key order, against deadlocks; compared as in
-- services_upsert. Setting plan_cache_mode is for the foreign keys, checked when all is written: this statement is planned for its own
-- number of rows, but to plan their queries anew for every row takes as long as the rest. depgraph.staleness: is_stale and
-- confidence_score count as given, see freshen_when_observed.
WITH given AS MATERIALIZED (
    SELECT
        draft.*,
        source.id AS source_id,
        target.id AS target_id
    FROM unnest($1::uuid[], {dependency_arrays})
        WITH ORDINALITY AS draft (id, {dependency_given}, place)
    LEFT JOIN LATERAL (
        SELECT id FROM public.services WHERE service_id = draft.source_service_id LIMIT 1
    ) AS source ON TRUE
    LEFT JOIN LATERAL (
        SELECT id FROM public.services WHERE service_id = draft.target_service_id LIMIT 1
    ) AS target ON TRUE
),
written AS (
    INSERT INTO public.service_dependencies AS dependency (
        id, source_service_id, target_service_id, discovery_source, {dependency_set}
    )
    SELECT id, source_id, target_id, discovery_source, {dependency_values}
    FROM given
    WHERE (SELECT set_config('plan_cache_mode', 'auto', TRUE)) = 'auto'
        AND (SELECT set_config('depgraph.staleness', 'given', TRUE)) = 'given'
        AND NOT EXISTS (SELECT FROM given AS other WHERE other.source_id IS NULL OR other.target_id IS NULL)
    ORDER BY source_id, target_id, discovery_source
    ON CONFLICT (source_service_id, target_service_id, discovery_source) DO UPDATE SET {excluded.dependency_replaced}
    WHERE ({dependency.dependency_images}) IS DISTINCT FROM ({excluded.dependency_images})
    RETURNING dependency.*
)
SELECT
    written.id,
    given.source_service_id AS source_name,
    given.target_service_id AS target_name,
    {written.dependency_attributes},
    written.id = given.id AS created,
    given.discovery_source AS given_source,
    CASE WHEN written.id IS NULL THEN given.source_id END AS source_id,
    CASE WHEN written.id IS NULL THEN given.target_id END AS target_id
FROM given
LEFT JOIN written
    ON written.source_service_id = given.source_id
    AND written.target_service_id = given.target_id
    AND written.discovery_source = given.discovery_source
ORDER BY given.place;

-- name: dependencies_by_keys
-- The dependencies with these row ids of source and target and these discovery sources, in order, without the names of
-- their ends. LIMIT and || '' leave the planner nothing but to look each row up by its ends: while statistics lag behind
-- a bulk load it takes a discovery source for rare, or a table for empty, and would read all those rows for each one wanted.
-- For the same reason an UPDATE finds its rows by = ANY (ARRAY(...)), not by a join.
SELECT found.id, {found.dependency_attributes}
FROM unnest($1::uuid[], $2::uuid[], $3::text[])
    WITH ORDINALITY AS wanted (source_id, target_id, discovery_source, place)
CROSS JOIN LATERAL (
    SELECT dependency.*
    FROM public.service_dependencies AS dependency
    WHERE dependency.source_service_id = wanted.source_id
        AND dependency.target_service_id = wanted.target_id
        AND dependency.discovery_source || '' = wanted.discovery_source
    LIMIT 1
) AS found
ORDER BY wanted.place;
