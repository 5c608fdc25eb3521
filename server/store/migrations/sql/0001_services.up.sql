-- Shared by every table that has an updated_at. Compares images, not values: {"a": 1} and {"a": 1.0} are equal
-- as values, yet readers see another text. An update that changes nothing at all leaves the row as it was.
CREATE FUNCTION public.set_updated_at()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF NEW *<> OLD THEN
        NEW.updated_at = now();
    END IF;
    RETURN NEW;
END
$$;

CREATE TABLE public.services (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    service_id varchar(255) NOT NULL,
    metadata jsonb NOT NULL DEFAULT '{}',
    criticality text NOT NULL DEFAULT 'medium',
    team varchar(255),
    discovered boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT services_pkey PRIMARY KEY (id),
    CONSTRAINT ck_services_service_id_not_empty CHECK (service_id <> ''),
    CONSTRAINT ck_services_metadata_object CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT ck_services_criticality CHECK (criticality IN ('critical', 'high', 'medium', 'low')),
    -- Years 1 to 9999: infinity and dates beyond exist in PostgreSQL, but in few readers' languages. The outermost microseconds
    -- are out too: the driver takes them for infinity.
    CONSTRAINT ck_services_created_at_range
        CHECK (created_at > '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 23:59:59.999999+00'),
    CONSTRAINT ck_services_updated_at_range
        CHECK (updated_at > '0001-01-01 00:00:00+00' AND updated_at < '9999-12-31 23:59:59.999999+00')
);

COMMENT ON TABLE public.services IS 'Services: the nodes of the dependency graph.';
COMMENT ON COLUMN public.services.service_id IS 'The business name, as callers know it.';
COMMENT ON COLUMN public.services.discovered IS 'Whether a discovery source added it, rather than a person.';

CREATE UNIQUE INDEX idx_services_service_id
    ON public.services (service_id);

CREATE INDEX idx_services_team
    ON public.services (team)
    WHERE team IS NOT NULL;

CREATE INDEX idx_services_criticality
    ON public.services (criticality);

CREATE INDEX idx_services_discovered
    ON public.services (created_at DESC, id DESC)
    WHERE discovered;

CREATE INDEX idx_services_created_at
    ON public.services (created_at DESC, id DESC);

CREATE TRIGGER set_updated_at
    BEFORE UPDATE ON public.services
    FOR EACH ROW
    EXECUTE FUNCTION public.set_updated_at();
