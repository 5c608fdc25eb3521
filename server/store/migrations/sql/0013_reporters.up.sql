-- Who reports for a discovery source, and how that went. depgraph_feed.ingestions stays beside it: readers of the feed get it with every
-- step. It runs over what an earlier run has left, too: a dump of the version before, restored over this schema, leaves the table.
CREATE TABLE IF NOT EXISTS public.reporters (
    reporter varchar(255) NOT NULL,
    discovery_source text NOT NULL,
    succeeded_at timestamptz,
    attempted_at timestamptz NOT NULL DEFAULT now(),
    last_error text NOT NULL DEFAULT '',
    observed_at timestamptz,
    report_interval interval,
    is_complete boolean NOT NULL DEFAULT true,
    element_count bigint NOT NULL DEFAULT 0,
    skipped jsonb NOT NULL DEFAULT '{}',
    services_created bigint NOT NULL DEFAULT 0,
    edges_created bigint NOT NULL DEFAULT 0,
    edges_updated bigint NOT NULL DEFAULT 0,
    edges_unchanged bigint NOT NULL DEFAULT 0,
    observations_renewed bigint NOT NULL DEFAULT 0,
    CONSTRAINT reporters_pkey PRIMARY KEY (reporter, discovery_source),
    CONSTRAINT ck_reporters_discovery_source
        CHECK (discovery_source IN ('manual', 'otel_service_graph', 'kubernetes', 'service_mesh', 'catalog')),
    CONSTRAINT ck_reporters_interval CHECK (report_interval > interval '0'),
    CONSTRAINT ck_reporters_skipped_object CHECK (jsonb_typeof(skipped) = 'object')
);

COMMENT ON TABLE public.reporters IS 'Who reports for a discovery source, and how the last report went.';
COMMENT ON COLUMN public.reporters.observed_at IS 'The time that the last report speaks of: all its requests have the same.';
COMMENT ON COLUMN public.reporters.is_complete IS
    'Whether the last report is whole; while it goes on in another request, its counts are added up.';
COMMENT ON COLUMN public.reporters.skipped IS 'Elements of the last report that could not be used, by reason.';

-- A server whose role does not own the tables may note ingestions: it may note reporters as well, and goes on without a new grant.
DO $$
DECLARE
    server_role name;
BEGIN
    FOR server_role IN
        SELECT r.rolname
        FROM pg_class AS c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS granted
        INNER JOIN pg_roles AS r ON r.oid = granted.grantee
        WHERE c.oid = 'depgraph_feed.ingestions'::regclass
            AND granted.privilege_type = 'INSERT'
            AND granted.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON public.reporters TO %I', server_role);
    END LOOP;
END
$$;
