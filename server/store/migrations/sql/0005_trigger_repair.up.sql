-- Puts the feed triggers in place that are not, and returns which those were and what was done: 'created' or 'enabled'. Only the
-- owner of the tables may.
--
-- What was written while a trigger was missing is in no log, so every reader is told to read its table anew. That
-- is exact: creating and enabling a trigger wait for the writers of the table, so everything that they wrote is seen with this log row.
CREATE FUNCTION depgraph_feed.install_triggers() RETURNS TABLE (table_name text, trigger_name text, deed text)
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

REVOKE ALL ON FUNCTION depgraph_feed.install_triggers() FROM PUBLIC;
