-- The functions as they were before, word for word.
CREATE OR REPLACE FUNCTION depgraph_feed.missing_triggers() RETURNS TABLE (table_name text, trigger_name text)
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

CREATE OR REPLACE FUNCTION depgraph_feed.open() RETURNS text
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

CREATE OR REPLACE FUNCTION depgraph_feed.revision() RETURNS text
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT depgraph_feed.open() || '/' || pg_current_xact_id()
$$;

CREATE OR REPLACE FUNCTION depgraph_feed.changes(since pg_snapshot) RETURNS TABLE (source smallint, id uuid)
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

CREATE OR REPLACE FUNCTION depgraph_feed.step(cursor_snapshot pg_snapshot, max_changes integer) RETURNS TABLE (
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

CREATE OR REPLACE FUNCTION depgraph_feed.prune(keep interval, max_rows bigint, batch integer) RETURNS bigint
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

CREATE OR REPLACE FUNCTION depgraph_feed.install_triggers() RETURNS TABLE (table_name text, trigger_name text, deed text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event text;
    table_number smallint;
    transition_tables text;
BEGIN
    FOR table_name, trigger_name IN
        SELECT missing.table_name, missing.trigger_name
        FROM depgraph_feed.missing_triggers() AS missing
        -- services first, as writers lock them
        ORDER BY missing.table_name DESC, missing.trigger_name
    LOOP
        event := replace(trigger_name, 'depgraph_feed_', '');
        table_number := CASE table_name WHEN 'services' THEN 1 ELSE 2 END;
        deed := 'enabled';
        IF NOT EXISTS (
            SELECT
            FROM pg_trigger AS found
            WHERE found.tgrelid = format('public.%I', table_name)::regclass AND found.tgname = trigger_name
        ) THEN
            deed := 'created';
            transition_tables := CASE event
                WHEN 'insert' THEN 'REFERENCING NEW TABLE AS new_rows'
                WHEN 'update' THEN 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'
                WHEN 'delete' THEN 'REFERENCING OLD TABLE AS old_rows'
                ELSE ''
            END;
            EXECUTE format(
                'CREATE TRIGGER %I AFTER %s ON public.%I %s FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.%I(%L)',
                trigger_name, event, table_name, transition_tables, 'log_' || event, table_number
            );
        END IF;
        EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER %I', table_name, trigger_name);
        INSERT INTO depgraph_feed.change_log (xid, source, id)
        VALUES (pg_current_xact_id(), table_number, NULL);
        RETURN NEXT;
    END LOOP;
    IF FOUND THEN
        PERFORM depgraph_feed.wake();
    END IF;
END
$$;

DROP FUNCTION depgraph_feed.next_step(pg_snapshot, integer);

DROP FUNCTION depgraph_feed.remove_pruned(integer);

DROP FUNCTION depgraph_feed.identity();

DROP TABLE depgraph_feed.trigger_functions;

DROP FUNCTION depgraph_feed.undone_for(text);

DROP FUNCTION depgraph_feed.did(text);

DROP TABLE depgraph_feed.duties;

ALTER TABLE depgraph_feed.incarnation
    DROP COLUMN changed_at,
    DROP COLUMN origin,
    DROP COLUMN identity;
