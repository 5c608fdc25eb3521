CREATE TABLE public.service_dependencies (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    source_service_id uuid NOT NULL,
    target_service_id uuid NOT NULL,
    communication_mode text NOT NULL,
    criticality text NOT NULL DEFAULT 'hard',
    protocol varchar(50),
    timeout_ms integer,
    retry_config jsonb,
    discovery_source text NOT NULL DEFAULT 'manual',
    confidence_score double precision NOT NULL DEFAULT 1.0,
    last_observed_at timestamptz NOT NULL DEFAULT now(),
    is_stale boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT service_dependencies_pkey PRIMARY KEY (id),
    CONSTRAINT fk_source_service
        FOREIGN KEY (source_service_id) REFERENCES public.services (id) ON DELETE CASCADE,
    CONSTRAINT fk_target_service
        FOREIGN KEY (target_service_id) REFERENCES public.services (id) ON DELETE CASCADE,
    CONSTRAINT uq_edge_per_source UNIQUE (source_service_id, target_service_id, discovery_source),
    CONSTRAINT ck_no_self_loops CHECK (source_service_id <> target_service_id),
    CONSTRAINT ck_communication_mode CHECK (communication_mode IN ('sync', 'async')),
    CONSTRAINT ck_dependency_criticality CHECK (criticality IN ('hard', 'soft', 'degraded')),
    CONSTRAINT ck_discovery_source
        CHECK (discovery_source IN ('manual', 'otel_service_graph', 'kubernetes', 'service_mesh')),
    -- NaN is out too: PostgreSQL sorts it above every number.
    CONSTRAINT ck_confidence_score_bounds CHECK (confidence_score >= 0 AND confidence_score <= 1),
    CONSTRAINT ck_timeout_positive CHECK (timeout_ms > 0),
    CONSTRAINT ck_retry_config_object CHECK (jsonb_typeof(retry_config) = 'object'),
    CONSTRAINT ck_deps_last_observed_at_range
        CHECK (last_observed_at > '0001-01-01 00:00:00+00' AND last_observed_at < '9999-12-31 23:59:59.999999+00'),
    CONSTRAINT ck_deps_created_at_range
        CHECK (created_at > '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 23:59:59.999999+00'),
    CONSTRAINT ck_deps_updated_at_range
        CHECK (updated_at > '0001-01-01 00:00:00+00' AND updated_at < '9999-12-31 23:59:59.999999+00')
);

COMMENT ON TABLE public.service_dependencies IS
    'Dependencies: the edges of the dependency graph. The source calls the target. One row for each discovery source.';
COMMENT ON COLUMN public.service_dependencies.confidence_score IS 'How sure the discovery source is, 0 to 1.';
COMMENT ON COLUMN public.service_dependencies.is_stale IS 'Whether it has not been observed for long.';

CREATE INDEX idx_deps_source
    ON public.service_dependencies (source_service_id)
    WHERE NOT is_stale;

CREATE INDEX idx_deps_target
    ON public.service_dependencies (target_service_id)
    WHERE NOT is_stale;

CREATE INDEX idx_deps_source_target
    ON public.service_dependencies (source_service_id, target_service_id);

-- Without it, each deleted service costs a scan of this table: the cascade looks for stale rows as well.
CREATE INDEX idx_deps_target_source
    ON public.service_dependencies (target_service_id, source_service_id);

CREATE INDEX idx_deps_discovery_source
    ON public.service_dependencies (discovery_source);

CREATE INDEX idx_deps_last_observed
    ON public.service_dependencies (last_observed_at);

CREATE INDEX idx_deps_stale
    ON public.service_dependencies (last_observed_at)
    WHERE is_stale;

CREATE INDEX idx_deps_created_at
    ON public.service_dependencies (created_at DESC, id DESC);

CREATE TRIGGER set_updated_at
    BEFORE UPDATE ON public.service_dependencies
    FOR EACH ROW
    EXECUTE FUNCTION public.set_updated_at();
