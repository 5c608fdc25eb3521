"""What changed between two snapshots of the past, asked of a real log."""

from datetime import timedelta
from uuid import UUID

import asyncpg
import pytest

from server.config import FeedSettings
from server.domain.errors import DatabaseUnavailableError, InvalidRevisionError
from server.domain.revision import Snapshot
from server.domain.watching import ChangedKeys
from server.feed import ChangeLogReader
from server.feed.change_log import prune

SETTINGS = FeedSettings(step_timeout=timedelta(seconds=5))
MANY = 1_000


@pytest.fixture
def history(database_url: str) -> ChangeLogReader:
    return ChangeLogReader(database_url, SETTINGS)


async def feed_id(connection: asyncpg.Connection) -> str:
    return str(await connection.fetchval("SELECT depgraph_feed.open()"))


async def now(connection: asyncpg.Connection) -> Snapshot:
    return Snapshot.parse(await connection.fetchval("SELECT pg_current_snapshot()::text"))


async def add(connection: asyncpg.Connection, name: str) -> UUID:
    key: UUID = await connection.fetchval("INSERT INTO services (service_id) VALUES ($1) RETURNING id", name)
    return key


async def test_an_update_that_changes_nothing_is_not_logged(connection: asyncpg.Connection) -> None:
    await connection.execute(
        """INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
        VALUES ($1, $2, 'sync')""",
        await add(connection, "a"),
        await add(connection, "b"),
    )
    before = await connection.fetchval("SELECT count(*) FROM depgraph_feed.change_log")
    await connection.execute(
        "UPDATE services SET team = team; UPDATE service_dependencies SET is_stale = is_stale"
    )
    await connection.execute("DELETE FROM services WHERE false")
    assert await connection.fetchval("SELECT count(*) FROM depgraph_feed.change_log") == before


async def test_only_keys_changed_between_two_snapshots_are_returned(
    history: ChangeLogReader, connection: asyncpg.Connection
) -> None:
    feed = await feed_id(connection)
    await add(connection, "before")
    since = await now(connection)
    a, b = await add(connection, "a"), await add(connection, "b")
    edge = await connection.fetchval(
        """INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
        VALUES ($1, $2, 'sync') RETURNING id""",
        a,
        b,
    )
    await connection.execute("UPDATE services SET team = 'x' WHERE service_id = 'a'")
    until = await now(connection)
    await add(connection, "after")
    found = await history.changed(feed, since, until, MANY)
    assert found is not None
    assert (set(found.services), list(found.dependencies)) == ({a.bytes, b.bytes}, [edge.bytes])
    assert len(found.services) == 2
    assert await history.changed(feed, until, until, MANY) == ChangedKeys([], [])


async def test_a_transaction_open_at_the_first_snapshot_is_returned_once_it_ended(
    history: ChangeLogReader, connection: asyncpg.Connection, database_url: str
) -> None:
    feed = await feed_id(connection)
    other = await asyncpg.connect(database_url)
    try:
        transaction = other.transaction()
        await transaction.start()
        late = await add(other, "late")
        await add(connection, "early")
        since = await now(connection)
        assert await history.changed(feed, since, await now(connection), MANY) == ChangedKeys([], [])
        await transaction.commit()
    finally:
        await other.close()
    assert await history.changed(feed, since, await now(connection), MANY) == ChangedKeys([late.bytes], [])


async def test_none_is_returned_for_a_pruned_log(
    history: ChangeLogReader, connection: asyncpg.Connection, database_url: str
) -> None:
    feed, since = await feed_id(connection), await now(connection)
    await add(connection, "a")
    # The second goes as far as the first was.
    await prune(database_url, FeedSettings(max_log_rows=0))
    await prune(database_url, FeedSettings(max_log_rows=0))
    level = await now(connection)
    assert await history.changed(feed, since, level, MANY) is None
    assert await history.changed(feed, level, await now(connection), MANY) == ChangedKeys([], [])


async def test_none_is_returned_for_a_truncated_table(
    history: ChangeLogReader, connection: asyncpg.Connection
) -> None:
    feed, since = await feed_id(connection), await now(connection)
    await connection.execute("TRUNCATE service_dependencies")
    assert await history.changed(feed, since, await now(connection), MANY) is None


async def test_none_is_returned_for_another_run_of_the_database(
    history: ChangeLogReader, connection: asyncpg.Connection
) -> None:
    feed, since = await feed_id(connection), await now(connection)
    await connection.execute("UPDATE depgraph_feed.incarnation SET id = gen_random_uuid()")
    assert await history.changed(feed, since, await now(connection), MANY) is None


async def test_none_is_returned_for_more_keys_than_asked_for(
    history: ChangeLogReader, connection: asyncpg.Connection
) -> None:
    feed, since = await feed_id(connection), await now(connection)
    for number in range(3):
        await add(connection, f"s{number}")
    until = await now(connection)
    assert await history.changed(feed, since, until, at_most=2) is None
    assert await history.changed(feed, since, until, at_most=3) is not None


async def test_a_snapshot_that_makes_no_sense_is_refused(
    history: ChangeLogReader, connection: asyncpg.Connection
) -> None:
    nonsense = Snapshot("9:5:", 9, 5, frozenset())
    with pytest.raises(InvalidRevisionError):
        await history.changed(await feed_id(connection), nonsense, await now(connection), MANY)


async def test_an_unavailable_database_is_a_retryable_error() -> None:
    nowhere = ChangeLogReader("postgresql://127.0.0.1:1/nowhere", SETTINGS)
    snapshot = Snapshot.parse("5:5:")
    with pytest.raises(DatabaseUnavailableError) as caught:
        await nowhere.changed("1:2:3", snapshot, snapshot, MANY)
    assert caught.value.retry_after > timedelta(0)


async def test_no_connection_stays_open(history: ChangeLogReader, connection: asyncpg.Connection) -> None:
    feed, since = await feed_id(connection), await now(connection)
    for _ in range(5):
        await history.changed(feed, since, await now(connection), MANY)
    count = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE application_name = 'depgraph history' AND datname = current_database()"
    )
    while await connection.fetchval(count):
        await connection.execute("SELECT pg_sleep(0.01)")
