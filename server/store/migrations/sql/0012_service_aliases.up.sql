-- Other names of services: sources name one workload differently. Aliases are a third table that the feed follows.
--
-- What an earlier run has left goes first: a dump of the version before, restored over this schema, leaves aliases of services that are gone.
DROP TABLE IF EXISTS public.service_aliases;
DROP TABLE IF EXISTS depgraph_feed.alias_log;
DROP TABLE IF EXISTS depgraph_feed.alias_guard;

-- service_id is no foreign key, but kept like one by the triggers below: with a constraint on it, no such dump could replace the table of
-- services, nor could TRUNCATE empty the two tables that there were before without naming a third.
CREATE TABLE public.service_aliases (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    alias varchar(255) NOT NULL,
    service_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT service_aliases_pkey PRIMARY KEY (id),
    CONSTRAINT uq_service_alias UNIQUE (alias),
    CONSTRAINT ck_aliases_alias_not_empty CHECK (alias <> ''),
    CONSTRAINT ck_aliases_created_at_range
        CHECK (created_at > '0001-01-01 00:00:00+00' AND created_at < '9999-12-31 23:59:59.999999+00')
);

COMMENT ON TABLE public.service_aliases IS 'Other names of services, by which they are written and asked for.';
COMMENT ON COLUMN public.service_aliases.alias IS 'The other name; no service has it as its own.';
COMMENT ON COLUMN public.service_aliases.service_id IS 'The row of services that is meant; when that goes, so does the alias.';

-- Without it, each deleted service costs a scan of this table.
CREATE INDEX idx_aliases_service
    ON public.service_aliases (service_id);

-- Names ---------------------------------------------------------------------------------------------------------------------------------------
--
-- No alias is the name of a service, for plain SQL either. A unique index would cover one table only, so both sides look at each other's rows,
-- and a lock lets either see what the other has committed: services are created under a shared lock on (7203411, 8), aliases written under an
-- exclusive one, both held until the transaction ends. REPEATABLE READ sees nothing that was committed since it began. There, who
-- writes services finds this row changed, and fails with a serialization error; who writes aliases lets the unique index of services look.
CREATE TABLE depgraph_feed.alias_guard (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    writes bigint NOT NULL DEFAULT 0
);

INSERT INTO depgraph_feed.alias_guard DEFAULT VALUES;

-- Whether the transaction sees nothing that others commit from now on.
CREATE OR REPLACE FUNCTION depgraph_feed.snapshot_is_fixed() RETURNS boolean
LANGUAGE sql
STABLE
AS $$
    SELECT current_setting('transaction_isolation') IN ('repeatable read', 'serializable')
$$;

CREATE OR REPLACE FUNCTION depgraph_feed.refuse_name(taken text) RETURNS void
LANGUAGE plpgsql
AS $$
BEGIN
    RAISE EXCEPTION '% is an alias of a service, so it can''t be the name of one', quote_literal(taken)
        USING ERRCODE = 'unique_violation', CONSTRAINT = 'uq_service_or_alias', SCHEMA = 'public', TABLE = 'services', COLUMN = 'service_id',
            HINT = 'Write to the service that has the alias, or delete the alias from service_aliases first.';
END
$$;

-- No sequential scans: the plan is kept by the session, however many aliases there are later.
CREATE OR REPLACE FUNCTION depgraph_feed.check_new_services() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    taken text;
BEGIN
    -- Most writes of services are of such as exist: they need not wait for who writes aliases.
    IF NOT EXISTS (SELECT FROM new_rows) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock_shared(7203411, 8);
    IF depgraph_feed.snapshot_is_fixed() THEN
        PERFORM FROM depgraph_feed.alias_guard FOR SHARE;
    END IF;
    SELECT a.alias INTO taken
    FROM new_rows AS new_row
    INNER JOIN public.service_aliases AS a ON a.alias = new_row.service_id
    LIMIT 1;
    IF FOUND THEN
        PERFORM depgraph_feed.refuse_name(taken);
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE FUNCTION depgraph_feed.check_renamed_service() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7203411, 8);
    IF depgraph_feed.snapshot_is_fixed() THEN
        PERFORM FROM depgraph_feed.alias_guard FOR SHARE;
    END IF;
    IF EXISTS (SELECT FROM public.service_aliases AS a WHERE a.alias = NEW.service_id) THEN
        PERFORM depgraph_feed.refuse_name(NEW.service_id);
    END IF;
    -- As a foreign key without ON UPDATE.
    IF NEW.id <> OLD.id
        AND EXISTS (SELECT FROM public.service_aliases AS a WHERE a.service_id = OLD.id)
        AND NOT EXISTS (SELECT FROM public.services AS s WHERE s.id = OLD.id)
    THEN
        RAISE EXCEPTION 'the service % has aliases, so its id can''t change', quote_literal(OLD.service_id)
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'fk_alias_service', SCHEMA = 'public', TABLE = 'service_aliases';
    END IF;
    RETURN NULL;
END
$$;

-- As a foreign key with ON DELETE CASCADE. It takes no lock: who writes an alias has locked its service, and who truncates has locked them all.
CREATE OR REPLACE FUNCTION depgraph_feed.delete_aliases() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
BEGIN
    IF depgraph_feed.snapshot_is_fixed() THEN
        PERFORM FROM depgraph_feed.alias_guard FOR SHARE;
    END IF;
    IF TG_OP = 'TRUNCATE' THEN
        DELETE FROM public.service_aliases;
    ELSE
        DELETE FROM public.service_aliases AS a
        USING old_rows AS old_row
        WHERE a.service_id = old_row.id;
    END IF;
    RETURN NULL;
END
$$;

-- Services are locked first, as who deletes one locks it and then looks for its aliases. No writer waits for long: while this waits for a
-- transaction that has created services, all others that create some wait behind it.
CREATE OR REPLACE FUNCTION depgraph_feed.check_new_aliases() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET lock_timeout = '3s'
AS $$
DECLARE
    missing uuid;
    taken text;
    violated text;
BEGIN
    PERFORM FROM public.services AS s
    WHERE s.id IN (SELECT new_row.service_id FROM new_rows AS new_row)
    FOR KEY SHARE OF s;
    SELECT new_row.service_id INTO missing
    FROM new_rows AS new_row
    WHERE NOT EXISTS (SELECT FROM public.services AS s WHERE s.id = new_row.service_id)
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'no service has the id %, so it can''t have an alias', missing
            USING ERRCODE = 'foreign_key_violation', CONSTRAINT = 'fk_alias_service', SCHEMA = 'public', TABLE = 'service_aliases',
                COLUMN = 'service_id';
    END IF;
    PERFORM pg_advisory_xact_lock(7203411, 8);
    UPDATE depgraph_feed.alias_guard SET writes = writes + 1;
    SELECT s.service_id INTO taken
    FROM new_rows AS new_row
    INNER JOIN public.services AS s ON s.service_id = new_row.alias
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '% is the name of a service, so it can''t be an alias', quote_literal(taken)
            USING ERRCODE = 'unique_violation', CONSTRAINT = 'uq_alias_or_service', SCHEMA = 'public', TABLE = 'service_aliases',
                COLUMN = 'alias';
    END IF;
    IF depgraph_feed.snapshot_is_fixed() THEN
        -- Only a unique index sees services that others have created since the snapshot. This always fails, and leaves nothing: either a service
        -- has the name, or the trigger above refuses it.
        BEGIN
            INSERT INTO public.services (service_id)
            SELECT new_row.alias
            FROM new_rows AS new_row;
            PERFORM depgraph_feed.refuse_name('');
        EXCEPTION
            WHEN unique_violation THEN
                GET STACKED DIAGNOSTICS violated = CONSTRAINT_NAME;
                IF violated <> 'uq_service_or_alias' THEN
                    RAISE EXCEPTION 'could not serialize access: a service was created that has the name of the alias'
                        USING ERRCODE = 'serialization_failure';
                END IF;
        END;
    END IF;
    RETURN NULL;
END
$$;

CREATE OR REPLACE TRIGGER depgraph_names_insert
AFTER INSERT ON public.services
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.check_new_services();

CREATE OR REPLACE TRIGGER depgraph_names_update
AFTER UPDATE ON public.services
FOR EACH ROW
WHEN (new.service_id IS DISTINCT FROM old.service_id OR new.id IS DISTINCT FROM old.id)
EXECUTE FUNCTION depgraph_feed.check_renamed_service();

CREATE OR REPLACE TRIGGER depgraph_names_delete
AFTER DELETE ON public.services
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.delete_aliases();

CREATE OR REPLACE TRIGGER depgraph_names_truncate
AFTER TRUNCATE ON public.services
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.delete_aliases();

CREATE OR REPLACE TRIGGER depgraph_names_insert
AFTER INSERT ON public.service_aliases
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.check_new_aliases();

CREATE OR REPLACE TRIGGER depgraph_names_update
AFTER UPDATE ON public.service_aliases
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.check_new_aliases();

-- The feed ------------------------------------------------------------------------------------------------------------------------------------
--
-- Keys of changed aliases have a log of their own: readers of the version before read change_log themselves and know two tables. They
-- go on calling next_step and changes, which know nothing of aliases; readers of this version call whole_step and all_changes.
CREATE TABLE depgraph_feed.alias_log (
    xid xid8 NOT NULL,
    id uuid
) WITH (
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_insert_scale_factor = 0.2
);

CREATE INDEX alias_log_xid ON depgraph_feed.alias_log (xid);

-- As log_insert, log_update, log_delete and log_truncate of the other tables do it.
CREATE OR REPLACE FUNCTION depgraph_feed.log_alias() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        INSERT INTO depgraph_feed.alias_log (xid, id)
        SELECT pg_current_xact_id(), new_row.id
        FROM new_rows AS new_row;
    ELSIF TG_OP = 'UPDATE' THEN
        INSERT INTO depgraph_feed.alias_log (xid, id)
        SELECT pg_current_xact_id(), COALESCE(new_row.id, old_row.id)
        FROM old_rows AS old_row
        FULL JOIN new_rows AS new_row ON new_row.id = old_row.id
        WHERE new_row.id IS NULL OR old_row.id IS NULL OR new_row *<> old_row;
    ELSIF TG_OP = 'DELETE' THEN
        INSERT INTO depgraph_feed.alias_log (xid, id)
        SELECT pg_current_xact_id(), old_row.id
        FROM old_rows AS old_row;
    ELSE
        INSERT INTO depgraph_feed.alias_log (xid, id)
        VALUES (pg_current_xact_id(), NULL);
    END IF;
    IF FOUND THEN
        PERFORM depgraph_feed.wake();
    END IF;
    RETURN NULL;
END
$$;

INSERT INTO depgraph_feed.trigger_functions (name, source, definition)
SELECT p.proname, p.prosrc, pg_get_functiondef(p.oid)
FROM pg_proc AS p
WHERE p.pronamespace = to_regnamespace('depgraph_feed') AND p.proname = 'log_alias'
ON CONFLICT (name) DO UPDATE SET source = excluded.source, definition = excluded.definition;

CREATE TRIGGER depgraph_feed_insert
AFTER INSERT ON public.service_aliases
REFERENCING NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_alias(3);

CREATE TRIGGER depgraph_feed_update
AFTER UPDATE ON public.service_aliases
REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_alias(3);

CREATE TRIGGER depgraph_feed_delete
AFTER DELETE ON public.service_aliases
REFERENCING OLD TABLE AS old_rows
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_alias(3);

CREATE TRIGGER depgraph_feed_truncate
AFTER TRUNCATE ON public.service_aliases
FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_alias(3);

ALTER TABLE public.service_aliases ENABLE ALWAYS TRIGGER depgraph_feed_insert;
ALTER TABLE public.service_aliases ENABLE ALWAYS TRIGGER depgraph_feed_update;
ALTER TABLE public.service_aliases ENABLE ALWAYS TRIGGER depgraph_feed_delete;
ALTER TABLE public.service_aliases ENABLE ALWAYS TRIGGER depgraph_feed_truncate;

-- As changes, with aliases, whose source is 3.
CREATE OR REPLACE FUNCTION depgraph_feed.all_changes(since pg_snapshot) RETURNS TABLE (source smallint, id uuid)
LANGUAGE sql
STABLE
AS $$
    SELECT c.source, c.id
    FROM depgraph_feed.changes(since) AS c
    UNION ALL
    (
        SELECT 3::smallint, l.id
        FROM depgraph_feed.alias_log AS l
        WHERE l.xid >= pg_snapshot_xmax(since) AND l.xid < pg_snapshot_xmax(pg_current_snapshot())
        UNION
        SELECT 3::smallint, l.id
        FROM depgraph_feed.alias_log AS l
        WHERE l.xid = ANY (ARRAY(SELECT pg_snapshot_xip(since)))
    )
$$;

-- First statement of a reader's REPEATABLE READ step: as next_step, with aliases.
CREATE OR REPLACE FUNCTION depgraph_feed.whole_step(cursor_snapshot pg_snapshot, max_changes integer) RETURNS TABLE (
    snapshot text,
    incarnation uuid,
    usable boolean,
    sources smallint[],
    ids uuid[],
    ingestions text
)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
DECLARE
    present CONSTANT pg_snapshot := pg_current_snapshot();
BEGIN
    snapshot := present::text;
    SELECT i.id INTO incarnation
    FROM depgraph_feed.incarnation AS i
    WHERE i.identity = depgraph_feed.identity();
    usable := COALESCE(
        pg_snapshot_xmax(cursor_snapshot) <= pg_snapshot_xmax(present) AND depgraph_feed.covers_pruned(cursor_snapshot),
        false
    );
    sources := '{}';
    ids := '{}';
    IF cursor_snapshot::text <> snapshot THEN
        SELECT COALESCE(array_agg(few.source), '{}'), COALESCE(array_agg(few.id), '{}')
        INTO sources, ids
        FROM (SELECT d.source, d.id FROM depgraph_feed.all_changes(cursor_snapshot) AS d LIMIT max_changes + 1) AS few;
        IF cardinality(ids) > max_changes THEN
            sources := NULL;
            ids := NULL;
        END IF;
    END IF;
    SELECT COALESCE(json_agg(json_build_array(n.discovery_source, n.observed_at, n.ingested_at)), '[]')::text
    INTO ingestions
    FROM depgraph_feed.ingestions AS n;
    RETURN NEXT;
END
$$;

-- The feed triggers that are missing, would not always fire, or are not as migrations made them, their functions included; an empty
-- answer is the good one.
CREATE OR REPLACE FUNCTION depgraph_feed.missing_triggers() RETURNS TABLE (table_name text, trigger_name text)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.table_name, 'depgraph_feed_' || e.event
    FROM (
            VALUES
            ('services', 1, NULL),
            ('service_dependencies', 2, NULL),
            ('service_aliases', 3, 'log_alias')
        ) AS t (table_name, number, function_name),
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
            AND called.proname = COALESCE(t.function_name, 'log_' || e.event)
    )
$$;

-- Puts the feed triggers in place that are not, their functions included, and returns which those were and what was done: 'created',
-- 'replaced' or 'enabled'. Only the owner of the tables may.
--
-- What was written while a trigger was missing is in no log, so every reader reads its table anew. That
-- is exact: creating and enabling a trigger wait for the writers of the table, so everything that they wrote is seen with this log row.
CREATE OR REPLACE FUNCTION depgraph_feed.install_triggers() RETURNS TABLE (table_name text, trigger_name text, deed text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event text;
    function_name text;
    function_definition text;
    table_number smallint;
    transition_tables text;
BEGIN
    FOR table_name, trigger_name IN
        SELECT missing.table_name, missing.trigger_name
        FROM depgraph_feed.missing_triggers() AS missing
        -- services first, aliases last, as writers lock them
        ORDER BY missing.table_name = 'service_aliases', missing.table_name DESC, missing.trigger_name
    LOOP
        event := replace(trigger_name, 'depgraph_feed_', '');
        table_number := CASE table_name WHEN 'services' THEN 1 WHEN 'service_dependencies' THEN 2 ELSE 3 END;
        function_name := CASE table_number WHEN 3 THEN 'log_alias' ELSE 'log_' || event END;
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
            WHERE f.name = function_name;
            EXECUTE function_definition;
            transition_tables := CASE event
                WHEN 'insert' THEN 'REFERENCING NEW TABLE AS new_rows'
                WHEN 'update' THEN 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'
                WHEN 'delete' THEN 'REFERENCING OLD TABLE AS old_rows'
                ELSE ''
            END;
            EXECUTE format(
                'CREATE OR REPLACE TRIGGER %I AFTER %s ON public.%I %s FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.%I(%L)',
                trigger_name, event, table_name, transition_tables, function_name, table_number
            );
            EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER %I', table_name, trigger_name);
        END IF;
        IF table_number = 3 THEN
            INSERT INTO depgraph_feed.alias_log (xid, id) VALUES (pg_current_xact_id(), NULL);
        ELSE
            INSERT INTO depgraph_feed.change_log (xid, source, id)
            VALUES (pg_current_xact_id(), table_number, NULL);
        END IF;
        RETURN NEXT;
    END LOOP;
    IF FOUND THEN
        PERFORM depgraph_feed.wake();
    END IF;
END
$$;

-- What the feed rests on, as a text that differs as soon as any of it was swapped or altered: the tables and what they are (kind,
-- persistence, partition, children, row security), their columns, their feed triggers, the functions of the feed, and the logs themselves,
-- their files included, since a truncated log would look like one without news. Row versions (xmin) tell an object that was
-- dropped and made again, or disabled and enabled again, from one that was left alone. The files of the three tables are left out: TRUNCATE
-- logs itself, and VACUUM FULL changes no row.
--
-- Sorted, so that the text does not depend on a plan. Names are qualified instead of a search_path being set, which takes longer.
CREATE OR REPLACE FUNCTION depgraph_feed.identity() RETURNS text
LANGUAGE plpgsql
STABLE
AS $$
DECLARE
    feed CONSTANT oid := pg_catalog.to_regnamespace('depgraph_feed');
    logs CONSTANT oid[] := ARRAY[
        pg_catalog.to_regclass('depgraph_feed.change_log'),
        pg_catalog.to_regclass('depgraph_feed.alias_log')
    ];
    all_tables CONSTANT oid[] := ARRAY[
        pg_catalog.to_regclass('public.services'),
        pg_catalog.to_regclass('public.service_dependencies'),
        pg_catalog.to_regclass('public.service_aliases')
    ];
    relations CONSTANT oid[] := all_tables || logs || ARRAY[
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
                    CASE WHEN c.oid OPERATOR(pg_catalog.=) ANY (logs) THEN c.relfilenode END
                ),
                ' ' ORDER BY c.oid
            )
            FROM pg_catalog.pg_class AS c
            WHERE c.oid OPERATOR(pg_catalog.=) ANY (relations)
        ),
        (
            SELECT pg_catalog.string_agg(i.xmin::text, ' ' ORDER BY i.inhrelid, i.inhseqno)
            FROM pg_catalog.pg_inherits AS i
            WHERE i.inhrelid OPERATOR(pg_catalog.=) ANY (all_tables)
        ),
        (
            SELECT pg_catalog.string_agg(a.xmin::text, ' ' ORDER BY a.attrelid, a.attnum)
            FROM pg_catalog.pg_attribute AS a
            WHERE a.attrelid OPERATOR(pg_catalog.=) ANY (all_tables) AND a.attnum OPERATOR(pg_catalog.>) 0
        ),
        (
            SELECT pg_catalog.string_agg(t.xmin::text, ' ' ORDER BY t.tgrelid, t.tgname)
            FROM pg_catalog.pg_trigger AS t
            WHERE t.tgrelid OPERATOR(pg_catalog.=) ANY (all_tables)
                AND t.tgname OPERATOR(pg_catalog.=) ANY (
                    '{depgraph_feed_insert,depgraph_feed_update,depgraph_feed_delete,depgraph_feed_truncate}'::name[]
                )
        ),
        (
            SELECT pg_catalog.string_agg(p.xmin::text, ' ' ORDER BY p.proname, p.oid)
            FROM pg_catalog.pg_proc AS p
            WHERE p.proname OPERATOR(pg_catalog.=) ANY (
                    '{log_insert,log_update,log_delete,log_truncate,log_alias,changes,all_changes,covers_pruned,next_step,whole_step,identity,open,'
                    'prune,remove_pruned}'::name[]
                )
                AND p.pronamespace OPERATOR(pg_catalog.=) feed
        )
    );
END
$$;

-- Remove log rows that every reader not away for longer than `keep` has passed, or, when there are more than max_rows of them,
-- that every reader had passed which was level at the pruning before. One pruner at a time, and none while a reader reads everything (it
-- holds the second lock): what changes meanwhile must be there when it is done. Returns the number of rows removed, at most `batch`.
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
    DELETE FROM depgraph_feed.alias_log AS l
    WHERE l.xid >= pg_snapshot_xmax(pg_current_snapshot());
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
    IF (
        SELECT count(*)
        FROM (SELECT 1 FROM depgraph_feed.change_log UNION ALL SELECT 1 FROM depgraph_feed.alias_log LIMIT max_rows + 1) AS counted
    ) > max_rows THEN
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

-- Remove at most so many rows that pruned.up_to says are gone; returns how many.
CREATE OR REPLACE FUNCTION depgraph_feed.remove_pruned(batch integer) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    bound CONSTANT pg_snapshot := (SELECT p.up_to FROM depgraph_feed.pruned AS p);
    removed bigint;
    removed_of_aliases bigint;
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
    DELETE FROM depgraph_feed.alias_log AS l
    WHERE l.ctid = ANY (
        ARRAY(
            SELECT old.ctid
            FROM depgraph_feed.alias_log AS old
            WHERE old.xid < pg_snapshot_xmax(bound) AND pg_visible_in_snapshot(old.xid, bound)
            ORDER BY old.xid
            LIMIT batch - removed
        )
    );
    GET DIAGNOSTICS removed_of_aliases = ROW_COUNT;
    RETURN removed + removed_of_aliases;
END
$$;

-- Whoever may write services may write their aliases, and who reads the change log may read that of aliases.
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
    FOR server_role IN
        SELECT r.rolname
        FROM pg_class AS c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS granted
        INNER JOIN pg_roles AS r ON r.oid = granted.grantee
        WHERE c.oid = 'depgraph_feed.change_log'::regclass
            AND granted.privilege_type = 'SELECT'
            AND granted.grantee <> c.relowner
    LOOP
        EXECUTE format('GRANT SELECT ON depgraph_feed.alias_log TO %I', server_role);
        EXECUTE format('GRANT SELECT ON public.service_aliases TO %I', server_role);
    END LOOP;
END
$$;
