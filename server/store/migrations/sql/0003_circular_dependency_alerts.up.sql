-- What a CHECK cannot say by itself: a list of at least two business names, none of them twice.
CREATE FUNCTION public.is_cycle_path(cycle_path jsonb)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT count(*) >= 2
        AND count(*) = count(DISTINCT step.element)
        AND bool_and(
            jsonb_typeof(step.element) = 'string'
            AND length(step.element #>> '{}') BETWEEN 1 AND 255
        )
    FROM jsonb_array_elements(
        CASE
            WHEN jsonb_typeof(cycle_path) = 'array' THEN cycle_path
            ELSE '[]'
        END
    ) AS step (element)
$$;

-- The same 32 bytes whichever service a cycle is written from: a digest of its names, in order, from the smallest on.
-- Each name is digested first, so that no two lists of names read the same once they are joined.
CREATE FUNCTION public.cycle_fingerprint(cycle_path jsonb)
RETURNS bytea
LANGUAGE sql
IMMUTABLE
STRICT
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $$
    WITH step AS (
        SELECT
            element.name,
            element.place
        FROM jsonb_array_elements_text(cycle_path) WITH ORDINALITY AS element (name, place)
    ),
    smallest AS (
        SELECT step.place
        FROM step
        ORDER BY step.name COLLATE "C", step.place
        LIMIT 1
    )
    SELECT sha256(
        string_agg(
            sha256(convert_to(step.name, 'UTF8')),
            ''::bytea
            ORDER BY step.place < smallest.place, step.place
        )
    )
    FROM step
    CROSS JOIN smallest
$$;

COMMENT ON FUNCTION public.cycle_fingerprint(jsonb) IS
    'Digest of a cycle, the same for all its rotations. Finds its alert through uq_cycle_path.';

CREATE TABLE public.circular_dependency_alerts (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    cycle_path jsonb NOT NULL,
    status text NOT NULL DEFAULT 'open',
    acknowledged_by varchar(255),
    resolution_notes text,
    detected_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT circular_dependency_alerts_pkey PRIMARY KEY (id),
    CONSTRAINT ck_cycle_path CHECK (public.is_cycle_path(cycle_path)),
    CONSTRAINT ck_alert_status CHECK (status IN ('open', 'acknowledged', 'resolved')),
    CONSTRAINT ck_alert_acknowledged_by CHECK (acknowledged_by <> ''),
    CONSTRAINT ck_alert_detected_at_range
        CHECK (detected_at > '0001-01-01 00:00:00+00' AND detected_at < '9999-12-31 23:59:59.999999+00')
);

COMMENT ON TABLE public.circular_dependency_alerts IS 'Circular dependencies, one alert for each cycle.';
COMMENT ON COLUMN public.circular_dependency_alerts.cycle_path IS
    'Business names in call order, each once: the last calls the first.';

CREATE UNIQUE INDEX uq_cycle_path
    ON public.circular_dependency_alerts (public.cycle_fingerprint(cycle_path));

CREATE INDEX idx_circular_deps_status
    ON public.circular_dependency_alerts (status, detected_at DESC, id DESC)
    WHERE status IN ('open', 'acknowledged');

CREATE INDEX idx_circular_deps_detected_at
    ON public.circular_dependency_alerts (detected_at DESC, id DESC);
