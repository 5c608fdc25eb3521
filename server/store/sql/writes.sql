-- name: write_record
-- Add the calling transaction to the account: who ($1), by which method ($2), and the counts. Returns its revision.
SELECT public.record_write($1, $2, $3, $4, $5, $6, $7, $8, $9, $10);

-- name: writes_page
-- Newest first, after the key ($1, $2).
SELECT
    id,
    written_at,
    principal,
    method,
    feed_id,
    xid::text,
    services_created,
    services_updated,
    services_deleted,
    dependencies_created,
    dependencies_updated,
    dependencies_deleted,
    alerts_created,
    alerts_updated
FROM public.writes
WHERE (written_at, id) < (COALESCE($1::timestamptz, 'infinity'), COALESCE($2::bigint, 9223372036854775807))
ORDER BY written_at DESC, id DESC
LIMIT $3;

-- name: writes_prune
-- Remove, of the oldest $3 writes, those that are older than $1, or of which $2 newer ones are kept; returns how many.
-- One process at a time: another finds nothing.
WITH newest AS MATERIALIZED (
    SELECT id
    FROM public.writes
    WHERE (SELECT pg_try_advisory_xact_lock(7203411, 5))
    ORDER BY written_at DESC, id DESC
    LIMIT 1
),
removed AS (
    DELETE FROM public.writes
    WHERE ctid = ANY (
        ARRAY(
            SELECT oldest.place
            FROM (
                SELECT w.ctid AS place, w.written_at, w.id
                FROM public.writes AS w
                ORDER BY w.written_at, w.id
                LIMIT $3
            ) AS oldest
            CROSS JOIN newest
            WHERE oldest.written_at < now() - $1::interval
                OR oldest.id <= newest.id - $2::bigint
        )
    )
    RETURNING id
)
SELECT count(*) FROM removed;
