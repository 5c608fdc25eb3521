-- name: reporter_succeeded
-- Note that a report of $1 for the discovery source $2, of the time $3, was taken in: $4 its interval, $5 whether it is complete, then its
-- counts. A request that goes on with the report of the one before adds to its counts. An error stays until a report is complete: until then
-- what the other requests hold must not become stale. Reporters that have not reported for $13 go.
WITH forgotten AS (
    DELETE FROM public.reporters
    WHERE attempted_at < now() - $13::interval
        AND (reporter, discovery_source) <> ($1, $2)
)
INSERT INTO public.reporters AS reporter (
    reporter, discovery_source, observed_at, report_interval, is_complete, attempted_at, succeeded_at,
    element_count, skipped, services_created, edges_created, edges_updated, edges_unchanged, observations_renewed
)
VALUES (
    $1, $2, $3, $4, $5, statement_timestamp(), CASE WHEN $5 THEN statement_timestamp() END,
    $6, $7::jsonb, $8, $9, $10, $11, $12
)
ON CONFLICT (reporter, discovery_source) DO UPDATE SET
    (
        observed_at, report_interval, is_complete, attempted_at, succeeded_at, last_error,
        element_count, services_created, edges_created, edges_updated, edges_unchanged, observations_renewed, skipped
    ) = (
        SELECT
            excluded.observed_at,
            excluded.report_interval,
            excluded.is_complete,
            excluded.attempted_at,
            COALESCE(excluded.succeeded_at, reporter.succeeded_at),
            CASE WHEN excluded.is_complete THEN '' ELSE reporter.last_error END,
            excluded.element_count + before.share * reporter.element_count,
            excluded.services_created + before.share * reporter.services_created,
            excluded.edges_created + before.share * reporter.edges_created,
            excluded.edges_updated + before.share * reporter.edges_updated,
            excluded.edges_unchanged + before.share * reporter.edges_unchanged,
            excluded.observations_renewed + before.share * reporter.observations_renewed,
            (
                SELECT COALESCE(jsonb_object_agg(summed.reason, summed.total), '{}')
                FROM (
                    SELECT
                        reason,
                        least(sum(skipped::bigint), 9223372036854775807) AS total
                    FROM (
                        SELECT * FROM jsonb_each_text(excluded.skipped) AS new (reason, skipped)
                        UNION ALL
                        SELECT * FROM jsonb_each_text(reporter.skipped) AS old (reason, skipped)
                        WHERE before.share = 1
                    ) AS each
                    GROUP BY reason
                    ORDER BY total DESC, reason
                    LIMIT 100
                ) AS summed
            )
        FROM (
            SELECT (NOT reporter.is_complete AND reporter.observed_at = excluded.observed_at)::integer AS share
        ) AS before
    );

-- name: reporter_failed
-- Note that $1 tried to report for the discovery source $2 and could not: $3 says why, $4 is its interval. All else stays.
INSERT INTO public.reporters AS reporter (reporter, discovery_source, last_error, report_interval, attempted_at)
VALUES ($1, $2, $3, $4, statement_timestamp())
ON CONFLICT (reporter, discovery_source) DO UPDATE SET
    attempted_at = excluded.attempted_at,
    last_error = excluded.last_error,
    report_interval = excluded.report_interval,
    is_complete = TRUE;

-- name: reporters_list
-- The $1 reporters that reported last, by name. All of them go into one answer: errors and reasons beyond $2 bytes, those of the latest
-- first, are cut to 100 characters and to one sum.
SELECT
    latest.reporter,
    latest.discovery_source,
    latest.succeeded_at,
    latest.attempted_at,
    clock_timestamp() - latest.succeeded_at AS success_age,
    CASE WHEN latest.text_bytes <= $2 THEN latest.last_error ELSE left(latest.last_error, 100) END AS last_error,
    latest.report_interval,
    latest.element_count,
    CASE
        WHEN latest.text_bytes <= $2 OR latest.skipped = '{}' THEN latest.skipped
        ELSE (
            SELECT jsonb_build_object('reasons that are not shown', least(sum(value::bigint), 9223372036854775807))
            FROM jsonb_each_text(latest.skipped)
        )
    END AS skipped,
    latest.services_created,
    latest.edges_created,
    latest.edges_updated,
    latest.edges_unchanged,
    latest.observations_renewed
FROM (
    SELECT
        *,
        sum(octet_length(last_error) + octet_length(skipped::text))
            OVER (ORDER BY attempted_at DESC, reporter COLLATE "C", discovery_source COLLATE "C") AS text_bytes
    FROM public.reporters
    ORDER BY attempted_at DESC, reporter COLLATE "C", discovery_source COLLATE "C"
    LIMIT $1
) AS latest
ORDER BY latest.reporter COLLATE "C", latest.discovery_source COLLATE "C";
