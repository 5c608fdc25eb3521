"""The feed against a real PostgreSQL: whatever is written, memory equals the tables."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta

import asyncpg
import pytest

from graphcore import Direction, EdgeFilter
from graphcore.graph.index import TraversalIndex
from server.config import FeedSettings
from server.domain.errors import NotReadyError, ReplicaBehindError, RevisionUnknownError
from server.domain.live_graph import AtLeastAsFresh, FeedState, FullyConsistent, MinimizeLatency
from server.domain.revision import Revision
from server.feed.change_log import prune
from server.replica import Replica
from tests.support.eventually import eventually
from tests.support.following import (
    PATIENCE,
    SETTINGS,
    assert_caught_up,
    feeding,
    following,
    log_is_free,
    memory,
)
from tests.support.large_steps import large_steps
from tests.support.traversal import traverse

Connection = asyncpg.Connection

CHAIN = """
INSERT INTO services (service_id) SELECT 's' || n FROM generate_series(1, 6) AS n;
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT a.id, b.id, 'sync'
FROM services AS a
JOIN services AS b ON substr(b.service_id, 2)::int = substr(a.service_id, 2)::int + 1;
INSERT INTO service_aliases (alias, service_id) SELECT 'alias', id FROM services WHERE service_id = 's1';
"""


NO_SENSE = """
ALTER TABLE service_dependencies DROP CONSTRAINT ck_dependency_criticality;
ALTER TABLE service_dependencies DROP CONSTRAINT ck_no_self_loops;
SET session_replication_role = replica;
INSERT INTO service_aliases (alias, service_id) SELECT 's5', id FROM services WHERE service_id = 's6';
INSERT INTO service_aliases (alias, service_id) VALUES ('of none', gen_random_uuid());
UPDATE service_dependencies SET criticality = 'grave'
WHERE source_service_id = (SELECT id FROM services WHERE service_id = 's1');
UPDATE service_dependencies SET target_service_id = source_service_id
WHERE source_service_id = (SELECT id FROM services WHERE service_id = 's2');
UPDATE service_dependencies SET target_service_id = gen_random_uuid()
WHERE source_service_id = (SELECT id FROM services WHERE service_id = 's3');
"""


async def seen(replica: Replica, connection: Connection) -> None:
    """Wait until the replica holds all that is committed, by a revision as SQL writers get it."""
    revision = Revision.of(await connection.fetchval("SELECT depgraph_feed.revision()"))
    await replica.at(AtLeastAsFresh(revision), PATIENCE)


def downstream(replica: Replica, start: str) -> list[str]:
    found = traverse(replica.graph, start, Direction.DOWNSTREAM, 10, EdgeFilter())
    return [service.name for service in found.services]


async def test_rows_from_before_the_start_are_loaded(database_url: str, connection: Connection) -> None:
    await connection.execute(CHAIN)
    async with following(database_url) as replica:
        assert downstream(replica, "s1") == ["s2", "s3", "s4", "s5", "s6"]
        await assert_caught_up(replica, connection)
        assert replica.status().warm_count == 1


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO services (service_id, team) VALUES ('new', 'payments')",
        "UPDATE services SET criticality = 'critical', metadata = '{\"tier\": 1}' WHERE service_id = 's2'",
        "UPDATE services SET service_id = 's1b' WHERE service_id = 's1'",
        """DELETE FROM service_dependencies;
        UPDATE services SET id = gen_random_uuid() WHERE service_id = 's2'""",
        "UPDATE service_dependencies SET is_stale = true, timeout_ms = 5",
        "UPDATE service_dependencies SET id = gen_random_uuid()",
        "UPDATE service_dependencies SET last_observed_at = last_observed_at + interval '1 s'",
        """UPDATE service_dependencies
        SET target_service_id = (SELECT id FROM services WHERE service_id = 's6')
        WHERE source_service_id = (SELECT id FROM services WHERE service_id = 's1')""",
        """UPDATE services SET metadata = '{"a": 1}'; SET session_replication_role = replica;
        UPDATE services SET metadata = '{"a": 1.0}'""",
        "DELETE FROM service_dependencies",
        "DELETE FROM services WHERE service_id IN ('s2', 's4')",
        "TRUNCATE service_dependencies",
        "TRUNCATE services CASCADE",
        """INSERT INTO services (service_id) VALUES ('s1'), ('s9')
        ON CONFLICT (service_id) DO UPDATE SET team = 'both'""",
        """WITH gone AS (DELETE FROM services WHERE service_id = 's3' RETURNING service_id)
        INSERT INTO services (service_id) SELECT service_id || 'again' FROM gone""",
        "DELETE FROM services WHERE service_id = 's3'; INSERT INTO services (service_id) VALUES ('s3')",
        "SET session_replication_role = replica; UPDATE services SET team = 'replicated'",
        "SET session_replication_role = replica; DELETE FROM services WHERE service_id = 's5'",
        """UPDATE services SET service_id = 's1b' WHERE service_id = 's1';
        UPDATE service_aliases SET alias = 's1'""",
        "UPDATE service_aliases SET id = gen_random_uuid(), created_at = created_at - interval '1 s'",
        "UPDATE service_aliases SET service_id = (SELECT id FROM services WHERE service_id = 's6')",
        "DELETE FROM service_aliases",
        "TRUNCATE service_aliases",
        """DELETE FROM service_aliases;
        INSERT INTO service_aliases (alias, service_id) SELECT 'again ' || service_id, id FROM services""",
        "SET session_replication_role = replica; UPDATE service_aliases SET service_id = gen_random_uuid()",
    ],
)
@pytest.mark.parametrize("how", [nullcontext, large_steps])
async def test_plain_sql_shows_in_memory(
    database_url: str,
    connection: Connection,
    statement: str,
    how: Callable[[], AbstractContextManager[None]],
) -> None:
    await connection.execute(CHAIN)
    with how():
        async with following(database_url) as replica:
            await connection.execute(statement)
            await seen(replica, connection)
            await assert_caught_up(replica, connection)


async def test_a_change_of_aliases_alone_wakes_the_replica_and_is_covered_by_a_revision(
    database_url: str, connection: Connection
) -> None:
    await connection.execute(CHAIN)
    async with following(database_url) as replica:
        assert replica.graph.resolve("alias") == "s1"
        await connection.execute("UPDATE service_aliases SET alias = 'other'")
        await eventually(lambda: replica.graph.resolve("other") == "s1")
        await connection.execute("DELETE FROM service_aliases")
        await seen(replica, connection)
        assert replica.graph.resolve("other") is None


async def test_two_aliases_swap_names_in_one_transaction(database_url: str, connection: Connection) -> None:
    await connection.execute(CHAIN)
    await connection.execute(
        "INSERT INTO service_aliases (alias, service_id) SELECT 'b', id FROM services LIMIT 1"
    )
    async with following(database_url) as replica:
        await connection.execute(
            "BEGIN; UPDATE service_aliases SET alias = 'x' WHERE alias = 'alias';"
            "UPDATE service_aliases SET alias = 'alias' WHERE alias = 'b';"
            "UPDATE service_aliases SET alias = 'b' WHERE alias = 'x'; COMMIT"
        )
        await seen(replica, connection)
        await assert_caught_up(replica, connection)
        assert replica.graph.resolve("b") == "s1"


async def test_rows_that_make_no_sense_are_the_same_however_they_are_read(
    database_url: str, connection: Connection
) -> None:
    await connection.execute(CHAIN)
    with large_steps():
        async with following(database_url) as replica:
            await connection.execute(NO_SENSE)
            await assert_caught_up(replica, connection)
            assert replica.graph.dangling_count == 3
            assert [replica.graph.resolve(name) for name in ("s5", "of none")] == ["s5", None]
        async with following(database_url) as reread:
            await assert_caught_up(reread, connection)
            assert reread.graph.dangling_count == 3
    async with following(database_url) as by_row:
        await assert_caught_up(by_row, connection)
        assert by_row.graph.dangling_count == 3


async def test_copy_shows_in_memory(database_url: str, connection: Connection) -> None:
    async with following(database_url) as replica:
        await connection.copy_records_to_table(
            "services", columns=["service_id"], records=[(f"copied-{n}",) for n in range(3_000)]
        )
        await seen(replica, connection)
        assert replica.graph.service_count == 3_000
        await assert_caught_up(replica, connection)


async def test_two_services_swap_names_in_one_transaction(database_url: str, connection: Connection) -> None:
    await connection.execute(CHAIN)
    async with following(database_url) as replica:
        await connection.execute(
            "BEGIN; UPDATE services SET service_id = 'x' WHERE service_id = 's1';"
            "UPDATE services SET service_id = 's1' WHERE service_id = 's2';"
            "UPDATE services SET service_id = 's2' WHERE service_id = 'x'; COMMIT"
        )
        await seen(replica, connection)
        assert downstream(replica, "s2") == ["s1", "s3", "s4", "s5", "s6"]
        await assert_caught_up(replica, connection)


async def test_a_commit_wakes_the_replica_without_a_reader_asking(
    database_url: str, connection: Connection
) -> None:
    async with following(database_url) as replica:
        await connection.execute("INSERT INTO services (service_id) VALUES ('woken')")
        await eventually(lambda: replica.graph.has_service("woken"))


async def test_with_notifications_off_polling_carries_the_feed(
    database_url: str, connection: Connection
) -> None:
    settings = FeedSettings(poll_interval=timedelta(milliseconds=20))
    async with following(database_url, settings) as replica:
        await connection.execute("SET depgraph.notify = 'off'")
        await connection.execute("INSERT INTO services (service_id) VALUES ('polled')")
        await eventually(lambda: replica.graph.has_service("polled"))


async def test_an_open_transaction_stalls_no_other_and_shows_when_it_commits(
    database_url: str, connection: Connection
) -> None:
    async with following(database_url) as replica:
        other = await asyncpg.connect(database_url)
        open_one = other.transaction()
        await open_one.start()
        await other.execute("INSERT INTO services (service_id) VALUES ('late')")
        await connection.execute("INSERT INTO services (service_id) VALUES ('early')")
        await seen(replica, connection)
        assert replica.graph.has_service("early")
        assert not replica.graph.has_service("late")
        await open_one.commit()
        await seen(replica, connection)
        assert replica.graph.has_service("late")
        await other.close()
        await assert_caught_up(replica, connection)


async def test_rolled_back_writes_never_show(database_url: str, connection: Connection) -> None:
    async with following(database_url) as replica:
        await connection.execute("BEGIN; INSERT INTO services (service_id) VALUES ('never'); ROLLBACK")
        await seen(replica, connection)
        assert not replica.graph.has_service("never")


async def test_a_cut_connection_is_made_again_and_nothing_is_lost(
    database_url: str, connection: Connection
) -> None:
    await connection.execute(CHAIN)
    async with following(database_url) as replica:
        await connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'depgraph feed' AND datname = current_database()"
        )
        await connection.execute("DELETE FROM services WHERE service_id = 's4'")
        await assert_caught_up(replica, connection)
        assert replica.status().warm_count == 1


async def test_changes_that_were_never_logged_and_do_not_fit_are_healed_by_reading_everything(
    database_url: str, connection: Connection
) -> None:
    await connection.execute(CHAIN)
    async with following(database_url) as replica:
        await connection.execute("ALTER TABLE services DISABLE TRIGGER depgraph_feed_update")
        await connection.execute("UPDATE services SET service_id = 'unseen' WHERE service_id = 's1'")
        await connection.execute("ALTER TABLE services ENABLE ALWAYS TRIGGER depgraph_feed_update")
        await connection.execute("INSERT INTO services (service_id) VALUES ('s1')")
        await assert_caught_up(replica, connection)
        assert replica.status().warm_count == 2


async def test_a_reader_behind_the_pruned_log_reads_everything_again(
    database_url: str, connection: Connection
) -> None:
    await connection.execute(CHAIN)
    blocker = await asyncpg.connect(database_url)
    async with following(database_url) as replica:
        await log_is_free(connection)
        # DDL holds a table, so the replica can't follow while the log is pruned past it.
        await blocker.execute("BEGIN; LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
        await connection.execute("UPDATE service_dependencies SET timeout_ms = 7")
        assert await prune(database_url, FeedSettings(keep_log=timedelta(0))) == 17
        await blocker.execute("COMMIT")
        await assert_caught_up(replica, connection)
        assert replica.status().warm_count == 2
    await blocker.close()


async def test_pruning_keeps_rows_beyond_a_readers_snapshot(
    database_url: str, connection: Connection
) -> None:
    async with following(database_url) as replica:
        await connection.execute(CHAIN)
        await seen(replica, connection)
        assert await prune(database_url, FeedSettings()) == 0
        await connection.execute("INSERT INTO services (service_id) VALUES ('after')")
        await assert_caught_up(replica, connection)
        assert replica.status().warm_count == 1


async def test_a_bound_on_rows_prunes_what_every_reader_has_passed(
    database_url: str, connection: Connection
) -> None:
    await connection.execute(CHAIN)
    open_one = await asyncpg.connect(database_url)
    await open_one.execute("BEGIN; INSERT INTO services (service_id) VALUES ('still open')")
    # The bound is the end of the log at the pruning before: readers may be milliseconds behind.
    assert await prune(database_url, FeedSettings(max_log_rows=3)) == 0
    assert await prune(database_url, FeedSettings(max_log_rows=3)) == 12
    async with following(database_url) as replica:
        await open_one.execute("COMMIT")
        await assert_caught_up(replica, connection)
        assert replica.status().warm_count == 1
    await open_one.close()


async def test_a_revision_of_another_database_is_refused(database_url: str, connection: Connection) -> None:
    async with following(database_url) as replica:
        foreign = Revision("1:2:00000000-0000-0000-0000-000000000000", xid=5)
        with pytest.raises(RevisionUnknownError):
            await replica.at(AtLeastAsFresh(foreign), PATIENCE)


async def test_a_revision_that_does_not_come_in_time_is_an_error_and_not_a_stale_answer(
    database_url: str, connection: Connection
) -> None:
    async with following(database_url) as replica:
        revision = Revision.of(await connection.fetchval("SELECT depgraph_feed.revision()"))
        future = Revision(revision.feed_id, xid=2**60)
        with pytest.raises(ReplicaBehindError) as caught:
            await replica.at(AtLeastAsFresh(future), timedelta(milliseconds=80))
        assert int(caught.value.metadata["lag_ms"]) >= 0
        assert not replica.is_waited_for


async def test_a_revision_of_a_transaction_that_has_not_committed_waits_for_it(
    database_url: str, connection: Connection
) -> None:
    async with following(database_url) as replica:
        await connection.execute("BEGIN; INSERT INTO services (service_id) VALUES ('mine')")
        revision = Revision.of(await connection.fetchval("SELECT depgraph_feed.revision()"))
        reading = asyncio.create_task(replica.at(AtLeastAsFresh(revision), PATIENCE))
        await replica.at(FullyConsistent(), PATIENCE)
        assert not reading.done()
        await connection.execute("COMMIT")
        assert (await reading).graph.has_service("mine")


async def test_before_the_first_load_reads_raise_not_ready() -> None:
    async with feeding("postgresql://nobody@127.0.0.1:9/none", SETTINGS) as replica:
        with pytest.raises(NotReadyError):
            await replica.at(MinimizeLatency(), None)


async def test_rows_come_through_a_large_change_whole(database_url: str, connection: Connection) -> None:
    async with following(database_url) as replica:
        await connection.execute(
            "INSERT INTO services (service_id) SELECT 'b' || n FROM generate_series(1, 12000) AS n"
        )
        await seen(replica, connection)
        services, _, _ = memory(replica)
        assert len(services) == 12_000
        await connection.execute("UPDATE services SET team = 'all'")
        await assert_caught_up(replica, connection)
        assert replica.status().warm_count == 1
        assert replica.status().feed_state is FeedState.FOLLOWING


async def test_threads_that_read_the_graph_keep_its_arrays_until_they_are_done(
    database_url: str, connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied = threading.Event()
    roomier = TraversalIndex.roomier

    def copy(index: TraversalIndex, edge_count: int, more: int) -> TraversalIndex:
        made = roomier(index, edge_count, more)
        copied.set()
        return made

    await connection.execute(CHAIN)
    async with following(database_url) as replica:
        await assert_caught_up(replica, connection)
        monkeypatch.setattr(TraversalIndex, "is_cramped", lambda *_: True)
        monkeypatch.setattr(TraversalIndex, "roomier", copy)
        async with replica.read_lock():
            before = replica.graph.index.nodes
            await connection.execute("UPDATE service_dependencies SET timeout_ms = 7")
            await eventually(copied.is_set)
            # The writer goes as far as it may before it waits for this reader.
            for _ in range(100):
                await asyncio.sleep(0)
            assert replica.graph.index.nodes is before
        await assert_caught_up(replica, connection)
        assert replica.graph.index.nodes is not before
