-- The table is rewritten, which random() causes. With a constant default PostgreSQL would keep the value of old rows in
-- the catalog until the next rewrite, such as VACUUM FULL. That rewrite would change the column's entry in the catalog,
-- and depgraph_feed.identity() would begin a new run of the feed and refuse all revisions.
ALTER TABLE public.services
    ADD COLUMN kind text NOT NULL DEFAULT CASE WHEN random() >= 0 THEN 'service' END,
    ADD CONSTRAINT ck_services_kind CHECK (kind IN ('service', 'database', 'queue', 'gateway', 'external'));

ALTER TABLE public.services
    ALTER COLUMN kind SET DEFAULT 'service';

COMMENT ON COLUMN public.services.kind IS 'What stands behind the name: a service, database, queue, gateway or external service.';
