-- History: an undo log of structural changes, and marks. As of a mark, a row was what its first entry that the mark's snapshot does not see
-- says, or what it is now where there is none. docs/adr/0046-history.md says why it is so.
--
-- What an earlier run has left goes first: a dump of the version before, restored over this schema, leaves a history of tables that are gone.
DROP SCHEMA IF EXISTS depgraph_history CASCADE;
CREATE SCHEMA depgraph_history;

-- The logs ------------------------------------------------------------------------------------------------------------------------------------
--
-- One entry for each structural change of a row: what it was before, existed false and NULL where there was none. One sequence for all
-- logs, drawn while the row is locked, so that it orders the changes of each row. xid is the writing transaction.
CREATE SEQUENCE depgraph_history.seq;

CREATE TABLE depgraph_history.service_changes (
    seq bigint NOT NULL,
    xid xid8 NOT NULL,
    at timestamptz NOT NULL,
    created_at timestamptz,
    id uuid NOT NULL,
    existed boolean NOT NULL,
    discovered boolean,
    principal text,
    service_id varchar(255),
    metadata jsonb,
    criticality text,
    team varchar(255),
    kind text
);

-- confidence_score is the one reported, which decay leaves alone.
CREATE TABLE depgraph_history.dependency_changes (
    seq bigint NOT NULL,
    xid xid8 NOT NULL,
    at timestamptz NOT NULL,
    created_at timestamptz,
    confidence_score double precision,
    id uuid NOT NULL,
    source_service_id uuid,
    target_service_id uuid,
    timeout_ms integer,
    existed boolean NOT NULL,
    is_stale boolean,
    principal text,
    communication_mode text,
    criticality text,
    protocol varchar(50),
    retry_config jsonb,
    discovery_source text
);

CREATE TABLE depgraph_history.alias_changes (
    seq bigint NOT NULL,
    xid xid8 NOT NULL,
    at timestamptz NOT NULL,
    created_at timestamptz,
    id uuid NOT NULL,
    service_id uuid,
    existed boolean NOT NULL,
    principal text,
    alias varchar(255)
);

CREATE INDEX service_changes_xid ON depgraph_history.service_changes (xid);
CREATE INDEX dependency_changes_xid ON depgraph_history.dependency_changes (xid);
CREATE INDEX alias_changes_xid ON depgraph_history.alias_changes (xid);

-- Entries go in at the end and out at the beginning. Cutting empty pages off the end would lock writers out for a moment.
ALTER TABLE depgraph_history.service_changes SET (autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);
ALTER TABLE depgraph_history.dependency_changes SET (autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);
ALTER TABLE depgraph_history.alias_changes SET (autovacuum_vacuum_scale_factor = 0.05, vacuum_truncate = false);

-- Which table has which log, and which of its columns are structural: all but observation times, updated_at and decay.
CREATE TABLE depgraph_history.logged_tables (
    name text PRIMARY KEY,
    log text NOT NULL,
    -- In the order in which writers lock the tables.
    number smallint NOT NULL UNIQUE,
    columns text[] NOT NULL
);

INSERT INTO depgraph_history.logged_tables (name, log, number, columns) VALUES
    ('services', 'service_changes', 1, '{service_id,metadata,criticality,team,discovered,kind,created_at}'),
    (
        'service_dependencies', 'dependency_changes', 2,
        '{source_service_id,target_service_id,communication_mode,criticality,protocol,timeout_ms,retry_config,discovery_source,'
        'confidence_score,is_stale,created_at}'
    ),
    ('service_aliases', 'alias_changes', 3, '{alias,service_id,created_at}');

-- Whether history is written.
CREATE TABLE depgraph_history.switch (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    is_on boolean NOT NULL
);

INSERT INTO depgraph_history.switch (is_on) VALUES (true);

-- Counts what went past the logs: a hole. A sequence is not transactional, so whoever sees what a writer wrote sees its hole.
CREATE SEQUENCE depgraph_history.holes;

-- A lineage is a stretch of history without holes. identity and origin say what it rests on, and holes how many there were when it began;
-- it ends when any of them differs. is_ready = every transaction below began has finished: nobody writes past the logs any more, unless
-- that counts a hole.
CREATE TABLE depgraph_history.lineages (
    id integer PRIMARY KEY,
    identity text NOT NULL,
    origin text NOT NULL,
    holes bigint NOT NULL,
    began_at timestamptz NOT NULL,
    began xid8 NOT NULL,
    is_ready boolean NOT NULL,
    cause text NOT NULL CHECK (cause IN ('begun', 'switched', 'holes', 'restored', 'altered'))
);

-- Moments that can be gone back to. at ascends, whatever the clock does.
CREATE TABLE depgraph_history.marks (
    at timestamptz PRIMARY KEY,
    lineage integer NOT NULL,
    snapshot pg_snapshot NOT NULL,
    feed_id text NOT NULL
);

-- The triggers --------------------------------------------------------------------------------------------------------------------------------
--
-- Writers never fail because of history, nor wait for it longer than lock_timeout says: an error counts a hole, and so does a change
-- while history is off, since a transaction with a fixed snapshot may take it for off long after it was switched on. An update is compared
-- by image, for readers tell the numbers 1 and 1.0 in metadata apart. The full join finds changed primary keys, and no plan of it that the
-- session keeps compares each row with each. TRUNCATE shows no rows, so they are copied before; a fixed snapshot may not have all of them.
-- A serialization failure tells a transaction that its writes have doomed it: it would not commit, and a hole would cost the history.
CREATE FUNCTION depgraph_history.trigger_source(wanted_table text, event text) RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    logged depgraph_history.logged_tables;
    former text;
    present text;
    entries text;
BEGIN
    SELECT * INTO STRICT logged FROM depgraph_history.logged_tables AS t WHERE t.name = wanted_table;
    former := replace(
        'o.' || array_to_string(logged.columns, ', o.'), 'o.confidence_score', 'COALESCE(o.reported_confidence, o.confidence_score)'
    );
    present := replace(former, 'o.', 'n.');
    entries := CASE event
        WHEN 'insert' THEN 'n.id, false FROM new_rows AS n'
        WHEN 'update' THEN format(
            'COALESCE(o.id, n.id), o.id IS NOT NULL, %1$s FROM old_rows AS o FULL JOIN new_rows AS n ON n.id = o.id '
            'WHERE ROW(o.id, %1$s)::record *<> ROW(n.id, %2$s)::record',
            former, present
        )
        WHEN 'delete' THEN format('o.id, true, %s FROM old_rows AS o', former)
        WHEN 'truncate' THEN format('o.id, true, %s FROM public.%I AS o', former, wanted_table)
    END;
    RETURN format(
        $source$
DECLARE
    moment timestamptz;
    writer text;
BEGIN
    IF %4$s THEN
        moment := clock_timestamp();
        writer := NULLIF(left(current_setting('depgraph.principal', true), 255), '');
        INSERT INTO depgraph_history.%1$I (seq, xid, at, principal, id, existed%2$s)
        SELECT nextval('depgraph_history.seq'), pg_current_xact_id(), moment, writer, %3$s;
    ELSE
        PERFORM nextval('depgraph_history.holes');
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN serialization_failure THEN
        RAISE;
    WHEN OTHERS THEN
        RAISE LOG 'depgraph: %% of %% is not in history: %%', TG_OP, TG_TABLE_NAME, SQLERRM;
        BEGIN
            PERFORM nextval('depgraph_history.holes');
        EXCEPTION
            WHEN OTHERS THEN
                RAISE WARNING 'depgraph: a hole in history was not counted: %%', SQLERRM;
        END;
        RETURN NULL;
END
$source$,
        logged.log,
        CASE event WHEN 'insert' THEN '' ELSE ', ' || array_to_string(logged.columns, ', ') END,
        entries,
        '(SELECT s.is_on FROM depgraph_history.switch AS s)'
            || CASE event
                WHEN 'truncate' THEN ' AND current_setting(''transaction_isolation'') NOT IN (''repeatable read'', ''serializable'')'
                ELSE ''
            END
    );
END
$$;

-- The history triggers that are missing, would not always fire, or are not as they should be, their functions included; an empty answer
-- is the good one.
CREATE FUNCTION depgraph_history.missing_triggers() RETURNS TABLE (table_name text, trigger_name text)
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT t.name, 'depgraph_history_' || e.event
    FROM depgraph_history.logged_tables AS t,
        (
            VALUES
            (1, 'insert', 4, NULL, 'new_rows'),
            (2, 'update', 16, 'old_rows', 'new_rows'),
            (3, 'delete', 8, 'old_rows', NULL),
            (4, 'truncate', 2 | 32, NULL, NULL)
        ) AS e (number, event, kind, old_rows, new_rows)
    WHERE NOT EXISTS (
        SELECT
        FROM pg_trigger AS found
        INNER JOIN pg_proc AS called ON called.oid = found.tgfoid
        WHERE found.tgrelid = to_regclass('public.' || t.name)
            AND found.tgname = 'depgraph_history_' || e.event
            AND found.tgenabled = 'A'
            AND found.tgtype = e.kind
            AND found.tgoldtable IS NOT DISTINCT FROM e.old_rows
            AND found.tgnewtable IS NOT DISTINCT FROM e.new_rows
            AND found.tgqual IS NULL
            AND found.tgattr = ''
            AND called.pronamespace = to_regnamespace('depgraph_history')
            AND called.proname = t.name || '_' || e.event
            AND called.prosecdef
            AND called.prosrc = depgraph_history.trigger_source(t.name, e.event)
    )
    ORDER BY t.number, e.number
$$;

-- Puts the history triggers in place that are not, their functions included, and returns which those were and what was done: 'created',
-- 'replaced' or 'enabled'. Only the owner of the tables may. A lineage ends with it.
CREATE FUNCTION depgraph_history.install_triggers() RETURNS TABLE (table_name text, trigger_name text, deed text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    event text;
BEGIN
    FOR table_name, trigger_name IN
        SELECT missing.table_name, missing.trigger_name
        FROM depgraph_history.missing_triggers() AS missing
    LOOP
        event := replace(trigger_name, 'depgraph_history_', '');
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
                FROM depgraph_history.missing_triggers() AS still
                WHERE still.table_name = install_triggers.table_name
                    AND still.trigger_name = install_triggers.trigger_name
            ) THEN
                deed := 'replaced';
            END IF;
        END IF;
        IF deed <> 'enabled' THEN
            PERFORM depgraph_history.write_trigger_function(table_name, event);
            EXECUTE format(
                'CREATE OR REPLACE TRIGGER %I %s %s ON public.%I %s FOR EACH STATEMENT EXECUTE FUNCTION depgraph_history.%I()',
                trigger_name,
                CASE event WHEN 'truncate' THEN 'BEFORE' ELSE 'AFTER' END,
                event,
                table_name,
                CASE event
                    WHEN 'insert' THEN 'REFERENCING NEW TABLE AS new_rows'
                    WHEN 'update' THEN 'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows'
                    WHEN 'delete' THEN 'REFERENCING OLD TABLE AS old_rows'
                    ELSE ''
                END,
                table_name || '_' || event
            );
            EXECUTE format('ALTER TABLE public.%I ENABLE ALWAYS TRIGGER %I', table_name, trigger_name);
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;

-- lock_timeout: a session that holds a log for itself, as VACUUM FULL does, delays each statement of a writer for so long at most.
CREATE FUNCTION depgraph_history.write_trigger_function(table_name text, event text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    EXECUTE format(
        'CREATE OR REPLACE FUNCTION depgraph_history.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER '
        'SET search_path = pg_catalog, pg_temp SET row_security = off SET lock_timeout = ''300ms'' AS %L',
        table_name || '_' || event,
        depgraph_history.trigger_source(table_name, event)
    );
END
$$;

-- A structural column that a later migration has added to a table: its log gets it, too, and the lineage goes on, for who adds a column has
-- the table for itself. NULL in former entries stands for the default that rows got. To be called by that migration, in its transaction.
CREATE FUNCTION depgraph_history.add_column(table_name text, column_name text) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    former CONSTANT text := depgraph_history.identity();
    logged depgraph_history.logged_tables;
    event text;
BEGIN
    SELECT * INTO STRICT logged FROM depgraph_history.logged_tables AS t WHERE t.name = table_name;
    EXECUTE format(
        'ALTER TABLE depgraph_history.%I ADD COLUMN %I %s',
        logged.log,
        column_name,
        (
            SELECT format_type(a.atttypid, a.atttypmod)
            FROM pg_attribute AS a
            WHERE a.attrelid = format('public.%I', table_name)::regclass AND a.attname = column_name
        )
    );
    UPDATE depgraph_history.logged_tables AS t SET columns = t.columns || column_name WHERE t.name = table_name;
    FOREACH event IN ARRAY ARRAY['insert', 'update', 'delete', 'truncate'] LOOP
        PERFORM depgraph_history.write_trigger_function(table_name, event);
    END LOOP;
    UPDATE depgraph_history.lineages AS l SET identity = depgraph_history.identity() WHERE l.identity = former;
END
$$;

-- Lineages ------------------------------------------------------------------------------------------------------------------------------------
--
-- What history rests on, as a text that differs as soon as any of it was swapped, altered or switched: the tables; the logs and the
-- sequences; the files of these, since a sequence may begin again; and row versions (xmin), which tell an object that was dropped and made
-- again, or disabled and enabled again, from one that was left alone: structural columns, history triggers, their functions, the switch.
-- Other columns may come and go. Nothing in it depends on a crash, nor on VACUUM FULL: a log that is emptied counts a hole.
CREATE FUNCTION depgraph_history.identity() RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    logs CONSTANT oid[] := ARRAY(
        SELECT to_regclass(format('depgraph_history.%I', t.log)) FROM depgraph_history.logged_tables AS t
    ) || ARRAY[to_regclass('depgraph_history.seq'), to_regclass('depgraph_history.holes')]::oid[];
    tables CONSTANT oid[] := ARRAY(
        SELECT to_regclass(format('public.%I', t.name)) FROM depgraph_history.logged_tables AS t
    );
BEGIN
    RETURN concat_ws(
        '/',
        (
            SELECT string_agg(concat_ws(':', c.oid, c.relkind, c.relispartition, c.relhassubclass), ' ' ORDER BY c.oid)
            FROM pg_class AS c
            WHERE c.oid = ANY (tables)
        ),
        (
            SELECT string_agg(c.oid::text, ' ' ORDER BY c.oid)
            FROM pg_class AS c
            WHERE c.oid = ANY (logs)
        ),
        (
            SELECT string_agg(
                concat_ws(':', CASE c.relkind WHEN 'S' THEN c.relfilenode END, c.relpersistence), ' ' ORDER BY c.oid
            )
            FROM pg_class AS c
            WHERE c.oid = ANY (logs)
        ),
        (
            SELECT string_agg(concat_ws(':', a.attnum, a.xmin), ' ' ORDER BY a.attrelid, a.attnum)
            FROM depgraph_history.logged_tables AS t
            INNER JOIN pg_attribute AS a
                ON a.attrelid = to_regclass(format('public.%I', t.name))
                    AND a.attname = ANY (t.columns || '{id,reported_confidence}')
        ),
        (
            SELECT string_agg(g.xmin::text, ' ' ORDER BY g.tgrelid, g.tgname)
            FROM pg_trigger AS g
            WHERE g.tgrelid = ANY (tables || logs) AND g.tgname LIKE 'depgraph\_history\_%'
        ),
        (
            SELECT string_agg(p.xmin::text, ' ' ORDER BY p.oid)
            FROM pg_proc AS p
            WHERE p.pronamespace = to_regnamespace('depgraph_history') AND p.prorettype = 'trigger'::regtype
        ),
        (SELECT s.xmin FROM depgraph_history.switch AS s)
    );
END
$$;

-- The cluster and the database, "system:database", as revisions of the feed begin.
CREATE FUNCTION depgraph_history.origin() RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT c.system_identifier || ':' || d.oid
    FROM pg_control_system() AS c, pg_database AS d
    WHERE d.datname = current_database()
$$;

CREATE FUNCTION depgraph_history.count_of_holes() RETURNS bigint
LANGUAGE sql
VOLATILE
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT CASE WHEN h.is_called THEN h.last_value ELSE 0 END
    FROM depgraph_history.holes AS h
$$;

-- The lineage that holds: the latest one, if it is ready, nothing that it rests on has changed, there is no new hole, and history is on.
-- NULL = none does. Marks of another are no exact ones.
CREATE FUNCTION depgraph_history.holding_lineage() RETURNS integer
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.id
    FROM depgraph_history.lineages AS l
    WHERE l.id = (SELECT max(latest.id) FROM depgraph_history.lineages AS latest)
        AND l.is_ready
        AND l.holes = depgraph_history.count_of_holes()
        AND l.identity = depgraph_history.identity()
        AND l.origin = depgraph_history.origin()
        AND (SELECT s.is_on FROM depgraph_history.switch AS s)
$$;

-- Marks ---------------------------------------------------------------------------------------------------------------------------------------

CREATE FUNCTION depgraph_history.set_switch(wanted boolean) RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    UPDATE depgraph_history.switch AS s SET is_on = wanted WHERE s.is_on <> wanted
$$;

-- Whether a log has an entry that is visible now, and was not in a snapshot.
CREATE FUNCTION depgraph_history.has_entries_since(former pg_snapshot) RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
    SELECT
        EXISTS (SELECT FROM depgraph_history.service_changes AS e WHERE e.xid >= pg_snapshot_xmax(former))
        OR EXISTS (SELECT FROM depgraph_history.dependency_changes AS e WHERE e.xid >= pg_snapshot_xmax(former))
        OR EXISTS (SELECT FROM depgraph_history.alias_changes AS e WHERE e.xid >= pg_snapshot_xmax(former))
        OR EXISTS (SELECT FROM depgraph_history.service_changes AS e WHERE e.xid = ANY (ARRAY(SELECT pg_snapshot_xip(former))))
        OR EXISTS (SELECT FROM depgraph_history.dependency_changes AS e WHERE e.xid = ANY (ARRAY(SELECT pg_snapshot_xip(former))))
        OR EXISTS (SELECT FROM depgraph_history.alias_changes AS e WHERE e.xid = ANY (ARRAY(SELECT pg_snapshot_xip(former))))
$$;

-- Begins a lineage where the former does not hold; NULL = not yet. Holes are counted first: who counts one later ends this lineage, and
-- who did so earlier has an id below `began`, as has whoever uses a function that was swapped: a trigger fires when rows are written.
CREATE FUNCTION depgraph_history.begin_lineage() RETURNS depgraph_history.lineages
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present depgraph_history.lineages;
    former depgraph_history.lineages;
    log text;
BEGIN
    present.holes := depgraph_history.count_of_holes();
    present.identity := depgraph_history.identity();
    present.origin := depgraph_history.origin();
    SELECT * INTO former FROM depgraph_history.lineages AS l ORDER BY l.id DESC LIMIT 1;
    IF FOUND AND (former.holes, former.identity, former.origin) = (present.holes, present.identity, present.origin) THEN
        RETURN former;
    END IF;
    -- PostgreSQL logs a sequence some values ahead, and a crash goes on behind these. With none ahead, a crash looks like no hole. To count
    -- up may give this transaction its id: who counts a hole meanwhile may have a later one, and is not waited for.
    WHILE (SELECT h.is_called AND h.log_cnt > 0 FROM depgraph_history.holes AS h) LOOP
        present.holes := present.holes + 1;
        IF nextval('depgraph_history.holes') <> present.holes THEN
            RETURN NULL;
        END IF;
    END LOOP;
    -- A restore of data alone brings marks whose lineages it can't bring.
    present.id := GREATEST(former.id, (SELECT max(m.lineage) FROM depgraph_history.marks AS m), 0) + 1;
    present.began_at := clock_timestamp();
    present.began := pg_current_xact_id();
    present.is_ready := false;
    present.cause := CASE
        WHEN former.id IS NULL THEN 'begun'
        WHEN former.holes <> present.holes THEN 'holes'
        WHEN former.origin <> present.origin
            OR split_part(former.identity, '/', 1) <> split_part(present.identity, '/', 1)
            AND split_part(former.identity, '/', 2) <> split_part(present.identity, '/', 2) THEN 'restored'
        WHEN split_part(former.identity, '/', 7) <> split_part(present.identity, '/', 7) THEN 'switched'
        ELSE 'altered'
    END;
    INSERT INTO depgraph_history.lineages SELECT present.*;
    -- A restore may have brought transactions of another cluster, whose ids come again here. Every snapshot takes 3 for finished, as those
    -- of this lineage take all that were before it.
    FOR log IN SELECT t.log FROM depgraph_history.logged_tables AS t LOOP
        EXECUTE format('UPDATE depgraph_history.%I SET xid = ''3'' WHERE xid >= $1', log) USING present.began;
    END LOOP;
    RETURN present;
END
$$;

-- Mark this moment, if anything changed since the last mark. To be called alone, by one process. Returns what it did:
-- 'marked', 'unchanged', 'waiting' (for transactions that began before the lineage did), 'incomplete' (triggers are missing) or 'off'.
CREATE FUNCTION depgraph_history.mark() RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    present depgraph_history.lineages;
    former pg_snapshot;
    seen pg_snapshot;
BEGIN
    IF pg_current_xact_id_if_assigned() IS NOT NULL THEN
        RAISE EXCEPTION 'the transaction that marks must not have written anything' USING ERRCODE = 'active_sql_transaction';
    END IF;
    PERFORM pg_advisory_xact_lock(7203411, 10);
    IF (SELECT s.is_on FROM depgraph_history.switch AS s) IS NOT TRUE THEN
        RETURN 'off';
    END IF;
    IF EXISTS (SELECT FROM depgraph_history.missing_triggers()) THEN
        RETURN 'incomplete';
    END IF;
    present := depgraph_history.begin_lineage();
    IF present.id IS NULL THEN
        RETURN 'waiting';
    END IF;
    IF NOT present.is_ready THEN
        IF pg_snapshot_xmin(pg_current_snapshot()) < present.began THEN
            RETURN 'waiting';
        END IF;
        UPDATE depgraph_history.lineages AS l SET is_ready = true WHERE l.id = present.id;
    END IF;
    SELECT m.snapshot INTO former
    FROM depgraph_history.marks AS m
    WHERE m.lineage = present.id
    ORDER BY m.at DESC
    LIMIT 1;
    IF FOUND AND NOT depgraph_history.has_entries_since(former) THEN
        RETURN 'unchanged';
    END IF;
    -- Durable, and written under an id above all that the snapshot sees, hence the subtransaction: a crash must not let PostgreSQL issue an
    -- id again that the mark takes for finished.
    PERFORM set_config('synchronous_commit', 'on', true)
    WHERE current_setting('synchronous_commit') IN ('off', 'local');
    seen := pg_current_snapshot();
    BEGIN
        INSERT INTO depgraph_history.marks (at, lineage, snapshot, feed_id)
        SELECT
            GREATEST(clock_timestamp(), (SELECT max(m.at) FROM depgraph_history.marks AS m) + interval '1 microsecond'),
            present.id,
            seen,
            depgraph_feed.open();
    EXCEPTION
        WHEN assert_failure THEN
            RAISE;
    END;
    RETURN 'marked';
END
$$;

-- Remove what only times before now - keep need: marks before the last one at or before that, and entries that it sees; while history is
-- off, everything. Returns the number of entries removed, at most `batch`.
CREATE FUNCTION depgraph_history.prune(keep interval, batch integer) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
AS $$
DECLARE
    is_on CONSTANT boolean := (SELECT s.is_on FROM depgraph_history.switch AS s);
    latest CONSTANT integer := (SELECT max(l.id) FROM depgraph_history.lineages AS l);
    bound depgraph_history.marks;
    log text;
    removed bigint;
    total bigint := 0;
BEGIN
    PERFORM pg_advisory_xact_lock(7203411, 10);
    IF is_on THEN
        SELECT * INTO bound
        FROM depgraph_history.marks AS m
        WHERE m.at <= clock_timestamp() - keep
        ORDER BY m.at DESC
        LIMIT 1;
        IF NOT FOUND THEN
            RETURN 0;
        END IF;
    END IF;
    DELETE FROM depgraph_history.marks AS m WHERE m.at < bound.at OR NOT is_on;
    DELETE FROM depgraph_history.lineages AS l WHERE l.id < COALESCE(bound.lineage, latest);
    FOR log IN SELECT t.log FROM depgraph_history.logged_tables AS t ORDER BY t.number LOOP
        -- By place: joined with the entries to be removed, the whole log would be read for each batch.
        EXECUTE format(
            'DELETE FROM depgraph_history.%1$I WHERE ctid = ANY (ARRAY('
            'SELECT e.ctid FROM depgraph_history.%1$I AS e WHERE %2$s LIMIT $3))',
            log,
            CASE
                WHEN NOT is_on THEN 'true'
                WHEN bound.lineage = latest
                    THEN 'e.xid < pg_snapshot_xmax($1) AND pg_visible_in_snapshot(e.xid, $1) ORDER BY e.xid'
                -- A snapshot of another cluster, perhaps, says nothing here.
                ELSE 'e.at <= $2'
            END
        )
        USING bound.snapshot, bound.at, batch - total;
        GET DIAGNOSTICS removed = ROW_COUNT;
        total := total + removed;
    END LOOP;
    RETURN total;
END
$$;

-- CREATE TRIGGER waits for whoever is writing, and all other writers would wait behind it. So it gives up after a moment, lets them pass,
-- and tries again.
DO $$
BEGIN
    SET LOCAL lock_timeout = '200ms';
    LOOP
        BEGIN
            LOCK TABLE public.services, public.service_dependencies, public.service_aliases IN SHARE ROW EXCLUSIVE MODE;
            EXIT;
        EXCEPTION
            WHEN lock_not_available THEN
                PERFORM pg_sleep(0.3);
        END;
    END LOOP;
    SET LOCAL lock_timeout = DEFAULT;
END
$$;

SELECT depgraph_history.install_triggers();

-- A log that is emptied is a hole: without its entries, nothing seems to have changed.
CREATE FUNCTION depgraph_history.count_hole() RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    PERFORM nextval('depgraph_history.holes');
    RETURN NULL;
END
$$;

DO $$
DECLARE
    log text;
BEGIN
    FOR log IN SELECT t.log FROM depgraph_history.logged_tables AS t LOOP
        EXECUTE format(
            'CREATE TRIGGER depgraph_history_truncate BEFORE TRUNCATE ON depgraph_history.%I '
            'FOR EACH STATEMENT EXECUTE FUNCTION depgraph_history.count_hole()',
            log
        );
        EXECUTE format('ALTER TABLE depgraph_history.%I ENABLE ALWAYS TRIGGER depgraph_history_truncate', log);
    END LOOP;
END
$$;

REVOKE ALL ON FUNCTION
    depgraph_history.install_triggers(), depgraph_history.write_trigger_function(text, text), depgraph_history.add_column(text, text),
    depgraph_history.begin_lineage(), depgraph_history.set_switch(boolean), depgraph_history.mark(),
    depgraph_history.prune(interval, integer)
FROM PUBLIC;

-- A server whose role does not own the tables may note ingestions: it may read, mark and prune history as well, and goes on without a
-- new grant.
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
        EXECUTE format('GRANT USAGE ON SCHEMA depgraph_history TO %I', server_role);
        EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA depgraph_history TO %I', server_role);
        EXECUTE format(
            'GRANT EXECUTE ON FUNCTION depgraph_history.set_switch(boolean), depgraph_history.mark(), '
            'depgraph_history.prune(interval, integer) TO %I',
            server_role
        );
    END LOOP;
END
$$;
