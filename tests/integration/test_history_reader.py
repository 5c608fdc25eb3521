"""States that times and revisions name, and the graph as it was there, out of the database."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from server.domain.changes import ReportedConfidences
from server.domain.errors import (
    DatabaseUnavailableError,
    HistoryUnavailableError,
    ReplicaBehindError,
    ResponseTooLargeError,
    RevisionUnknownError,
)
from server.domain.history import Mark, Point
from server.domain.history_changes import Window, present_mark
from server.domain.live_graph import AtLeastAsFresh
from server.domain.revision import Revision
from server.replica import KeptPasts, Replica
from server.store.database import Database
from server.store.history import HistoryReader
from server.store.history_changes import HistoryRepository
from tests.support.following import PATIENCE, Rows, following, memory, tables
from tests.support.plain_sql import connected

if TYPE_CHECKING:
    from uuid import UUID

    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Scene:
    """A database, a replica that follows it, and its past."""

    def __init__(self, connection: "Connection", replica: Replica, reader: HistoryReader) -> None:
        self.connection = connection
        self.replica = replica
        self.reader = reader
        self.pasts = KeptPasts(replica, reader)

    async def write(self, statement: str) -> Revision:
        """Run a statement; returns its revision once memory holds it."""
        async with self.connection.transaction():
            await self.connection.execute(statement)
            revision = Revision.of(await self.connection.fetchval("SELECT depgraph_feed.revision()"))
        await self.replica.at(AtLeastAsFresh(revision), PATIENCE)
        return revision

    async def mark(self) -> Mark:
        """Mark the present state."""
        await self.connection.execute("SELECT depgraph_history.mark()")
        marked = await self.reader.mark_at(datetime.now(UTC) + timedelta(seconds=5))
        assert marked is not None
        return marked

    async def rows_at(self, point: Point) -> Rows:
        """The graph as of a point, without the times that are unset."""
        reading = await self.pasts.at(point, PATIENCE)
        return without_times(memory(cast("Any", SimpleNamespace(graph=reading.graph))))

    async def rows_now(self) -> Rows:
        """The tables, without the times that are unset."""
        return without_times(await tables(self.connection))


def without_times(rows: Rows) -> Rows:
    services, dependencies, aliases = rows
    kept: Rows = ({}, {}, aliases)
    for key, service in services.items():
        kept[0][key] = type(service).FromString(service.SerializeToString())
        kept[0][key].ClearField("update_time")
    for key, dependency in dependencies.items():
        kept[1][key] = type(dependency).FromString(dependency.SerializeToString())
        kept[1][key].ClearField("update_time")
        kept[1][key].ClearField("last_observed_time")
    return kept


@pytest.fixture
async def scene(database_url: str, connection: "Connection") -> AsyncIterator[Scene]:
    await connection.execute(
        """INSERT INTO services (service_id, team) SELECT 's' || n, 'first' FROM generate_series(1, 5) AS n;
        INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
        SELECT source.id, target.id, 'sync' FROM services AS source, services AS target
        WHERE source.service_id < target.service_id;
        INSERT INTO service_aliases (alias, service_id) SELECT 'other', id FROM services LIMIT 1"""
    )
    async with following(database_url) as replica, Database.open(database_url) as database:
        made = Scene(connection, replica, HistoryReader(database))
        await made.mark()
        yield made


async def test_the_revision_of_an_answer_names_the_very_state_between_two_marks(scene: Scene) -> None:
    await scene.write("UPDATE services SET team = 'second' WHERE service_id = 's1'")
    revision = Revision.parse(scene.replica.freshness().revision)
    then = await scene.rows_now()
    await scene.write("UPDATE services SET team = 'third'; DELETE FROM services WHERE service_id = 's5'")
    await scene.mark()
    await scene.write("DELETE FROM service_aliases")
    assert await scene.rows_at(revision) == then
    assert await scene.rows_at(datetime.now(UTC)) != then


async def test_the_revision_of_a_mark_names_it_whatever_was_since(scene: Scene) -> None:
    then, mark = await scene.rows_now(), await scene.mark()
    await scene.write("TRUNCATE services CASCADE")
    found = await scene.reader.mark_at(mark.revision)
    assert found is not None
    assert (found.at, found.snapshot) == (mark.at, mark.snapshot)
    assert await scene.rows_at(mark.revision) == then


async def test_the_revision_of_a_write_names_the_first_mark_that_holds_it(scene: Scene) -> None:
    await scene.write("UPDATE services SET team = 'second'")
    revision = await scene.write("UPDATE services SET kind = 'queue'")
    assert await scene.reader.mark_at(revision) is None
    waiting = asyncio.create_task(scene.rows_at(revision))
    then, mark = await scene.rows_now(), await scene.mark()
    await scene.write("UPDATE services SET team = 'third'")
    await scene.mark()
    found = await scene.reader.mark_at(revision)
    assert found is not None
    assert found.at == mark.at
    assert await waiting == then


async def test_a_transaction_that_was_open_at_a_mark_is_not_in_it(scene: Scene, database_url: str) -> None:
    async with connected(database_url) as other:
        await other.execute("BEGIN; UPDATE services SET team = 'open' WHERE service_id = 's1'")
        await scene.write("UPDATE services SET team = 'second' WHERE service_id = 's2'")
        then, mark = await scene.rows_now(), await scene.mark()
        await other.execute("COMMIT")
        await scene.write("UPDATE services SET team = 'third' WHERE service_id = 's2'")
    await scene.mark()
    assert await scene.rows_at(mark.at) == then


async def test_revisions_of_other_databases_and_of_runs_before_a_crash_are_unknown(scene: Scene) -> None:
    own = Revision.parse(scene.replica.freshness().revision)
    system, database, _ = own.feed_id.split(":")
    incarnation = "00000000-0000-0000-0000-000000000000"
    for feed_id in (f"1:{database}:{incarnation}", f"{system}:{database}:{incarnation}"):
        with pytest.raises(RevisionUnknownError):
            await scene.reader.mark_at(Revision(feed_id, snapshot=own.snapshot))


async def test_times_before_a_restore_are_read_by_time(scene: Scene) -> None:
    then, mark = await scene.rows_now(), await scene.mark()
    await scene.write("UPDATE services SET team = 'second'; DELETE FROM service_aliases")
    # What a dump leaves in another cluster: the history of one that has other transaction ids.
    await scene.connection.execute(
        """UPDATE depgraph_history.lineages SET origin = '1:2';
        UPDATE depgraph_history.marks SET snapshot = '9000000:9000000:'"""
    )
    after = await scene.mark()
    found = await scene.reader.mark_at(mark.at)
    assert found is not None
    assert not found.is_exact
    reading = await scene.pasts.at(mark.at, PATIENCE)
    assert reading.freshness.approximate
    assert await scene.rows_at(mark.at) == then
    assert (await scene.pasts.at(after.at, PATIENCE)).freshness.approximate is False


async def test_a_lineage_that_was_altered_ends_the_times_before(scene: Scene) -> None:
    mark = await scene.mark()
    await scene.connection.execute(
        "ALTER TABLE services DISABLE TRIGGER depgraph_history_update;"
        "UPDATE services SET team = 'unseen';"
        "ALTER TABLE services ENABLE ALWAYS TRIGGER depgraph_history_update"
    )
    with pytest.raises(HistoryUnavailableError, match="begins anew") as refused:
        await scene.reader.mark_at(mark.at)
    assert not refused.value.metadata
    after = await scene.mark()
    with pytest.raises(HistoryUnavailableError) as refused:
        await scene.reader.mark_at(mark.at)
    assert datetime.fromisoformat(refused.value.metadata["oldest_time"]) == after.at


async def test_a_history_that_ends_while_it_is_read_is_not_read(scene: Scene) -> None:
    mark = await scene.mark()
    await scene.write("UPDATE services SET team = 'second'")
    await scene.connection.execute("SELECT nextval('depgraph_history.holes')")
    assert scene.replica.position is not None
    with pytest.raises(HistoryUnavailableError):
        await anext(scene.reader.rows_at(mark, scene.replica.position))


async def test_a_mark_that_was_pruned_while_it_was_looked_for_is_not_read(scene: Scene) -> None:
    mark = await scene.mark()
    await scene.write("UPDATE services SET team = 'second'")
    await scene.mark()
    await scene.connection.execute("SELECT depgraph_history.prune(interval '0', 1000)")
    assert scene.replica.position is not None
    with pytest.raises(HistoryUnavailableError):
        await anext(scene.reader.rows_at(mark, scene.replica.position))


async def test_a_live_graph_of_another_run_is_not_undone(scene: Scene) -> None:
    mark, position = await scene.mark(), scene.replica.position
    assert position is not None
    await scene.connection.execute("UPDATE depgraph_feed.incarnation SET id = gen_random_uuid()")
    with pytest.raises(ReplicaBehindError):
        await anext(scene.reader.rows_at(mark, position))


async def test_a_locked_history_is_said_to_be_locked(scene: Scene, database_url: str) -> None:
    mark, position = await scene.mark(), scene.replica.position
    assert position is not None
    async with connected(database_url) as other, other.transaction():
        await other.execute("LOCK TABLE depgraph_history.dependency_changes IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(DatabaseUnavailableError, match="locked"):
            await anext(scene.reader.rows_at(mark, position))


async def test_before_the_first_mark_there_is_no_answer(scene: Scene) -> None:
    with pytest.raises(HistoryUnavailableError, match="the oldest time that can be asked for is"):
        await scene.reader.mark_at(EPOCH)


DECAY = """SET depgraph.staleness = 'swept';
UPDATE service_dependencies SET reported_confidence = confidence_score, confidence_score = 0.25;
SET depgraph.staleness = ''"""


async def test_a_confidence_reported_anew_since_is_the_one_of_then(scene: Scene) -> None:
    then, mark = await scene.rows_now(), await scene.mark()
    await scene.write("UPDATE service_dependencies SET confidence_score = 0.75")
    await scene.write(DECAY)
    assert await scene.rows_at(mark.at) == then


async def test_a_confidence_that_recovers_after_the_copy_was_made_is_the_one_reported(scene: Scene) -> None:
    mark = await scene.mark()
    await scene.write(DECAY)
    position = scene.replica.position
    assert position is not None
    await scene.write("UPDATE service_dependencies SET last_observed_at = now() + interval '1 hour'")
    reported: dict[UUID, float] = {}
    async for rows in scene.reader.rows_at(mark, position):
        if isinstance(rows, ReportedConfidences):
            reported |= rows.by_id
    keys = await scene.connection.fetch("SELECT id FROM service_dependencies")
    assert reported == {row["id"]: 1.0 for row in keys}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("UPDATE services SET team = 'second'", "services"),
        ("UPDATE service_dependencies SET timeout_ms = 7", "dependencies"),
        (
            "INSERT INTO service_aliases (alias, service_id) SELECT 'a' || service_id, id FROM services",
            "aliases",
        ),
        # The dependencies of a service that is of another kind.
        ("UPDATE services SET kind = 'external' WHERE service_id = 's1'", "dependencies"),
    ],
)
async def test_a_comparison_of_too_many_rows_is_refused(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, change: str, what: str
) -> None:
    since = await scene.mark()
    await scene.write(change)
    position = scene.replica.position
    assert position is not None
    window = Window(since, present_mark(position, datetime.now(UTC)), position)
    store = HistoryRepository(scene.reader)
    await store.netted(window, ["external"])

    monkeypatch.setattr("server.store.history_changes.MOST_ROWS", 3)
    with pytest.raises(ResponseTooLargeError, match=f"more than 3 {what} changed"):
        await store.netted(window, ["external"])
