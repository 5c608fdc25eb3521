DROP TRIGGER depgraph_names_insert ON public.services;
DROP TRIGGER depgraph_names_update ON public.services;
DROP TRIGGER depgraph_names_delete ON public.services;
DROP TRIGGER depgraph_names_truncate ON public.services;
DROP TABLE public.service_aliases;

-- The functions as they were before.
CREATE OR REPLACE FUNCTION depgraph_feed.missing_triggers() RETURNS TABLE (table_name text, trigger_name text)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.table_name, 'depgraph_feed_' || e.event
    FROM (VALUES ('services', 1), ('service_dependencies', 2)) AS t (table_name, number),
        (
            VALUES
            ('insert', 4, NULL, 'new_rows'),
            ('delete', 8, 'old_rows', NULL),
            ('update', 16, 'old_rows', 'new_rows'),
            ('truncate', 32, NULL, NULL)
        ) AS e (event, kind, old_rows, new_rows)
    WHERE NOT EXISTS (
        SELECT
        FROM pg_trigger AS found
        INNER JOIN pg_proc AS called ON called.oid = found.tgfoid
        INNER JOIN depgraph_feed.trigger_functions AS known
            ON known.name = called.proname AND known.source = called.prosrc
        WHERE found.tgrelid = to_regclass('public.' || t.table_name)
            AND found.tgname = 'depgraph_feed_' || e.event
            AND found.tgenabled = 'A'
            AND found.tgtype = e.kind
            AND found.tgoldtable IS NOT DISTINCT FROM e.old_rows
            AND found.tgnewtable IS NOT DISTINCT FROM e.new_rows
            AND found.tgqual IS NULL
            AND found.tgattr = ''
            AND found.tgargs = convert_to(t.number::text, 'UTF8') || '\x00'
            AND called.pronamespace = to_regnamespace('depgraph_feed')
            AND called.proname = 'log_' || e.event
    )
$$;

CREATE OR REPLACE FUNCTION depgraph_feed.install_triggers() RETURNS TABLE (table_name text, trigger_name text, deed text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event text;
    function_definition text;
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
        deed := 'created';
        IF EXISTS (
            SELECT
            FROM pg_trigger AS found
            WHERE found.tgrelid = format('public.%I', table_name)::regclass AND found.tgname = trigger_name
        ) THEN
            deed := 'enabled';
            EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER %I', table_name, trigger_name);
            IF EXISTS (
                SELECT
                FROM depgraph_feed.missing_triggers() AS still
                WHERE still.table_name = install_triggers.table_name
                    AND still.trigger_name = install_triggers.trigger_name
            ) THEN
                deed := 'replaced';
            END IF;
        END IF;
        IF deed <> 'enabled' THEN
            SELECT f.definition INTO STRICT function_definition
            FROM depgraph_feed.trigger_functions AS f
            WHERE f.name = 'log_' || event;
            EXECUTE function_definition;
            transition_tables := CASE event
                WHEN 'insert' THEN 'REFERENCING NEW TABLE AS new_rows'
                WHEN 'update' THEN 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'
                WHEN 'delete' THEN 'REFERENCING OLD TABLE AS old_rows'
                ELSE ''
            END;
            EXECUTE format(
                'CREATE OR REPLACE TRIGGER %I AFTER %s ON public.%I %s FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.%I(%L)',
                trigger_name, event, table_name, transition_tables, 'log_' || event, table_number
            );
            EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER %I', table_name, trigger_name);
        END IF;
        INSERT INTO depgraph_feed.change_log (xid, source, id)
        VALUES (pg_current_xact_id(), table_number, NULL);
        RETURN NEXT;
    END LOOP;
    IF FOUND THEN
        PERFORM depgraph_feed.wake();
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION depgraph_feed.identity() RETURNS text
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    feed CONSTANT oid := pg_catalog.to_regnamespace('depgraph_feed');
    change_log CONSTANT oid := pg_catalog.to_regclass('depgraph_feed.change_log');
    both_tables CONSTANT oid[] := ARRAY[
        pg_catalog.to_regclass('public.services'),
        pg_catalog.to_regclass('public.service_dependencies')
    ];
    relations CONSTANT oid[] := both_tables || ARRAY[
        change_log,
        pg_catalog.to_regclass('depgraph_feed.incarnation'),
        pg_catalog.to_regclass('depgraph_feed.pruned'),
        pg_catalog.to_regclass('depgraph_feed.prune_mark')
    ];
BEGIN
    RETURN pg_catalog.concat_ws(
        '/',
        (
            SELECT pg_catalog.string_agg(
                pg_catalog.concat_ws(
                    ':', c.oid, c.relkind, c.relpersistence, c.relispartition, c.relhassubclass, c.relrowsecurity, c.relforcerowsecurity,
                    CASE WHEN c.oid OPERATOR(pg_catalog.=) change_log THEN c.relfilenode END
                ),
                ' ' ORDER BY c.oid
            )
            FROM pg_catalog.pg_class AS c
            WHERE c.oid OPERATOR(pg_catalog.=) ANY (relations)
        ),
        (
            SELECT pg_catalog.string_agg(i.xmin::text, ' ' ORDER BY i.inhrelid, i.inhseqno)
            FROM pg_catalog.pg_inherits AS i
            WHERE i.inhrelid OPERATOR(pg_catalog.=) ANY (both_tables)
        ),
        (
            SELECT pg_catalog.string_agg(a.xmin::text, ' ' ORDER BY a.attrelid, a.attnum)
            FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid OPERATOR(pg_catalog.=) ANY (both_tables) AND a.attnum OPERATOR(pg_catalog.>) 0
        ),
        (
            SELECT pg_catalog.string_agg(t.xmin::text, ' ' ORDER BY t.tgrelid, t.tgname)
            FROM pg_catalog.pg_trigger AS t
            WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY (both_tables)
                AND t.tgname OPERATOR(pg_catalog.=) ANY (
                    '{depgraph_feed_insert,depgraph_feed_update,depgraph_feed_delete,depgraph_feed_truncate}'::name[]
                )
        ),
        (
            SELECT pg_catalog.string_agg(p.xmin::text, ' ' ORDER BY p.proname, p.oid)
            FROM pg_catalog.pg_proc AS p
            WHERE p.proname OPERATOR(pg_catalog.=) ANY (
                    '{log_insert,log_update,log_delete,log_truncate,changes,covers_pruned,next_step,identity,open,prune,remove_pruned}'::name[]
                )
                AND p.pronamespace OPERATOR(pg_catalog.=) feed
        )
    );
END
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
    IF NOT pg_try_advisory_xact_lock(7203411, 1) OR NOT pg_try_advisory_xact_lock(7203411, 4) THEN
        RETURN 0;
    END IF;
    -- Of another cluster, which a dump brought along: what lies in the future was neither pruned nor logged here. Each statement compares
    -- with its own snapshot: an older one would take for the future what was committed since.
    UPDATE depgraph_feed.pruned AS p SET up_to = pg_current_snapshot()
    WHERE pg_snapshot_xmax(p.up_to) > pg_snapshot_xmax(pg_current_snapshot());
    DELETE FROM depgraph_feed.prune_mark AS m
    WHERE pg_snapshot_xmax(m.snapshot) > pg_snapshot_xmax(pg_current_snapshot());
    DELETE FROM depgraph_feed.change_log AS l
    WHERE l.ctid = ANY (
        ARRAY(
            SELECT foreign_row.ctid
            FROM depgraph_feed.change_log AS foreign_row
            WHERE foreign_row.xid >= pg_snapshot_xmax(pg_current_snapshot())
            -- By the index, where the planner knows nothing of the log yet.
            ORDER BY foreign_row.xid
            LIMIT batch
        )
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    IF removed >= batch THEN
        RETURN removed;
    END IF;
    -- What the bound of a former call leaves to be removed goes first; whether there are too many rows is counted when it is gone.
    removed := removed + depgraph_feed.remove_pruned(batch - removed::integer);
    IF removed >= batch THEN
        RETURN removed;
    END IF;
    INSERT INTO depgraph_feed.prune_mark (snapshot) VALUES (pg_current_snapshot());
    PERFORM depgraph_feed.did('pruning');
    SELECT m.snapshot INTO bound
    FROM depgraph_feed.prune_mark AS m
    WHERE m.at < clock_timestamp() - keep
    ORDER BY m.at DESC
    LIMIT 1;
    IF (SELECT count(*) FROM (SELECT FROM depgraph_feed.change_log LIMIT max_rows + 1) AS counted) > max_rows THEN
        SELECT m.snapshot INTO bound
        FROM depgraph_feed.prune_mark AS m
        ORDER BY m.at DESC
        OFFSET 1
        LIMIT 1;
    END IF;
    IF bound IS NOT NULL THEN
        UPDATE depgraph_feed.pruned AS p SET up_to = bound
        WHERE pg_snapshot_xmax(p.up_to) <= pg_snapshot_xmax(bound) AND p.up_to::text <> bound::text;
        DELETE FROM depgraph_feed.prune_mark AS m WHERE pg_snapshot_xmax(m.snapshot) < pg_snapshot_xmax(bound);
        removed := removed + depgraph_feed.remove_pruned(batch - removed::integer);
    END IF;
    RETURN removed;
END
$$;

CREATE OR REPLACE FUNCTION depgraph_feed.remove_pruned(batch integer) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound CONSTANT pg_snapshot := (SELECT p.up_to FROM depgraph_feed.pruned AS p);
    removed bigint;
BEGIN
    -- By place: joined with the rows to be removed, the whole log would be read for each batch.
    DELETE FROM depgraph_feed.change_log AS l
    WHERE l.ctid = ANY (
        ARRAY(
            SELECT old.ctid
            FROM depgraph_feed.change_log AS old
            WHERE old.xid < pg_snapshot_xmax(bound) AND pg_visible_in_snapshot(old.xid, bound)
            ORDER BY old.xid
            LIMIT batch
        )
    );
    GET DIAGNOSTICS removed = ROW_COUNT;
    RETURN removed;
END
$$;

DROP FUNCTION depgraph_feed.whole_step(pg_snapshot, integer);
DROP FUNCTION depgraph_feed.all_changes(pg_snapshot);
DROP FUNCTION depgraph_feed.log_alias();
DROP FUNCTION depgraph_feed.check_new_aliases();
DROP FUNCTION depgraph_feed.delete_aliases();
DROP FUNCTION depgraph_feed.check_renamed_service();
DROP FUNCTION depgraph_feed.check_new_services();
DROP FUNCTION depgraph_feed.refuse_name(text);
DROP FUNCTION depgraph_feed.snapshot_is_fixed();
DROP TABLE depgraph_feed.alias_log;
DROP TABLE depgraph_feed.alias_guard;

DELETE FROM depgraph_feed.trigger_functions
WHERE name = 'log_alias';
