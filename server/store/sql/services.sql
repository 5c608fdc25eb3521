-- name: service_get
-- One service by name or alias ($1) or row id ($2); the other is NULL.
SELECT {service_row}
FROM public.services
WHERE id = COALESCE(
        $2::uuid,
        (SELECT named.id FROM public.services AS named WHERE named.service_id = $1::text),
        (SELECT alias.service_id FROM public.service_aliases AS alias WHERE alias.alias = $1::text)
    );

-- name: services_known
-- Those of the names $1 that services or aliases have.
SELECT service_id
FROM public.services
WHERE service_id = ANY($1::text[])
UNION ALL
SELECT alias
FROM public.service_aliases
WHERE alias = ANY($1::text[]);

-- name: services_page
-- Newest first, after the key ($1, $2). NULL filters match all: $3 team, $4 criticality, $5 discovered, $6 part of the
-- name or an alias in any case, which reads every row that the others leave, $7 kind.
-- The first page starts from infinity rather than dropping the condition, so that every page is one index range.
SELECT {service_row}
FROM public.services
WHERE (created_at, id) < (
        COALESCE($1::timestamptz, 'infinity'),
        COALESCE($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    )
    AND ($3::text IS NULL OR team = $3::text)
    AND ($4::text IS NULL OR criticality = $4::text)
    AND ($5::boolean IS NULL OR discovered = $5::boolean)
    AND (
        $6::text IS NULL
        OR position(lower($6::text) IN lower(service_id)) > 0
        OR id IN (
            SELECT alias.service_id
            FROM public.service_aliases AS alias
            WHERE position(lower($6::text) IN lower(alias.alias)) > 0
        )
    )
    AND ($7::text IS NULL OR kind = $7::text)
ORDER BY created_at DESC, id DESC
LIMIT $8;

-- name: service_create
-- Add one service with the id $1; no row comes back when a service has the name. A trigger refuses that of an alias.
INSERT INTO public.services (id, {service_given})
SELECT given.*
FROM unnest($1::uuid[], {service_arrays}) AS given
ON CONFLICT (service_id) DO NOTHING
RETURNING {service_row};

-- name: service_update
-- Set the columns named in $3 of the service with name or alias $1 or row id $2; no row comes back when there is none.
UPDATE public.services
SET {service_changed}
WHERE id = COALESCE(
        $2::uuid,
        (SELECT named.id FROM public.services AS named WHERE named.service_id = $1::text),
        (SELECT alias.service_id FROM public.service_aliases AS alias WHERE alias.alias = $1::text)
    )
RETURNING {service_row};

-- name: service_delete
-- Remove the service with name $1 or row id $2, and its dependencies by cascade; returns its id.
DELETE FROM public.services
WHERE service_id = $1::text
    OR id = $2::uuid
RETURNING id;

-- name: services_lock_names
-- Take the lock of names (see aliases_lock) before rows of services, as merges do: the trigger on new services takes it after them.
SELECT pg_advisory_xact_lock_shared(7203411, 8);

-- name: services_upsert
-- Create or replace many services; rows in the order given, each with whether it is new. A row is new exactly when it carries the id
-- proposed for it ($1). `kept` locks what exists and reads its newest version, in key order against deadlocks, looked up as in
-- dependencies_by_keys; rows that would not change are not written again. JSON is compared as text, like in the trigger that keeps
-- updated_at: 1 and 1.0 are equal as jsonb, yet not the same to a reader.
WITH given AS MATERIALIZED (
    SELECT draft.*
    FROM unnest($1::uuid[], {service_arrays})
        WITH ORDINALITY AS draft (id, {service_given}, place)
),
kept AS MATERIALIZED (
    SELECT found.*
    FROM (
        SELECT service_id
        FROM given
        ORDER BY service_id COLLATE "C"
    ) AS wanted
    CROSS JOIN LATERAL (
        SELECT service.*
        FROM public.services AS service
        WHERE service.service_id = wanted.service_id
        LIMIT 1
        FOR NO KEY UPDATE
    ) AS found
),
compared AS MATERIALIZED (
    SELECT
        given.*,
        kept.id AS kept_id,
        kept.id IS NOT NULL
        AND ({kept.service_images}) IS NOT DISTINCT FROM ({given.service_images}) AS unchanged
    FROM given
    LEFT JOIN kept ON kept.service_id = given.service_id
),
written AS (
    INSERT INTO public.services AS service (id, {service_given})
    SELECT id, {service_given}
    FROM compared
    WHERE NOT unchanged
    ORDER BY service_id COLLATE "C"
    ON CONFLICT (service_id) DO UPDATE SET {excluded.service_replaced}
    RETURNING service.*
),
stored AS (
    SELECT written.* FROM written
    UNION ALL
    SELECT kept.* FROM kept INNER JOIN compared ON compared.kept_id = kept.id WHERE compared.unchanged
)
SELECT {stored.service_row}, stored.id = given.id AS created
FROM given
INNER JOIN stored ON stored.service_id = given.service_id
ORDER BY given.place;
