-- name: alert_get
-- One alert by its id.
SELECT
    id,
    cycle_path::text,
    status,
    acknowledged_by,
    resolution_notes,
    detected_at
FROM public.circular_dependency_alerts
WHERE id = $1;

-- name: alerts_page
-- Latest detected first, after the key ($1, $2); a NULL status ($3) matches all.
SELECT
    id,
    cycle_path::text,
    status,
    acknowledged_by,
    resolution_notes,
    detected_at
FROM public.circular_dependency_alerts
WHERE (detected_at, id) < (
        COALESCE($1::timestamptz, 'infinity'),
        COALESCE($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
    )
    AND ($3::text IS NULL OR status = $3::text)
ORDER BY detected_at DESC, id DESC
LIMIT $4;

-- name: alert_find
-- The alert of a cycle, whichever service it is written from.
SELECT
    id,
    cycle_path::text,
    status,
    acknowledged_by,
    resolution_notes,
    detected_at
FROM public.circular_dependency_alerts
WHERE public.cycle_fingerprint(cycle_path) = public.cycle_fingerprint($1::text::jsonb);

-- name: alert_create
-- Open an alert; no row comes back when the cycle has one, under whatever rotation.
INSERT INTO public.circular_dependency_alerts (cycle_path)
VALUES ($1::text::jsonb)
ON CONFLICT (public.cycle_fingerprint(cycle_path)) DO NOTHING
RETURNING
    id,
    cycle_path::text,
    status,
    acknowledged_by,
    resolution_notes,
    detected_at;

-- name: alert_acknowledge
-- Say who looks after an alert; no row comes back once it is resolved.
UPDATE public.circular_dependency_alerts
SET
    status = 'acknowledged',
    acknowledged_by = $2
WHERE id = $1
    AND status <> 'resolved'
RETURNING
    id,
    cycle_path::text,
    status,
    acknowledged_by,
    resolution_notes,
    detected_at;

-- name: alert_resolve
-- Close an alert; no row comes back when that was done before.
UPDATE public.circular_dependency_alerts
SET
    status = 'resolved',
    resolution_notes = $2
WHERE id = $1
    AND status <> 'resolved'
RETURNING
    id,
    cycle_path::text,
    status,
    acknowledged_by,
    resolution_notes,
    detected_at;
