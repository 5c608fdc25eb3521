-- What no source knows is unknown, instead of a default that reads like knowledge. Catalogues are a discovery source of their own.
--
-- The locks come first, all or none: a writer may hold one of the tables and wait for the other, in either order. The timeout is shorter than
-- that of PostgreSQL's search for deadlocks, so that no writer fails.
DO $$
DECLARE
    usual CONSTANT text := current_setting('lock_timeout');
BEGIN
    LOOP
        BEGIN
            PERFORM set_config('lock_timeout', '300ms', true);
            LOCK TABLE public.services, public.service_dependencies, depgraph_feed.ingestions IN ACCESS EXCLUSIVE MODE;
            EXIT;
        EXCEPTION
            WHEN lock_not_available THEN
                PERFORM pg_sleep(0.1 * random());
        END;
    END LOOP;
    PERFORM set_config('lock_timeout', usual, true);
END
$$;

ALTER TABLE public.services
    DROP CONSTRAINT ck_services_criticality,
    ADD CONSTRAINT ck_services_criticality CHECK (criticality IN ('critical', 'high', 'medium', 'low', 'unknown'));

ALTER TABLE public.service_dependencies
    DROP CONSTRAINT ck_communication_mode,
    DROP CONSTRAINT ck_dependency_criticality,
    DROP CONSTRAINT ck_discovery_source,
    ADD CONSTRAINT ck_communication_mode CHECK (communication_mode IN ('sync', 'async', 'unknown')),
    ADD CONSTRAINT ck_dependency_criticality CHECK (criticality IN ('hard', 'soft', 'degraded', 'unknown')),
    ADD CONSTRAINT ck_discovery_source
        CHECK (discovery_source IN ('manual', 'otel_service_graph', 'kubernetes', 'service_mesh', 'catalog'));

ALTER TABLE depgraph_feed.ingestions
    DROP CONSTRAINT ck_ingestions_discovery_source,
    ADD CONSTRAINT ck_ingestions_discovery_source
        CHECK (discovery_source IN ('manual', 'otel_service_graph', 'kubernetes', 'service_mesh', 'catalog'));

-- Readers of the version before call next_step. They take a dependency with a word that they don't know for one that waits for its services, so
-- their answers would lack it without saying so. From the first such row on their steps fail instead: they report that the schema is not the
-- one that they know, and answers that get older. Readers of this version call whole_step, which begins with 0012.
--
-- Among the rows that changed since a snapshot, or among all when it is NULL.
CREATE OR REPLACE FUNCTION depgraph_feed.refuse_unknown(since pg_snapshot) RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
BEGIN
    IF since IS NULL THEN
        PERFORM FROM public.services AS s WHERE s.criticality = 'unknown' LIMIT 1;
        IF NOT FOUND THEN
            PERFORM
            FROM public.service_dependencies AS d
            WHERE d.communication_mode = 'unknown' OR d.criticality = 'unknown' OR d.discovery_source = 'catalog'
            LIMIT 1;
        END IF;
    ELSE
        PERFORM
        FROM depgraph_feed.changes(since) AS c
        LEFT JOIN public.services AS s ON s.id = c.id AND c.source = 1
        LEFT JOIN public.service_dependencies AS d ON d.id = c.id AND c.source = 2
        WHERE s.criticality = 'unknown' OR d.communication_mode = 'unknown' OR d.criticality = 'unknown' OR d.discovery_source = 'catalog'
        LIMIT 1;
    END IF;
    IF FOUND THEN
        RAISE EXCEPTION 'the tables hold the word "unknown" or the discovery source "catalog", which this version of depgraph does not know'
            USING ERRCODE = 'undefined_object', HINT = 'Upgrade this server.';
    END IF;
END
$$;

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
    PERFORM depgraph_feed.refuse_unknown(CASE WHEN usable THEN cursor_snapshot END);
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
    FROM depgraph_feed.ingestions AS n
    WHERE n.discovery_source <> 'catalog';
    RETURN NEXT;
END
$$;
