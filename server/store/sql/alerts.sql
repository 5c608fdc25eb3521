-- name: alert_get
-- One alert by its id, with the first $2 members of its component.
SELECT
    a.id,
    a.cycle_path::text,
    a.status,
    a.acknowledged_by,
    a.resolution_notes,
    a.detected_at,
    a.size,
    a.detected,
    a.is_present,
    a.updated_at,
    m.names
FROM public.circular_dependency_alerts AS a
CROSS JOIN LATERAL (
    SELECT ARRAY(
        SELECT e.service_id
        FROM public.circular_dependency_alert_members AS e
        WHERE e.alert_id = a.id
        ORDER BY e.service_id
        LIMIT $2
    ) AS names
) AS m
WHERE a.id = $1;

-- name: alerts_page
-- Latest detected first, after the key ($1, $2); a NULL status ($3) matches all. At most $5 members each, and NULL instead of
-- them once those before are $6 or more.
WITH listed AS (
    SELECT a.*
    FROM public.circular_dependency_alerts AS a
    WHERE (a.detected_at, a.id) < (
            COALESCE($1::timestamptz, 'infinity'),
            COALESCE($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        )
        AND ($3::text IS NULL OR a.status = $3::text)
    ORDER BY a.detected_at DESC, a.id DESC
    LIMIT $4
)
SELECT
    a.id,
    a.cycle_path::text,
    a.status,
    a.acknowledged_by,
    a.resolution_notes,
    a.detected_at,
    a.size,
    a.detected,
    a.is_present,
    a.updated_at,
    m.names
FROM (
    SELECT
        l.*,
        sum(least(l.size, $5)) OVER (ORDER BY l.detected_at DESC, l.id DESC) - least(l.size, $5) AS names_before
    FROM listed AS l
) AS a
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN a.names_before < $6
                THEN ARRAY(
                    SELECT e.service_id
                    FROM public.circular_dependency_alert_members AS e
                    WHERE e.alert_id = a.id
                    ORDER BY e.service_id
                    LIMIT $5
                )
        END AS names
) AS m
ORDER BY a.detected_at DESC, a.id DESC;

-- name: alerts_page_of_service
-- The same page, of the alerts of one service ($7, its name or an alias): a member of the component, as far as these are kept, or on a cycle that detection
-- does not keep, or on that of a component whose members are more than are kept. Alerts keep the names that they were written with, so both names count.
WITH asked AS MATERIALIZED (
    SELECT $7::text AS name
    UNION
    SELECT own.service_id
    FROM public.service_aliases AS alias
    INNER JOIN public.services AS own ON own.id = alias.service_id
    WHERE alias.alias = $7::text
),
concerned AS (
    SELECT e.alert_id AS id
    FROM asked
    JOIN public.circular_dependency_alert_members AS e ON e.service_id = asked.name
    UNION
    SELECT a.id
    FROM asked
    JOIN public.circular_dependency_alerts AS a ON a.cycle_path @> jsonb_build_array(asked.name)
    WHERE NOT a.detected
    UNION
    SELECT a.id
    FROM asked
    JOIN public.circular_dependency_alerts AS a ON a.cycle_path @> jsonb_build_array(asked.name)
    WHERE a.detected
        AND a.size > $5
),
listed AS (
    SELECT a.*
    FROM public.circular_dependency_alerts AS a
    JOIN concerned AS c ON c.id = a.id
    WHERE (a.detected_at, a.id) < (
            COALESCE($1::timestamptz, 'infinity'),
            COALESCE($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
        )
        AND ($3::text IS NULL OR a.status = $3::text)
    ORDER BY a.detected_at DESC, a.id DESC
    LIMIT $4
)
SELECT
    a.id,
    a.cycle_path::text,
    a.status,
    a.acknowledged_by,
    a.resolution_notes,
    a.detected_at,
    a.size,
    a.detected,
    a.is_present,
    a.updated_at,
    m.names
FROM (
    SELECT
        l.*,
        sum(least(l.size, $5)) OVER (ORDER BY l.detected_at DESC, l.id DESC) - least(l.size, $5) AS names_before
    FROM listed AS l
) AS a
CROSS JOIN LATERAL (
    SELECT
        CASE
            WHEN a.names_before < $6
                THEN ARRAY(
                    SELECT e.service_id
                    FROM public.circular_dependency_alert_members AS e
                    WHERE e.alert_id = a.id
                    ORDER BY e.service_id
                    LIMIT $5
                )
        END AS names
) AS m
ORDER BY a.detected_at DESC, a.id DESC;

-- name: alert_events_page
-- History of an alert, oldest first, after an event ($2). One row of NULLs when there is no more of it; none without such an alert.
SELECT
    e.id,
    e.kind,
    e.event_at,
    e.actor,
    e.note,
    e.status,
    e.cycle_path::text,
    e.size
FROM public.circular_dependency_alerts AS a
LEFT JOIN LATERAL (
    SELECT one.*
    FROM public.circular_dependency_alert_events AS one
    WHERE one.alert_id = a.id
        AND one.id > $2
    ORDER BY one.id
    LIMIT $3
) AS e ON true
WHERE a.id = $1
ORDER BY e.id;

-- name: alert_find
-- The id of the alert of a cycle, whichever service it is written from.
SELECT id
FROM public.circular_dependency_alerts
WHERE public.cycle_fingerprint(cycle_path) = public.cycle_fingerprint($1::text::jsonb);

-- name: alert_create
-- Open an alert; no row comes back when the cycle has one, under whatever rotation.
INSERT INTO public.circular_dependency_alerts (cycle_path)
VALUES ($1::text::jsonb)
ON CONFLICT (public.cycle_fingerprint(cycle_path)) DO NOTHING
RETURNING id;

-- name: alert_acknowledge
-- Say who looks after an alert; no row comes back once it is resolved.
UPDATE public.circular_dependency_alerts
SET
    status = 'acknowledged',
    acknowledged_by = $2
WHERE id = $1
    AND status <> 'resolved'
RETURNING id;

-- name: alert_resolve
-- Close an alert; no row comes back when that was done before.
UPDATE public.circular_dependency_alerts
SET
    status = 'resolved',
    resolution_notes = $2
WHERE id = $1
    AND status <> 'resolved'
RETURNING id;
