-- name: staleness_session
-- One processor is enough: no caller waits for this.
SET max_parallel_workers_per_gather = 0;

-- name: staleness_clock
-- The database's time, which decides how old an observation is.
SELECT clock_timestamp();

-- name: staleness_unheard
-- The discovery sources of which a reporter fails at the time $1, and since when: its last success. A reporter that does not even try, or
-- never succeeded, is not waited for.
SELECT
    discovery_source,
    min(succeeded_at) AS heard_at
FROM public.reporters
WHERE last_error <> ''
    AND succeeded_at IS NOT NULL
    AND attempted_at > $1::timestamptz - 3 * report_interval
GROUP BY discovery_source;

-- name: staleness_due_stale
-- Some fresh dependencies of source $1 that were last observed before $2. || '' keeps the planner from reading all rows of a source that
-- it takes for rare.
SELECT id
FROM public.service_dependencies
WHERE NOT is_stale
    AND discovery_source || '' = $1
    AND last_observed_at < $2
LIMIT $3;

-- name: staleness_mark
-- Mark those of $1 that are still due, see staleness_due_stale; returns how many. Rows that another session writes at the moment
-- wait for the next sweep, so that neither waits for the other.
WITH due AS MATERIALIZED (
    SELECT id
    FROM public.service_dependencies
    WHERE id = ANY ($1::uuid[])
        AND NOT is_stale
        AND discovery_source = $2
        AND last_observed_at < $3
    FOR NO KEY UPDATE SKIP LOCKED
),
marked AS (
    UPDATE public.service_dependencies AS dependency
    SET is_stale = TRUE
    WHERE dependency.id = ANY (ARRAY(SELECT due.id FROM due))
    RETURNING dependency.id
)
SELECT count(*) FROM marked;

-- name: staleness_due_decay
-- Some dependencies of source $1 whose confidence is off by $5 or more at the time $2, with half-life $3. Whole ones last observed since
-- $4 are not: they are not even looked at. Decayed ones are, whenever observed, for the half-life may have been another.
SELECT id
FROM public.service_dependencies
WHERE reported_confidence IS NULL
    AND discovery_source || '' = $1
    AND last_observed_at < $4
    AND confidence_score
        - public.decayed_confidence(confidence_score, $2::timestamptz - last_observed_at, $3::interval) >= $5
UNION ALL
SELECT id
FROM public.service_dependencies
WHERE reported_confidence IS NOT NULL
    AND discovery_source = $1
    AND abs(
        confidence_score
        - public.decayed_confidence(reported_confidence, $2::timestamptz - last_observed_at, $3::interval)
    ) >= $5
LIMIT $6;

-- name: staleness_decay
-- Write what is left of the confidence of those of $1 that are still due, see staleness_due_decay ($2 source, $3 time, $4 half-life,
-- $5 the least difference that counts); returns how many. Where all of it is left, the dependency is whole again.
WITH due AS MATERIALIZED (
    SELECT id
    FROM public.service_dependencies
    WHERE id = ANY ($1::uuid[])
        AND discovery_source = $2
        AND abs(
            confidence_score
            - public.decayed_confidence(
                COALESCE(reported_confidence, confidence_score), $3::timestamptz - last_observed_at, $4::interval
            )
        ) >= $5
    FOR NO KEY UPDATE SKIP LOCKED
),
written AS (
    UPDATE public.service_dependencies AS dependency
    SET
        confidence_score = public.decayed_confidence(
            COALESCE(reported_confidence, confidence_score), $3::timestamptz - last_observed_at, $4::interval
        ),
        reported_confidence = NULLIF(
            COALESCE(reported_confidence, confidence_score),
            public.decayed_confidence(
                COALESCE(reported_confidence, confidence_score), $3::timestamptz - last_observed_at, $4::interval
            )
        )
    WHERE dependency.id = ANY (ARRAY(SELECT due.id FROM due))
        AND (SELECT set_config('depgraph.staleness', 'swept', TRUE)) = 'swept'
    RETURNING dependency.id
)
SELECT count(*) FROM written;

-- name: staleness_due_restore
-- Some decayed dependencies of sources whose confidence decays no more ($1).
SELECT id
FROM public.service_dependencies
WHERE reported_confidence IS NOT NULL
    AND discovery_source = ANY ($1::text[])
LIMIT $2;

-- name: staleness_restore
-- Give those of $1 that are still decayed, of sources $2, the confidence reported; returns how many.
WITH due AS MATERIALIZED (
    SELECT id
    FROM public.service_dependencies
    WHERE id = ANY ($1::uuid[])
        AND discovery_source = ANY ($2::text[])
        AND reported_confidence IS NOT NULL
    FOR NO KEY UPDATE SKIP LOCKED
),
written AS (
    UPDATE public.service_dependencies AS dependency
    SET
        confidence_score = reported_confidence,
        reported_confidence = NULL
    WHERE dependency.id = ANY (ARRAY(SELECT due.id FROM due))
    RETURNING dependency.id
)
SELECT count(*) FROM written;
