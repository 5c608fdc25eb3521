-- name: alias_get
-- One alias ($1), with the own name of its service.
SELECT
    alias.id,
    alias.alias,
    service.service_id,
    alias.created_at
FROM public.service_aliases AS alias
INNER JOIN public.services AS service ON service.id = alias.service_id
WHERE alias.alias = $1;

-- name: aliases_page
-- Sorted by code point, after the alias $1 (NULL = from the start); $2 = those of the service of this name or alias, NULL = all.
SELECT
    alias.id,
    alias.alias,
    service.service_id,
    alias.created_at
FROM public.service_aliases AS alias
INNER JOIN public.services AS service ON service.id = alias.service_id
WHERE ($1::text IS NULL OR alias.alias COLLATE "C" > $1::text COLLATE "C")
    AND (
        $2::text IS NULL
        OR alias.service_id = COALESCE(
            (SELECT named.id FROM public.services AS named WHERE named.service_id = $2::text),
            (SELECT other.service_id FROM public.service_aliases AS other WHERE other.alias = $2::text)
        )
    )
ORDER BY alias.alias COLLATE "C"
LIMIT $3;

-- name: aliases_lock
-- Take the lock under which the database's triggers compare new aliases with names of services, before any row: who creates services
-- holds it, shared, until its transaction ends. As in those triggers, no writer waits for long, as others wait behind.
SELECT pg_advisory_xact_lock(7203411, 8)
WHERE (SELECT set_config('lock_timeout', '3s', TRUE)) = '3s';

-- name: alias_add
-- Give the alias $1 to the service of the name or alias $2; a row with the name of the service, if there is one, and the new alias, NULL
-- when the name is taken.
WITH service AS MATERIALIZED (
    SELECT id, service_id
    FROM public.services
    WHERE id = COALESCE(
            (SELECT named.id FROM public.services AS named WHERE named.service_id = $2::text),
            (SELECT other.service_id FROM public.service_aliases AS other WHERE other.alias = $2::text)
        )
),
added AS (
    INSERT INTO public.service_aliases (alias, service_id)
    SELECT $1::text, service.id
    FROM service
    WHERE NOT EXISTS (SELECT FROM public.services AS taken WHERE taken.service_id = $1::text)
    ON CONFLICT (alias) DO NOTHING
    RETURNING id, alias, created_at
)
SELECT
    added.id,
    added.alias,
    service.service_id,
    added.created_at
FROM service
LEFT JOIN added ON TRUE;

-- name: alias_remove
-- Take the alias $1 away; returns its id.
DELETE FROM public.service_aliases
WHERE alias = $1
RETURNING id;

-- name: aliases_resolve
-- Those of the names $1 that are aliases, with the own names of their services.
SELECT alias.alias, service.service_id
FROM public.service_aliases AS alias
INNER JOIN public.services AS service ON service.id = alias.service_id
WHERE alias.alias = ANY ($1::text[]);

-- name: aliases_resolve_for_write
-- As aliases_resolve; no writer takes these aliases away, or gives them to another service, before the calling transaction ends. While there
-- are no aliases, a name costs nothing but its way here.
SELECT alias.alias, service.service_id
FROM public.service_aliases AS alias
INNER JOIN public.services AS service ON service.id = alias.service_id
WHERE alias.alias = ANY ($1::text[])
FOR SHARE OF alias;
