-- The version before knows neither the words nor the source: what is unknown becomes the default, as it was written then, and what
-- catalogues declared goes.
DELETE FROM public.service_dependencies WHERE discovery_source = 'catalog';
DELETE FROM depgraph_feed.ingestions WHERE discovery_source = 'catalog';
UPDATE public.service_dependencies SET communication_mode = 'sync' WHERE communication_mode = 'unknown';
UPDATE public.service_dependencies SET criticality = 'hard' WHERE criticality = 'unknown';
UPDATE public.services SET criticality = 'medium' WHERE criticality = 'unknown';

ALTER TABLE depgraph_feed.ingestions
    DROP CONSTRAINT ck_ingestions_discovery_source,
    ADD CONSTRAINT ck_ingestions_discovery_source
        CHECK (discovery_source IN ('manual', 'otel_service_graph', 'kubernetes', 'service_mesh'));

ALTER TABLE public.service_dependencies
    DROP CONSTRAINT ck_communication_mode,
    DROP CONSTRAINT ck_dependency_criticality,
    DROP CONSTRAINT ck_discovery_source,
    ADD CONSTRAINT ck_communication_mode CHECK (communication_mode IN ('sync', 'async')),
    ADD CONSTRAINT ck_dependency_criticality CHECK (criticality IN ('hard', 'soft', 'degraded')),
    ADD CONSTRAINT ck_discovery_source
        CHECK (discovery_source IN ('manual', 'otel_service_graph', 'kubernetes', 'service_mesh'));

ALTER TABLE public.services
    DROP CONSTRAINT ck_services_criticality,
    ADD CONSTRAINT ck_services_criticality CHECK (criticality IN ('critical', 'high', 'medium', 'low'));

CREATE OR REPLACE FUNCTION depgraph_feed.next_step(cursor_snapshot pg_snapshot, max_changes integer) RETURNS TABLE (
    snapshot text,
    incarnation uuid,
    usable boolean,
    sources smallint[],
    ids uuid[],
    ingestions text
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    present CONSTANT pg_snapshot := pg_current_snapshot();
BEGIN
    snapshot := present::text;
    SELECT i.id INTO incarnation
    FROM depgraph_feed.incarnation AS i
    WHERE i.identity = depgraph_feed.identity();
    usable := COALESCE(
        pg_snapshot_xmax(cursor_snapshot) <= pg_snapshot_xmax(present) AND depgraph_feed.covers_pruned(cursor_snapshot),
        false
    );
    sources := '{}';
    ids := '{}';
    IF cursor_snapshot::text <> snapshot THEN
        SELECT COALESCE(array_agg(few.source), '{}'), COALESCE(array_agg(few.id), '{}')
        INTO sources, ids
        FROM (SELECT d.source, d.id FROM depgraph_feed.changes(cursor_snapshot) AS d LIMIT max_changes + 1) AS few;
        IF cardinality(ids) > max_changes THEN
            sources := NULL;
            ids := NULL;
        END IF;
    END IF;
    SELECT COALESCE(json_agg(json_build_array(n.discovery_source, n.observed_at, n.ingested_at)), '[]')::text
    INTO ingestions
    FROM depgraph_feed.ingestions AS n;
    RETURN NEXT;
END
$$;

DROP FUNCTION depgraph_feed.refuse_unknown(pg_snapshot);
