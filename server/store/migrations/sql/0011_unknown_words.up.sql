-- What no source knows is unknown, instead of a default that reads like knowledge. Catalogues are a discovery source of their own.
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
