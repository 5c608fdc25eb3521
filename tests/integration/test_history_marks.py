"""Marks: when one is made, when a lineage ends, and what pruning keeps."""

from datetime import datetime, timedelta
from pathlib import Path

import asyncpg

from tests.support.dumps import dump, restore
from tests.support.plain_sql import connected, insert_service

Connection = asyncpg.Connection
MARK = "SELECT depgraph_history.mark()"
HOLDING = "SELECT depgraph_history.holding_lineage()"
CAUSES = "SELECT cause FROM depgraph_history.lineages ORDER BY id"


async def all_at(connection: Connection) -> list[datetime]:
    """The times of all marks."""
    return [row[0] for row in await connection.fetch("SELECT at FROM depgraph_history.marks ORDER BY at")]


async def test_a_mark_is_made_where_something_changed(connection: Connection) -> None:
    assert [await connection.fetchval(MARK) for _ in range(2)] == ["marked", "unchanged"]
    await insert_service(connection)
    assert [await connection.fetchval(MARK) for _ in range(2)] == ["marked", "unchanged"]


async def test_a_transaction_that_commits_after_a_mark_is_in_the_next(
    connection: Connection, database_url: str
) -> None:
    await connection.fetchval(MARK)
    async with connected(database_url) as other:
        writing = other.transaction()
        await writing.start()
        await insert_service(other, "late")
        await insert_service(connection, "early")
        assert await connection.fetchval(MARK) == "marked"
        await writing.commit()
    assert [await connection.fetchval(MARK) for _ in range(2)] == ["marked", "unchanged"]


async def test_a_lineage_waits_for_transactions_that_began_before_it(
    connection: Connection, database_url: str
) -> None:
    async with connected(database_url) as other:
        writing = other.transaction()
        await writing.start()
        await other.execute("SELECT pg_current_xact_id()")
        assert [await connection.fetchval(MARK) for _ in range(2)] == ["waiting", "waiting"]
        assert await connection.fetchval(HOLDING) is None
        await writing.rollback()
    assert await connection.fetchval(MARK) == "marked"
    assert await connection.fetchval(HOLDING) == 1


async def test_a_hole_ends_a_lineage(connection: Connection) -> None:
    await connection.fetchval(MARK)
    await connection.execute("ALTER TABLE depgraph_history.service_changes ADD CHECK (existed)")
    await insert_service(connection)
    assert await connection.fetchval(HOLDING) is None
    assert await connection.fetchval(MARK) == "marked"
    assert [row[0] for row in await connection.fetch(CAUSES)] == ["begun", "holes"]


async def test_an_emptied_log_ends_the_lineage_and_a_rewritten_one_does_not(connection: Connection) -> None:
    await insert_service(connection)
    await connection.fetchval(MARK)
    await connection.execute("VACUUM FULL depgraph_history.service_changes")
    assert await connection.fetchval(HOLDING) == 1
    await connection.execute("TRUNCATE depgraph_history.service_changes")
    assert await connection.fetchval(HOLDING) is None


async def test_a_lineage_leaves_no_count_of_holes_ahead_that_a_crash_would_skip(
    connection: Connection,
) -> None:
    await connection.fetchval(MARK)
    await connection.execute("SELECT nextval('depgraph_history.holes')")
    assert await connection.fetchval(MARK) == "marked"
    assert await connection.fetchval("SELECT log_cnt FROM depgraph_history.holes") == 0


async def test_entries_of_another_cluster_are_older_than_the_marks_of_a_lineage(
    connection: Connection,
) -> None:
    await connection.fetchval(MARK)
    # As `pg_restore --data-only --disable-triggers`, and `doctor --repair` after it.
    await connection.execute(
        """ALTER TABLE services DISABLE TRIGGER ALL;
        INSERT INTO services (id, service_id) VALUES ('00000000-0000-0000-0000-000000000001', 'restored');
        INSERT INTO depgraph_history.service_changes (seq, xid, at, id, existed)
        VALUES (1, '99999999999', now(), '00000000-0000-0000-0000-000000000001', false);
        INSERT INTO depgraph_history.marks (at, lineage, snapshot, feed_id)
        VALUES (now() - interval '1 day', 2, '5000:5000:', 'another:1:run');
        ALTER TABLE services ENABLE TRIGGER ALL"""
    )
    await connection.execute("SELECT depgraph_history.install_triggers()")
    assert await connection.fetchval(MARK) == "marked"
    assert [row[0] for row in await connection.fetch(CAUSES)] == ["begun", "altered"]
    assert not await connection.fetch(
        """SELECT FROM depgraph_history.service_changes AS e, depgraph_history.marks AS m
        WHERE m.lineage = depgraph_history.holding_lineage()
            AND NOT pg_visible_in_snapshot(e.xid, m.snapshot)"""
    )
    assert await connection.fetchval(MARK) == "unchanged"
    # Nor is a mark of the other cluster one of the lineage.
    in_lineage = (
        "SELECT feed_id FROM depgraph_history.marks WHERE lineage = depgraph_history.holding_lineage()"
    )
    [mark] = await connection.fetch(in_lineage)
    assert mark["feed_id"] != "another:1:run"


async def test_a_hole_that_is_counted_while_a_lineage_begins_belongs_to_none(connection: Connection) -> None:
    await connection.fetchval(MARK)
    await connection.execute("SELECT nextval('depgraph_history.holes')")
    # A writer with a later id counts one while holes are counted up.
    await connection.execute(
        """ALTER FUNCTION depgraph_history.count_of_holes() RENAME TO really;
        CREATE SEQUENCE depgraph_history.calls;
        CREATE FUNCTION depgraph_history.count_of_holes() RETURNS bigint LANGUAGE plpgsql AS $$
        DECLARE
            found CONSTANT bigint := depgraph_history.really();
        BEGIN
            IF nextval('depgraph_history.calls') = 1 THEN
                PERFORM nextval('depgraph_history.holes');
            END IF;
            RETURN found;
        END
        $$"""
    )
    assert await connection.fetchval(MARK) == "waiting"
    assert await connection.fetchval("SELECT count(*) FROM depgraph_history.lineages") == 1


async def test_times_of_marks_ascend_although_the_clock_goes_back(connection: Connection) -> None:
    await connection.fetchval(MARK)
    await connection.execute("UPDATE depgraph_history.marks SET at = at + interval '1 h'")
    [ahead] = await all_at(connection)
    await insert_service(connection)
    await connection.fetchval(MARK)

    assert (await all_at(connection))[1] == ahead + timedelta(microseconds=1)


async def test_columns_that_history_does_not_hold_may_come_and_go(connection: Connection) -> None:
    await connection.fetchval(MARK)
    await connection.execute("ALTER TABLE services ADD COLUMN extra text")
    await connection.execute("ALTER TABLE services ALTER updated_at SET DEFAULT clock_timestamp()")
    await insert_service(connection, extra="'x'")
    await connection.execute("ALTER TABLE services DROP COLUMN extra")
    assert await connection.fetchval(HOLDING) == 1


async def test_a_structural_column_that_is_altered_ends_the_lineage(connection: Connection) -> None:
    await connection.fetchval(MARK)
    await connection.execute("ALTER TABLE services ALTER team TYPE text")
    assert await connection.fetchval(HOLDING) is None
    await connection.fetchval(MARK)
    assert [row[0] for row in await connection.fetch(CAUSES)] == ["begun", "altered"]


async def test_a_structural_column_is_added_without_ending_the_lineage(connection: Connection) -> None:
    service = await insert_service(connection)
    await connection.fetchval(MARK)
    async with connection.transaction():
        await connection.execute("ALTER TABLE services ADD COLUMN tier integer NOT NULL DEFAULT 3")
        await connection.execute("SELECT depgraph_history.add_column('services', 'tier')")
    await connection.execute("UPDATE services SET tier = 1")
    await connection.execute("DELETE FROM services")

    entries = await connection.fetch(
        "SELECT id, existed, tier FROM depgraph_history.service_changes ORDER BY seq"
    )
    assert [tuple(entry) for entry in entries] == [
        (service, False, None),
        (service, True, 3),
        (service, True, 1),
    ]
    assert await connection.fetchval(HOLDING) == 1
    assert await connection.fetch("SELECT * FROM depgraph_history.missing_triggers()") == []


async def test_a_switch_that_was_off_ends_the_lineage_even_if_nobody_wrote(connection: Connection) -> None:
    await connection.fetchval(MARK)
    await connection.execute("SELECT depgraph_history.set_switch(true)")
    assert await connection.fetchval(HOLDING) == 1
    await connection.execute("SELECT depgraph_history.set_switch(false)")
    assert await connection.fetchval(MARK) == "off"
    await connection.execute("SELECT depgraph_history.set_switch(true)")
    assert await connection.fetchval(HOLDING) is None
    await connection.fetchval(MARK)
    assert [row[0] for row in await connection.fetch(CAUSES)] == ["begun", "switched"]


async def test_nothing_is_marked_while_a_trigger_is_missing(connection: Connection) -> None:
    await connection.execute("DROP TRIGGER depgraph_history_delete ON service_aliases")
    assert await connection.fetchval(MARK) == "incomplete"
    done = await connection.fetch("SELECT * FROM depgraph_history.install_triggers()")
    assert [tuple(row) for row in done] == [("service_aliases", "depgraph_history_delete", "created")]
    assert await connection.fetchval(MARK) == "marked"


async def test_a_dump_brings_its_history_along_into_the_database_that_it_came_from(
    connection: Connection, database_url: str, tmp_path: Path
) -> None:
    service = await insert_service(connection, "kept")
    await connection.fetchval(MARK)
    await connection.execute("UPDATE services SET team = 'dumped'")
    saved = await dump(database_url, tmp_path / "dump")
    await connection.execute("UPDATE services SET team = 'lost'")
    await connection.fetchval(MARK)
    await restore(saved, database_url)

    assert await connection.fetchval(HOLDING) is None
    assert await connection.fetchval(MARK) == "marked"
    assert [row[0] for row in await connection.fetch(CAUSES)] == ["begun", "restored"]
    assert len(await all_at(connection)) == 2
    await connection.execute("UPDATE services SET team = 'after'")
    assert await connection.fetchval(MARK) == "marked"
    entries = await connection.fetch("SELECT id, team FROM depgraph_history.service_changes ORDER BY seq")
    assert [tuple(entry) for entry in entries] == [(service, None), (service, None), (service, "dumped")]


async def test_entries_of_another_cluster_count_as_old_to_every_snapshot(connection: Connection) -> None:
    await insert_service(connection, "a")
    await connection.fetchval(MARK)
    await connection.execute("UPDATE depgraph_history.service_changes SET xid = '4000000000'")
    await connection.execute("UPDATE depgraph_history.lineages SET origin = 'elsewhere'")
    assert await connection.fetchval(MARK) == "marked"
    assert await connection.fetchval(MARK) == "unchanged"
    assert await connection.fetchval("SELECT xid::text FROM depgraph_history.service_changes") == "3"
