-- The default is a constant, so adding the column rewrites no row; the constraint reads the table once.
ALTER TABLE public.services
    ADD COLUMN kind text NOT NULL DEFAULT 'service',
    ADD CONSTRAINT ck_services_kind CHECK (kind IN ('service', 'database', 'queue', 'gateway', 'external'));

COMMENT ON COLUMN public.services.kind IS 'What stands behind the name: a service, database, queue, gateway or external service.';
