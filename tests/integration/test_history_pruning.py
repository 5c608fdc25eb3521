"""Pruning keeps what the oldest mark that is kept needs, and nothing else."""

from datetime import datetime, timedelta

import asyncpg

from tests.support.plain_sql import connected, insert_service

Connection = asyncpg.Connection
MARK = "SELECT depgraph_history.mark()"


async def all_at(connection: Connection) -> list[datetime]:
    """The times of all marks."""
    return [row[0] for row in await connection.fetch("SELECT at FROM depgraph_history.marks ORDER BY at")]


async def prune_all(connection: Connection, batch: int) -> list[int]:
    """Prune what only times before an hour ago need, batch by batch."""
    removed: list[int] = []
    while not removed or removed[-1] == batch:
        removed.append(await connection.fetchval("SELECT depgraph_history.prune('1 h', $1)", batch))
    return removed


async def test_pruning_goes_by_batches_over_all_logs(connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO services (service_id) SELECT 's' || n FROM generate_series(1, 5) AS n"
    )
    await connection.execute(
        "INSERT INTO service_aliases (alias, service_id) SELECT 'a' || service_id, id FROM services"
    )
    await connection.fetchval(MARK)
    await connection.execute("UPDATE depgraph_history.marks SET at = at - interval '2 h'")
    await insert_service(connection, "later")

    assert await prune_all(connection, 3) == [3, 3, 3, 1]
    assert await connection.fetchval("SELECT count(*) FROM depgraph_history.service_changes") == 1


async def test_entries_that_the_oldest_kept_mark_did_not_see_are_kept_however_old(
    connection: Connection, database_url: str
) -> None:
    await connection.fetchval(MARK)
    async with connected(database_url) as other:
        writing = other.transaction()
        await writing.start()
        await insert_service(other, "late")
        await insert_service(connection, "early")
        await connection.fetchval(MARK)
        await writing.commit()
    for table in ("marks", "service_changes"):
        await connection.execute(f"UPDATE depgraph_history.{table} SET at = at - interval '2 h'")

    assert await prune_all(connection, 100) == [1]
    kept = await connection.fetchval("SELECT id FROM depgraph_history.service_changes")
    assert kept == await connection.fetchval("SELECT id FROM services WHERE service_id = 'late'")


async def test_pruning_keeps_former_lineages_as_long_as_their_times(connection: Connection) -> None:
    names = ("first", "second", "third")
    for name in names:
        await insert_service(connection, name)
        await connection.fetchval(MARK)
        await connection.execute("UPDATE depgraph_history.lineages SET origin = 'elsewhere'")
        await connection.execute("UPDATE depgraph_history.service_changes SET at = at - interval '50 min'")
        await connection.execute("UPDATE depgraph_history.marks SET at = at - interval '50 min'")
    assert await connection.fetchval("SELECT max(id) FROM depgraph_history.lineages") == 3

    # The second mark, 100 minutes old, stands for an hour ago: nothing older is needed.
    assert await prune_all(connection, 100) == [2]
    assert [row[0] for row in await connection.fetch("SELECT lineage FROM depgraph_history.marks")] == [2, 3]
    assert await connection.fetchval("SELECT min(id) FROM depgraph_history.lineages") == 2


async def test_while_history_is_off_all_of_it_is_removed(connection: Connection) -> None:
    await insert_service(connection)
    await connection.fetchval(MARK)
    await connection.execute("SELECT depgraph_history.set_switch(false)")
    assert await prune_all(connection, 100) == [1]
    assert await all_at(connection) == []
    await connection.execute("SELECT depgraph_history.set_switch(true)")
    assert await connection.fetchval(MARK) == "marked"


async def test_pruning_keeps_what_the_oldest_mark_that_is_kept_needs(connection: Connection) -> None:
    for name in ("a", "b", "c"):
        await insert_service(connection, name)
        await connection.fetchval(MARK)
    marks = await all_at(connection)
    await connection.execute(
        "UPDATE depgraph_history.marks SET at = at - interval '2 h' WHERE at <= $1", marks[1]
    )

    prune = "SELECT depgraph_history.prune($1, 100)"
    assert await connection.fetchval(prune, timedelta(hours=1)) == 2

    assert await connection.fetchval("SELECT count(*) FROM depgraph_history.marks") == 2
    assert await connection.fetchval("SELECT count(*) FROM depgraph_history.service_changes") == 1
