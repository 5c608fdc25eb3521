-- name: detection_events_written
-- Say that this transaction writes its events itself.
SET LOCAL depgraph.alert_events = 'written';

-- name: detection_tracked
-- The alerts that detection keeps, but for those that are resolved and whose component is gone.
SELECT
    id,
    cycle_path::text,
    status,
    acknowledged_by,
    resolution_notes,
    detected_at,
    size,
    detected,
    is_present
FROM public.circular_dependency_alerts
WHERE detected
    AND (is_present OR status <> 'resolved')
ORDER BY id;

-- name: detection_tracked_members
-- The first $1 members of each of those alerts, sorted.
SELECT
    alert.id,
    member.service_id
FROM public.circular_dependency_alerts AS alert
CROSS JOIN LATERAL (
    SELECT one.service_id
    FROM public.circular_dependency_alert_members AS one
    WHERE one.alert_id = alert.id
    ORDER BY one.service_id
    LIMIT $1
) AS member
WHERE alert.detected
    AND (alert.is_present OR alert.status <> 'resolved')
ORDER BY alert.id, member.service_id;

-- name: detection_lock
-- Alerts by id, held until the end of the transaction.
SELECT
    id,
    cycle_path::text,
    status,
    acknowledged_by,
    resolution_notes,
    detected_at,
    size,
    detected,
    is_present
FROM public.circular_dependency_alerts
WHERE id = ANY ($1::uuid[])
ORDER BY id
FOR NO KEY UPDATE;

-- name: detection_members
-- The first $1 members of each of some alerts ($2), sorted.
SELECT
    alert.id,
    member.service_id
FROM unnest($2::uuid[]) AS alert (id)
CROSS JOIN LATERAL (
    SELECT one.service_id
    FROM public.circular_dependency_alert_members AS one
    WHERE one.alert_id = alert.id
    ORDER BY one.service_id
    LIMIT $1
) AS member
ORDER BY alert.id, member.service_id;

-- name: detection_of_cycles
-- The alerts of some cycles ($1, JSON each), whichever services they are written from.
SELECT alert.id
FROM unnest($1::text[]) AS wanted (cycle_path)
INNER JOIN public.circular_dependency_alerts AS alert
    ON public.cycle_fingerprint(alert.cycle_path) = public.cycle_fingerprint(wanted.cycle_path::jsonb);

-- name: detection_of_members
-- Alerts that are over and had exactly the members of some component: so many ($1), of which the first is $2, with a common digest ($3)
-- of the first $4 of them.
-- Of several the one that was written last.
SELECT DISTINCT ON (wanted.place) alert.id
FROM unnest($1::integer[], $2::text[], $3::bytea[]) WITH ORDINALITY AS wanted (size, first_member, digest, place)
INNER JOIN public.circular_dependency_alert_members AS member ON member.service_id = wanted.first_member
INNER JOIN public.circular_dependency_alerts AS alert ON alert.id = member.alert_id
WHERE alert.detected
    AND NOT alert.is_present
    AND alert.status = 'resolved'
    AND alert.size = wanted.size
    AND wanted.digest = (
        SELECT sha256(string_agg(sha256(convert_to(other.service_id, 'UTF8')), ''::bytea ORDER BY other.service_id))
        FROM (
            SELECT one.service_id
            FROM public.circular_dependency_alert_members AS one
            WHERE one.alert_id = alert.id
            ORDER BY one.service_id
            LIMIT $4
        ) AS other
    )
ORDER BY wanted.place, alert.updated_at DESC, alert.id;

-- name: detection_set_aside
-- Take their cycles from alerts ($1) that get others, so that these can be given out in whatever order.
UPDATE public.circular_dependency_alerts
SET cycle_path = jsonb_build_array(id::text, 'moves')
WHERE id = ANY ($1::uuid[]);

-- name: detection_reopen
-- Open alerts ($1) that are resolved.
UPDATE public.circular_dependency_alerts
SET
    status = 'open',
    acknowledged_by = NULL,
    resolution_notes = NULL,
    detected = true,
    is_present = true
WHERE id = ANY ($1::uuid[]);

-- name: detection_update
-- Write how alerts are now.
UPDATE public.circular_dependency_alerts AS alert
SET
    cycle_path = after.cycle_path::jsonb,
    status = after.status,
    acknowledged_by = after.acknowledged_by,
    resolution_notes = after.resolution_notes,
    size = after.size,
    detected = after.detected,
    is_present = after.is_present,
    -- Members may be exchanged while no column here changes.
    updated_at = now()
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::boolean[], $8::boolean[])
    AS after (id, cycle_path, status, acknowledged_by, resolution_notes, size, detected, is_present)
WHERE alert.id = after.id;

-- name: detection_open
-- Open alerts.
INSERT INTO public.circular_dependency_alerts (
    id, cycle_path, status, acknowledged_by, resolution_notes, size, detected, is_present
)
SELECT
    id,
    cycle_path::jsonb,
    status,
    acknowledged_by,
    resolution_notes,
    size,
    detected,
    is_present
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[], $7::boolean[], $8::boolean[])
    AS opened (id, cycle_path, status, acknowledged_by, resolution_notes, size, detected, is_present);

-- name: detection_drop_members
-- Take members ($2) from alerts ($1).
DELETE FROM public.circular_dependency_alert_members AS member
USING unnest($1::uuid[], $2::text[]) AS left_out (alert_id, service_id)
WHERE member.alert_id = left_out.alert_id
    AND member.service_id = left_out.service_id;

-- name: detection_keep_members
-- Take all members from alerts ($1) but these (JSON arrays of names, $2).
DELETE FROM public.circular_dependency_alert_members AS member
USING unnest($1::uuid[], $2::text[]) AS kept (alert_id, names)
WHERE member.alert_id = kept.alert_id
    AND member.service_id <> ALL (ARRAY(SELECT jsonb_array_elements_text(kept.names::jsonb)));

-- name: detection_trim_members
-- Take members beyond the first $1 from alerts of components that have more, at most $2 of them; returns whether there was any.
WITH surplus AS (
    SELECT
        alert.id,
        member.service_id
    FROM public.circular_dependency_alerts AS alert
    CROSS JOIN LATERAL (
        SELECT one.service_id
        FROM public.circular_dependency_alert_members AS one
        WHERE one.alert_id = alert.id
        ORDER BY one.service_id
        OFFSET $1::integer
        LIMIT $2::integer
    ) AS member
    WHERE alert.size > $1::integer
    LIMIT $2::integer
),
trimmed AS (
    DELETE FROM public.circular_dependency_alert_members AS member
    USING surplus
    WHERE member.alert_id = surplus.id
        AND member.service_id = surplus.service_id
    RETURNING 1
)
SELECT count(*) > 0 FROM trimmed;

-- name: detection_add_members
-- Give members ($2) to alerts ($1).
INSERT INTO public.circular_dependency_alert_members (alert_id, service_id)
SELECT
    alert_id,
    service_id
FROM unnest($1::uuid[], $2::text[]) AS joined (alert_id, service_id)
ON CONFLICT DO NOTHING;

-- name: detection_events
-- Write what happened to alerts, in this order.
INSERT INTO public.circular_dependency_alert_events (alert_id, kind, actor, note, status, cycle_path, size)
SELECT
    alert_id,
    kind,
    'detection',
    note,
    status,
    cycle_path::jsonb,
    size
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::integer[]) WITH ORDINALITY
    AS happened (alert_id, kind, note, status, cycle_path, size, place)
ORDER BY place;
