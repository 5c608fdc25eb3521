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
