-- Continuity is judged by more than transaction ids: the relations, triggers and functions that the feed rests on must be the very
-- ones that they were. A restore, a rename, an ALTER TABLE or a swapped function changes rows, or what is logged, past the log.
--
-- It runs over what an earlier run has left, too: a dump of the version before, restored over this schema, leaves what it does not know.

-- identity is what depgraph_feed.identity() said when this incarnation began, origin the cluster and the database that it began in.
-- A dump holds both, so a restored row is recognised: its relations have other object ids, or its cluster has another identifier.
-- changed_at is the snapshot in which an identity was found to have changed: transactions in progress in it may have written past the log,
-- since a function is swapped without waiting for writers, as a trigger is not. NULL = the incarnation began with the database, or a crash.
ALTER TABLE depgraph_feed.incarnation
    ADD COLUMN IF NOT EXISTS identity text,
    ADD COLUMN IF NOT EXISTS origin text,
    ADD COLUMN IF NOT EXISTS changed_at pg_snapshot;

-- The function open() of the version before takes a table without a key. If a reader calls it while such a restore has made the table but
-- not yet its key, a second row appears, and the key can't be made. No row is worth keeping: after a restore the incarnation is a new one.
DO $$
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_constraint AS c
        WHERE c.conrelid = to_regclass('depgraph_feed.incarnation') AND c.contype = 'p'
    ) THEN
        DELETE FROM depgraph_feed.incarnation;
        ALTER TABLE depgraph_feed.incarnation ADD CONSTRAINT incarnation_pkey PRIMARY KEY (only_row);
    END IF;
END
$$;

-- When somebody last did a duty that one process at a time does. UNLOGGED: written every few seconds, worthless after a crash.
CREATE UNLOGGED TABLE IF NOT EXISTS depgraph_feed.duties (
    duty text PRIMARY KEY,
    done_at timestamptz NOT NULL
);

-- Note that a duty was done just now. Whoever may do the work may say so, without a right that it did not need before.
CREATE OR REPLACE FUNCTION depgraph_feed.did(done text) RETURNS void
LANGUAGE sql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    INSERT INTO depgraph_feed.duties (duty, done_at)
    VALUES (done, clock_timestamp())
    ON CONFLICT (duty) DO UPDATE SET done_at = excluded.done_at
$$;

-- How long ago a duty was done; NULL = not since the database was started after a crash.
CREATE OR REPLACE FUNCTION depgraph_feed.undone_for(wanted text) RETURNS interval
LANGUAGE sql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT clock_timestamp() - d.done_at
    FROM depgraph_feed.duties AS d
    WHERE d.duty = wanted
$$;

-- The functions of the feed triggers as migrations made them: source tells whether one was swapped, definition puts it back.
CREATE TABLE IF NOT EXISTS depgraph_feed.trigger_functions (
    name text PRIMARY KEY,
    source text NOT NULL,
    definition text NOT NULL
);

-- As migration 0004 made them, should one have been swapped since: what is noted here counts from now on.
CREATE OR REPLACE FUNCTION depgraph_feed.log_insert() RETURNS trigger
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

CREATE OR REPLACE FUNCTION depgraph_feed.log_update() RETURNS trigger
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

CREATE OR REPLACE FUNCTION depgraph_feed.log_delete() RETURNS trigger
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

CREATE OR REPLACE FUNCTION depgraph_feed.log_truncate() RETURNS trigger
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

INSERT INTO depgraph_feed.trigger_functions (name, source, definition)
SELECT p.proname, p.prosrc, pg_get_functiondef(p.oid)
FROM pg_proc AS p
WHERE p.pronamespace = to_regnamespace('depgraph_feed')
    AND p.proname IN ('log_insert', 'log_update', 'log_delete', 'log_truncate')
ON CONFLICT (name) DO UPDATE SET source = excluded.source, definition = excluded.definition;

-- The feed triggers that are missing, would not always fire, or are not as migrations made them, their functions included; an empty
-- answer is the good one.
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

-- Puts the feed triggers in place that are not, their functions included, and returns which those were and what was done: 'created',
-- 'replaced' or 'enabled'. Only the owner of the tables may.
--
-- What was written while a trigger was missing is in no log, so every reader is told to read its table anew. That
-- is exact: creating and enabling a trigger wait for the writers of the table, so everything that they wrote is seen with this log row.
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

-- What the feed rests on, as a text that differs as soon as any of it was swapped or altered: the tables and what they are (kind,
-- persistence, partition, children, row security), their columns, their feed triggers, the functions of the feed, and the log itself,
-- its file included, since a truncated log would look like one without news. Row versions (xmin) tell an object that was
-- dropped and made again, or disabled and enabled again, from one that was left alone. The files of the two tables are left out: TRUNCATE logs
-- itself, and VACUUM FULL changes no row.
--
-- Sorted, so that the text does not depend on a plan. Names are qualified instead of a search_path being set, which takes longer.
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

-- Which run of which database this is, "system:database:incarnation". Makes a new incarnation when a crash has wiped the former, and when
-- what the feed rests on is not what it was: then nobody can tell what changed, every reader reads everything, and revisions from
-- before mean nothing any more. Nor do marks of the pruner and ids of transactions that a dump brought along.
CREATE OR REPLACE FUNCTION depgraph_feed.open() RETURNS text
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
    found_identity CONSTANT text := depgraph_feed.identity();
    found_origin text;
    present uuid;
BEGIN
    -- A standby's snapshots omit transactions in progress: a reader there would lose changes.
    IF pg_is_in_recovery() THEN
        RAISE EXCEPTION 'the change feed must be read from the primary, and this server is a standby'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    SELECT c.system_identifier || ':' || d.oid INTO found_origin
    FROM pg_control_system() AS c, pg_database AS d
    WHERE d.datname = current_database();
    SELECT i.id INTO present
    FROM depgraph_feed.incarnation AS i
    WHERE i.identity = found_identity AND i.origin = found_origin;
    IF present IS NULL THEN
        INSERT INTO depgraph_feed.incarnation AS i (identity, origin)
        VALUES (found_identity, found_origin)
        ON CONFLICT (only_row) DO UPDATE
            SET id = gen_random_uuid(), identity = excluded.identity, origin = excluded.origin,
                changed_at = CASE WHEN i.identity IS NOT NULL THEN pg_current_snapshot() END
            WHERE (i.identity, i.origin) IS DISTINCT FROM (excluded.identity, excluded.origin)
        RETURNING i.id INTO present;
        IF FOUND THEN
            -- In the order of prune, so that the two can't wait for each other.
            INSERT INTO depgraph_feed.pruned AS p (up_to)
            VALUES (pg_current_snapshot())
            ON CONFLICT (only_row) DO UPDATE SET up_to = excluded.up_to;
            DELETE FROM depgraph_feed.prune_mark;
        ELSE
            SELECT i.id INTO present
            FROM depgraph_feed.incarnation AS i
            WHERE i.identity = found_identity AND i.origin = found_origin;
        END IF;
    END IF;
    IF present IS NULL THEN
        RAISE EXCEPTION 'another session has just made the incarnation' USING ERRCODE = 'serialization_failure';
    END IF;
    RETURN found_origin || ':' || present;
END
$$;

-- The revision of the calling transaction, for read-your-writes: call it inside the writing transaction, or after a commit,
-- from any session (it then stands for everything committed until now). It does not look whether the incarnation still holds: should it
-- not, the first reader makes another, which refuses this revision.
CREATE OR REPLACE FUNCTION depgraph_feed.revision() RETURNS text
LANGUAGE sql
VOLATILE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $$
    SELECT COALESCE(
        (
            SELECT i.origin || ':' || i.id
            FROM depgraph_feed.incarnation AS i, pg_database AS d
            WHERE d.datname = current_database() AND split_part(i.origin, ':', 2) = d.oid::text AND NOT pg_is_in_recovery()
        ),
        depgraph_feed.open()
    ) || '/' || pg_current_xact_id()
$$;

-- Keys whose rows may differ between a snapshot and the caller's own: written by transactions that were in progress in it
-- or began after it, and that are finished now. What a dump brought along from a cluster that was further on is left out.
CREATE OR REPLACE FUNCTION depgraph_feed.changes(since pg_snapshot) RETURNS TABLE (source smallint, id uuid)
LANGUAGE sql
STABLE
AS $$
    SELECT l.source, l.id
    FROM depgraph_feed.change_log AS l
    WHERE l.xid >= pg_snapshot_xmax(since) AND l.xid < pg_snapshot_xmax(pg_current_snapshot())
    UNION
    SELECT l.source, l.id
    FROM depgraph_feed.change_log AS l
    WHERE l.xid = ANY (ARRAY(SELECT pg_snapshot_xip(since)))
$$;

-- First statement of a reader's REPEATABLE READ step: fixes its snapshot. incarnation is NULL when there is none, as after a crash, or
-- when what the feed rests on is not what it was when it began. usable says whether the reader can continue from its cursor. sources and
-- ids hold the changes when they are at most max_changes, and are NULL when there are more. ingestions is a JSON array.
--
-- Its statements are planned once a session, which saves half of a step: planning them takes longer than running them. A plan
-- for any cursor must not scan a log that has grown since, hence no sequential scans.
CREATE OR REPLACE FUNCTION depgraph_feed.next_step(cursor_snapshot pg_snapshot, max_changes integer) RETURNS TABLE (
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
        FROM (SELECT d.source, d.id FROM depgraph_feed.changes(cursor_snapshot) AS d LIMIT max_changes + 1) AS few;
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

-- The same, for readers of the version before. They call it by a name that a dump of that version replaces by the function as it was then;
-- readers of this version must not.
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
    SELECT snapshot, incarnation, usable, sources, ids, ingestions
    FROM depgraph_feed.next_step(cursor_snapshot, max_changes)
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

-- Remove at most so many rows that pruned.up_to says are gone; returns how many.
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

REVOKE ALL ON FUNCTION depgraph_feed.remove_pruned(integer) FROM PUBLIC;
