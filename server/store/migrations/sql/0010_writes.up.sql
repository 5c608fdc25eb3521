-- Who wrote what through the server: a row for each call, added in the transaction of the call. Plain SQL leaves none.
-- It runs over what an earlier run has left, too: a dump of the version before, restored over this schema, leaves the table.
CREATE TABLE IF NOT EXISTS public.writes (
    written_at timestamptz NOT NULL DEFAULT now(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    principal text NOT NULL,
    method text NOT NULL,
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    feed_id text NOT NULL,
    services_created integer NOT NULL DEFAULT 0,
    services_updated integer NOT NULL DEFAULT 0,
    services_deleted integer NOT NULL DEFAULT 0,
    dependencies_created integer NOT NULL DEFAULT 0,
    dependencies_updated integer NOT NULL DEFAULT 0,
    dependencies_deleted integer NOT NULL DEFAULT 0,
    alerts_created integer NOT NULL DEFAULT 0,
    alerts_updated integer NOT NULL DEFAULT 0,
    -- The one index: pages are read from its end, and pruned from its beginning.
    CONSTRAINT writes_pkey PRIMARY KEY (written_at, id),
    CONSTRAINT ck_writes_written_at_range
        CHECK (written_at > '0001-01-01 00:00:00+00' AND written_at < '9999-12-31 23:59:59.999999+00')
);

COMMENT ON TABLE public.writes IS
    'Calls that wrote through the server, one row each. Changes by plain SQL are not among them.';
COMMENT ON COLUMN public.writes.written_at IS 'When the transaction of the call began.';
COMMENT ON COLUMN public.writes.principal IS 'Who called; empty = the caller had no identity.';
COMMENT ON COLUMN public.writes.method IS 'Full name of the method: depgraph.v1.CatalogService/CreateService.';
COMMENT ON COLUMN public.writes.xid IS 'The transaction of the call; feed_id || ''/'' || xid is its revision.';

-- Add the calling transaction to the account; returns its revision. Planned once a session: planning takes longer than adding the row. The
-- rights are those of the caller: who may not write the table can't add to the account.
CREATE OR REPLACE FUNCTION public.record_write(
    principal text,
    method text,
    services_created integer,
    services_updated integer,
    services_deleted integer,
    dependencies_created integer,
    dependencies_updated integer,
    dependencies_deleted integer,
    alerts_created integer,
    alerts_updated integer
) RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
AS $$
DECLARE
    revision CONSTANT text := depgraph_feed.revision();
BEGIN
    INSERT INTO public.writes (
        principal, method, feed_id, services_created, services_updated, services_deleted, dependencies_created, dependencies_updated,
        dependencies_deleted, alerts_created, alerts_updated
    )
    VALUES (
        $1, $2, split_part(revision, '/', 1), $3, $4, $5, $6, $7, $8, $9, $10
    );
    RETURN revision;
END
$$;

-- A server whose role does not own the tables had to be given the right to note ingestions, which no other writer needs: it may note
-- writes as well, and goes on without a new grant.
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
        EXECUTE format('GRANT SELECT, INSERT, DELETE ON public.writes TO %I', server_role);
    END LOOP;
END
$$;

-- The history of what people do, by RPC or plain SQL. The actor is depgraph.principal, which a transaction may set and those of calls of a
-- caller with an identity do; without it, only who acknowledged is known. Who acknowledges for another stands there as the actor, and
-- for whom in the note. Detection says more of what it does than a trigger could: it writes its events itself, under
-- SET LOCAL depgraph.alert_events = 'written'. Runs with the owner's rights: who may write alerts writes their history.
CREATE OR REPLACE FUNCTION public.log_alert_event()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    principal CONSTANT text := NULLIF(left(current_setting('depgraph.principal', true), 255), '');
    kind text;
BEGIN
    IF current_setting('depgraph.alert_events', true) = 'written' THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        kind := 'opened';
    ELSIF NEW.status = OLD.status AND NEW.acknowledged_by IS NOT DISTINCT FROM OLD.acknowledged_by THEN
        RETURN NULL;
    ELSIF OLD.status = 'resolved' THEN
        kind := 'reopened';
    ELSE
        kind := NEW.status;
    END IF;
    INSERT INTO public.circular_dependency_alert_events (alert_id, kind, actor, note, status, cycle_path, size)
    VALUES (
        NEW.id,
        kind,
        COALESCE(principal, CASE kind WHEN 'acknowledged' THEN NEW.acknowledged_by END),
        CASE
            WHEN NEW.status = 'resolved' THEN COALESCE(NEW.resolution_notes, '')
            WHEN kind = 'acknowledged' AND NEW.acknowledged_by <> principal THEN 'for ' || NEW.acknowledged_by
            ELSE ''
        END,
        NEW.status,
        NEW.cycle_path,
        NEW.size
    );
    RETURN NULL;
END
$$;

COMMENT ON COLUMN public.circular_dependency_alert_events.actor IS
    'Who did it: the caller with an identity (depgraph.principal), else who acknowledged; "detection" for what detection did; NULL where '
    'nobody knows.';
