-- The change feed: keys of changed rows in a log, and everything a reader needs to continue from any snapshot.
--
-- Statement triggers write which rows changed, never what they hold: a reader looks the rows up in its own snapshot, so
-- neither the order nor the number of log rows for a key matters. Writers need no right on anything in this schema.

CREATE SCHEMA depgraph_feed;

-- xid is the writing transaction; source is 1 for services, 2 for service_dependencies; id NULL means any row of that table.
CREATE TABLE depgraph_feed.change_log (
    xid xid8 NOT NULL,
    source smallint NOT NULL,
    id uuid
) WITH (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.2
);

CREATE INDEX change_log_xid ON depgraph_feed.change_log (xid);

-- UNLOGGED on purpose: crash recovery, promotion and restore wipe it, a clean restart keeps it. That is exactly when
-- transaction ids held by a reader stop, or go on, meaning what they meant (an aborted id may be issued again after a crash).
CREATE UNLOGGED TABLE depgraph_feed.incarnation (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    id uuid NOT NULL DEFAULT gen_random_uuid()
);

-- Snapshots that the pruner passed by, by time.
CREATE TABLE depgraph_feed.prune_mark (
    at timestamptz PRIMARY KEY DEFAULT clock_timestamp(),
    snapshot pg_snapshot NOT NULL
);

-- Log rows whose transactions this snapshot sees as finished may be gone: a reader behind it has to read everything again.
-- A whole snapshot, not an id, so that one transaction left open for hours holds up neither readers nor pruning.
CREATE TABLE depgraph_feed.pruned (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    up_to pg_snapshot NOT NULL
);

INSERT INTO depgraph_feed.pruned (up_to)
VALUES (pg_current_snapshot());

-- The last successful report of each discovery source.
CREATE TABLE depgraph_feed.ingestions (
    discovery_source text PRIMARY KEY,
    observed_at timestamptz NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    -- Every step of every reader reads this table: nothing unreadable may stand in it.
    CONSTRAINT ck_ingestions_discovery_source
        CHECK (discovery_source IN ('manual', 'otel_service_graph', 'kubernetes', 'service_mesh')),
    CONSTRAINT ck_ingestions_observed_at_range
        CHECK (observed_at > '0001-01-01 00:00:00+00' AND observed_at < '9999-12-31 23:59:59.999999+00'),
    CONSTRAINT ck_ingestions_ingested_at_range
        CHECK (ingested_at > '0001-01-01 00:00:00+00' AND ingested_at < '9999-12-31 23:59:59.999999+00')
);

-- One payload-free wake-up a statement. SET depgraph.notify = 'off' (for a session, role or database) leaves readers to their
-- polling: it spares very many writers the instance-wide lock of NOTIFY and makes PREPARE TRANSACTION possible.
CREATE FUNCTION depgraph_feed.wake() RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF current_setting('depgraph.notify', true) IS DISTINCT FROM 'off' THEN
        PERFORM pg_notify('depgraph_changes', '');
    END IF;
END
$$;

CREATE FUNCTION depgraph_feed.log_insert() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO depgraph_feed.change_log (xid, source, id)
    SELECT pg_current_xact_id(), TG_ARGV[0]::smallint, new_row.id
    FROM new_rows AS new_row;
    IF FOUND THEN
        PERFORM depgraph_feed.wake();
    END IF;
    RETURN NULL;
END
$$;

-- The full join catches changed primary keys. Every column counts as held by the graph, last_observed_at included, so that
-- memory equals the tables exactly; an UPDATE that leaves a row as it was logs nothing and wakes nobody. Compared by image (*<>),
-- for readers tell the numbers 1 and 1.0 in metadata apart, and IS DISTINCT FROM does not.
CREATE FUNCTION depgraph_feed.log_update() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO depgraph_feed.change_log (xid, source, id)
    SELECT pg_current_xact_id(), TG_ARGV[0]::smallint, COALESCE(new_row.id, old_row.id)
    FROM old_rows AS old_row
    FULL JOIN new_rows AS new_row ON new_row.id = old_row.id
    WHERE new_row.id IS NULL OR old_row.id IS NULL OR new_row *<> old_row;
    IF FOUND THEN
        PERFORM depgraph_feed.wake();
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION depgraph_feed.log_delete() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO depgraph_feed.change_log (xid, source, id)
    SELECT pg_current_xact_id(), TG_ARGV[0]::smallint, old_row.id
    FROM old_rows AS old_row;
    IF FOUND THEN
        PERFORM depgraph_feed.wake();
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION depgraph_feed.log_truncate() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    INSERT INTO depgraph_feed.change_log (xid, source, id)
    VALUES (pg_current_xact_id(), TG_ARGV[0]::smallint, NULL);
    PERFORM depgraph_feed.wake();
    RETURN NULL;
END
$$;

CREATE TRIGGER depgraph_feed_insert
AFTER INSERT ON public.services
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_insert(1);

CREATE TRIGGER depgraph_feed_update
AFTER UPDATE ON public.services
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_update(1);

CREATE TRIGGER depgraph_feed_delete
AFTER DELETE ON public.services
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_delete(1);

CREATE TRIGGER depgraph_feed_truncate
AFTER TRUNCATE ON public.services
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_truncate(1);

CREATE TRIGGER depgraph_feed_insert
AFTER INSERT ON public.service_dependencies
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_insert(2);

CREATE TRIGGER depgraph_feed_update
AFTER UPDATE ON public.service_dependencies
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_update(2);

CREATE TRIGGER depgraph_feed_delete
AFTER DELETE ON public.service_dependencies
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_delete(2);

CREATE TRIGGER depgraph_feed_truncate
AFTER TRUNCATE ON public.service_dependencies
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_truncate(2);

-- ALWAYS: they also fire under session_replication_role = 'replica'.
ALTER TABLE public.services ENABLE ALWAYS TRIGGER depgraph_feed_insert;
ALTER TABLE public.services ENABLE ALWAYS TRIGGER depgraph_feed_update;
ALTER TABLE public.services ENABLE ALWAYS TRIGGER depgraph_feed_delete;
ALTER TABLE public.services ENABLE ALWAYS TRIGGER depgraph_feed_truncate;
ALTER TABLE public.service_dependencies ENABLE ALWAYS TRIGGER depgraph_feed_insert;
ALTER TABLE public.service_dependencies ENABLE ALWAYS TRIGGER depgraph_feed_update;
ALTER TABLE public.service_dependencies ENABLE ALWAYS TRIGGER depgraph_feed_delete;
ALTER TABLE public.service_dependencies ENABLE ALWAYS TRIGGER depgraph_feed_truncate;

-- The feed triggers that are missing or would not always fire; an empty answer is the good one.
CREATE FUNCTION depgraph_feed.missing_triggers() RETURNS TABLE (table_name text, trigger_name text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT wanted.table_name, wanted.trigger_name
    FROM (
        SELECT t.table_name, 'depgraph_feed_' || e.event
        FROM unnest(ARRAY['services', 'service_dependencies']) AS t (table_name),
            unnest(ARRAY['insert', 'update', 'delete', 'truncate']) AS e (event)
    ) AS wanted (table_name, trigger_name)
    WHERE NOT EXISTS (
        SELECT
        FROM pg_trigger AS found
        WHERE found.tgrelid = format('public.%I', wanted.table_name)::regclass
            AND found.tgname = wanted.trigger_name
            AND found.tgenabled = 'A'
    )
$$;

-- Which run of which database this is, "system:database:incarnation"; makes the incarnation when a crash has wiped it.
CREATE FUNCTION depgraph_feed.open() RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present uuid;
BEGIN
    -- A standby's snapshots omit transactions in progress: a reader there would lose changes.
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the change feed must be read from the primary, and this server is a standby'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT i.id INTO present FROM depgraph_feed.incarnation AS i;
    IF present IS NULL THEN
        INSERT INTO depgraph_feed.incarnation DEFAULT VALUES ON CONFLICT DO NOTHING;
        SELECT i.id INTO present FROM depgraph_feed.incarnation AS i;
    END IF;
    IF present IS NULL THEN
        RAISE EXCEPTION 'another session has just made the incarnation' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN (
        SELECT c.system_identifier || ':' || d.oid || ':' || present
        FROM pg_control_system() AS c, pg_database AS d
        WHERE d.datname = current_database()
    );
END
$$;

-- The revision of the calling transaction, for read-your-writes: call it inside the writing transaction, or after a commit,
-- from any session (it then stands for everything committed until now).
CREATE FUNCTION depgraph_feed.revision() RETURNS text
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT depgraph_feed.open() || '/' || pg_current_xact_id()
$$;

-- The three functions below set no search_path so that the planner may inline them; they run with the rights of the reader.
--
-- Whether a reader that stands at a snapshot can continue: everything pruned was finished in it.
CREATE FUNCTION depgraph_feed.covers_pruned(cursor_snapshot pg_snapshot) RETURNS boolean
LANGUAGE sql
STABLE
AS $$
    SELECT
        pg_snapshot_xmax(cursor_snapshot) >= pg_snapshot_xmax(p.up_to)
        AND NOT EXISTS (
            SELECT
            FROM pg_snapshot_xip(cursor_snapshot) AS running (xid)
            WHERE pg_visible_in_snapshot(running.xid, p.up_to)
        )
    FROM depgraph_feed.pruned AS p
$$;

-- Keys whose rows may differ between a snapshot and the caller's own: written by transactions that were in progress in it
-- or began after it, and that are finished now.
CREATE FUNCTION depgraph_feed.changes(since pg_snapshot) RETURNS TABLE (source smallint, id uuid)
LANGUAGE sql
STABLE
AS $$
    SELECT l.source, l.id
    FROM depgraph_feed.change_log AS l
    WHERE l.xid >= pg_snapshot_xmax(since)
    UNION
    SELECT l.source, l.id
    FROM depgraph_feed.change_log AS l
    WHERE l.xid = ANY (ARRAY(SELECT pg_snapshot_xip(since)))
$$;

-- First statement of a reader's REPEATABLE READ step: fixes its snapshot. incarnation is NULL right after a crash. usable says
-- whether the reader can continue from its cursor. sources and ids hold the changes when they are at most max_changes, and are
-- NULL when there are more. ingestions is a JSON array.
CREATE FUNCTION depgraph_feed.step(cursor_snapshot pg_snapshot, max_changes integer) RETURNS TABLE (
    snapshot text,
    incarnation uuid,
    usable boolean,
    sources smallint[],
    ids uuid[],
    ingestions text
)
LANGUAGE sql
STABLE
AS $$
    SELECT
        pg_current_snapshot()::text,
        (SELECT i.id FROM depgraph_feed.incarnation AS i),
        COALESCE(
            pg_snapshot_xmax(cursor_snapshot) <= pg_snapshot_xmax(pg_current_snapshot())
            AND depgraph_feed.covers_pruned(cursor_snapshot),
            false
        ),
        CASE WHEN c.amount <= max_changes THEN c.sources END,
        CASE WHEN c.amount <= max_changes THEN c.ids END,
        (
            SELECT COALESCE(json_agg(json_build_array(n.discovery_source, n.observed_at, n.ingested_at)), '[]')::text
            FROM depgraph_feed.ingestions AS n
        )
    FROM (
        SELECT
            count(*) AS amount,
            COALESCE(array_agg(few.source), '{}') AS sources,
            COALESCE(array_agg(few.id), '{}') AS ids
        FROM (
            SELECT d.source, d.id
            FROM depgraph_feed.changes(cursor_snapshot) AS d
            WHERE cursor_snapshot::text <> pg_current_snapshot()::text
            LIMIT max_changes + 1
        ) AS few
    ) AS c
$$;

-- Remove log rows that every reader not away for longer than `keep` has passed, or, when there are more than max_rows of them,
-- that every reader has passed which is level now. One pruner at a time. Returns the number of rows removed, at most `batch`.
CREATE FUNCTION depgraph_feed.prune(keep interval, max_rows bigint, batch integer) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound pg_snapshot;
    removed bigint;
BEGIN
    IF NOT pg_try_advisory_xact_lock(7203411, 1) THEN
        RETURN 0;
    END IF;
    INSERT INTO depgraph_feed.prune_mark (snapshot) VALUES (pg_current_snapshot());
    SELECT m.snapshot INTO bound
    FROM depgraph_feed.prune_mark AS m
    WHERE m.at < clock_timestamp() - keep
    ORDER BY m.at DESC
    LIMIT 1;
    IF (SELECT count(*) FROM (SELECT FROM depgraph_feed.change_log LIMIT max_rows + 1) AS counted) > max_rows THEN
        bound := pg_current_snapshot();
    END IF;
    IF bound IS NOT NULL THEN
        UPDATE depgraph_feed.pruned AS p SET up_to = bound
        WHERE pg_snapshot_xmax(p.up_to) <= pg_snapshot_xmax(bound) AND p.up_to::text <> bound::text;
        DELETE FROM depgraph_feed.prune_mark AS m WHERE pg_snapshot_xmax(m.snapshot) < pg_snapshot_xmax(bound);
    END IF;
    SELECT p.up_to INTO bound FROM depgraph_feed.pruned AS p;
    DELETE FROM depgraph_feed.change_log AS l
    USING (
        SELECT old.ctid
        FROM depgraph_feed.change_log AS old
        WHERE old.xid < pg_snapshot_xmax(bound) AND pg_visible_in_snapshot(old.xid, bound)
        ORDER BY old.xid
        LIMIT batch
    ) AS gone
    WHERE l.ctid = gone.ctid;
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

REVOKE ALL ON FUNCTION depgraph_feed.prune(interval, bigint, integer) FROM PUBLIC;
-- Writers of plain SQL fire the triggers with the owner's rights, and may ask for a revision; the log itself is not theirs.
GRANT USAGE ON SCHEMA depgraph_feed TO PUBLIC;
