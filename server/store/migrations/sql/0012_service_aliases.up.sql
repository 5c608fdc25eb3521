-- Other names of services: sources name one workload differently.
CREATE TABLE IF NOT EXISTS public.service_aliases (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    alias varchar(255) NOT NULL,
    service_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT service_aliases_pkey PRIMARY KEY (id),
    CONSTRAINT uq_service_alias UNIQUE (alias),
    CONSTRAINT fk_alias_service FOREIGN KEY (service_id) REFERENCES public.services (id) ON DELETE CASCADE,
    CONSTRAINT ck_aliases_alias_not_empty CHECK (alias <> ''),
    CONSTRAINT ck_aliases_created_at_range
        CHECK (created_at > '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 23:59:59.999999+00')
);

COMMENT ON TABLE public.service_aliases IS 'Other names of services, by which they are written and asked for.';

-- Without it, each deleted service costs a scan of this table.
CREATE INDEX IF NOT EXISTS idx_aliases_service
    ON public.service_aliases (service_id);

-- Whoever may write services may write their aliases.
DO $$
DECLARE
    server_role name;
BEGIN
    FOR server_role IN
        SELECT r.rolname
        FROM pg_class AS c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS granted
        INNER JOIN pg_roles AS r ON r.oid = granted.grantee
        WHERE c.oid = 'public.services'::regclass
            AND granted.privilege_type = 'INSERT'
            AND granted.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.service_aliases TO %I', server_role);
    END LOOP;
END
$$;
