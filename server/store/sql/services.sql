-- name: service_get
-- One service by name ($1) or row id ($2); the other is NULL.
SELECT
    id,
    service_id,
    metadata::text,
    criticality,
    team,
    discovered,
    created_at,
    updated_at
FROM public.services
WHERE service_id = $1::text
    OR id = $2::uuid;

-- name: services_page
-- Newest first, after the key ($1, $2); NULL filters ($3 team, $4 criticality, $5 discovered) match all.
-- The first page starts from infinity rather than dropping the condition, so that every page is one index range.
SELECT
    id,
    service_id,
    metadata::text,
    criticality,
    team,
    discovered,
    created_at,
    updated_at
FROM public.services
WHERE (created_at, id) < (
        COALESCE($1::timestamptz, 'infinity'),
        COALESCE($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    )
    AND ($3::text IS NULL OR team = $3::text)
    AND ($4::text IS NULL OR criticality = $4::text)
    AND ($5::boolean IS NULL OR discovered = $5::boolean)
ORDER BY created_at DESC, id DESC
LIMIT $6;

-- name: service_create
-- Add one service; no row comes back when the name is taken.
INSERT INTO public.services (service_id, metadata, criticality, team, discovered)
VALUES ($1, $2::text::jsonb, $3, $4, $5)
ON CONFLICT (service_id) DO NOTHING
RETURNING
    id,
    service_id,
    metadata::text,
    criticality,
    team,
    discovered,
    created_at,
    updated_at;

-- name: service_update
-- Set the columns named in $3 of the service with name $1 or row id $2; no row comes back when there is none.
UPDATE public.services
SET
    metadata = CASE WHEN 'metadata' = ANY($3::text[]) THEN $4::text::jsonb ELSE metadata END,
    criticality = CASE WHEN 'criticality' = ANY($3::text[]) THEN $5 ELSE criticality END,
    team = CASE WHEN 'team' = ANY($3::text[]) THEN $6 ELSE team END,
    discovered = CASE WHEN 'discovered' = ANY($3::text[]) THEN $7 ELSE discovered END
WHERE service_id = $1::text
    OR id = $2::uuid
RETURNING
    id,
    service_id,
    metadata::text,
    criticality,
    team,
    discovered,
    created_at,
    updated_at;

-- name: service_delete
-- Remove the service with name $1 or row id $2, and its dependencies by cascade; returns its id.
DELETE FROM public.services
WHERE service_id = $1::text
    OR id = $2::uuid
RETURNING id;

-- name: services_upsert
-- Create or replace many services; rows in the order given, each with whether it is new.
-- A row is new exactly when it carries the id proposed for it ($6). `kept` locks what exists and reads its newest version,
-- in key order against deadlocks; rows that would not change are not written again. Compared as text, like the
-- trigger that keeps updated_at: 1 and 1.0 are equal as jsonb, yet not the same to a reader.
WITH given AS MATERIALIZED (
    SELECT
        draft.id,
        draft.service_id,
        draft.metadata::jsonb AS metadata,
        draft.criticality,
        draft.team,
        draft.discovered,
        draft.place
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::uuid[])
        WITH ORDINALITY AS draft (service_id, metadata, criticality, team, discovered, id, place)
),
kept AS MATERIALIZED (
    SELECT services.*
    FROM public.services
    INNER JOIN given ON services.service_id = given.service_id
    ORDER BY services.service_id COLLATE "C"
    FOR NO KEY UPDATE OF services
),
compared AS MATERIALIZED (
    SELECT
        given.*,
        kept.id AS kept_id,
        kept.id IS NOT NULL
        AND (kept.metadata::text, kept.criticality, kept.team, kept.discovered)
        IS NOT DISTINCT FROM (given.metadata::text, given.criticality, given.team, given.discovered) AS unchanged
    FROM given
    LEFT JOIN kept ON kept.service_id = given.service_id
),
written AS (
    INSERT INTO public.services AS service (id, service_id, metadata, criticality, team, discovered)
    SELECT
        id,
        service_id,
        metadata,
        criticality,
        team,
        discovered
    FROM compared
    WHERE NOT unchanged
    ORDER BY service_id COLLATE "C"
    ON CONFLICT (service_id) DO UPDATE SET
        metadata = excluded.metadata,
        criticality = excluded.criticality,
        team = excluded.team,
        discovered = excluded.discovered
    RETURNING service.*
),
stored AS (
    SELECT written.* FROM written
    UNION ALL
    SELECT kept.* FROM kept INNER JOIN compared ON compared.kept_id = kept.id WHERE compared.unchanged
)
SELECT
    stored.id,
    stored.service_id,
    stored.metadata::text,
    stored.criticality,
    stored.team,
    stored.discovered,
    stored.created_at,
    stored.updated_at,
    stored.id = given.id AS created
FROM given
INNER JOIN stored ON stored.service_id = given.service_id
ORDER BY given.place;
