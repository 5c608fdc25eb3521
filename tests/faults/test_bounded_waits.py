"""A read that asks for freshness gets it in time, or an error: never an answer that is too old."""

import asyncio
from datetime import timedelta

import asyncpg
import grpc
import pytest

from depgraph.v1.types_pb2 import Consistency
from server.config import FeedSettings
from server.domain.revision import Revision
from server.store.embedded import EmbeddedPostgres
from tests.support.calls import FRESH
from tests.support.chaos import ChaosProxy
from tests.support.deadlines import answer_early
from tests.support.failures import failure_of
from tests.support.plain_sql import connected
from tests.support.postgres import DatabaseServer
from tests.support.scene import Record
from tests.support.whole_server import BATCH, FIRST, WholeServer, whole_batch

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

FEED = FeedSettings(step_timeout=timedelta(seconds=1), longest_wait=timedelta(milliseconds=600))
READERS = 20


def at(revision: str) -> Consistency:
    return Consistency(at_least_as_fresh=revision)


async def write_by_sql(connection: asyncpg.Connection, team: str) -> str:
    """Give the batch a team, and return the token of that."""
    async with connection.transaction():
        await connection.execute("UPDATE services SET team = $1 WHERE service_id = ANY ($2)", team, BATCH)
        return Revision.of(await connection.fetchval("SELECT depgraph_feed.revision()")).token


async def teams(server: WholeServer, consistency: Consistency, deadline: float | None = None) -> set[str]:
    """Which teams a read shows."""
    request = whole_batch()
    request.consistency.CopyFrom(consistency)
    answer = await server.stubs.graph.Traverse(request, timeout=deadline)
    return {service.team for service in answer.services}


@pytest.mark.parametrize("deadline", [None, 2.4], ids=["without a deadline", "within its deadline"])
async def test_a_replica_that_is_cut_off_says_that_it_is_behind_and_never_answers_too_old(
    database_url: str,
    connection: asyncpg.Connection,
    record: Record,
    monkeypatch: pytest.MonkeyPatch,
    deadline: float | None,
) -> None:
    answer_early(monkeypatch)
    async with (
        ChaosProxy(database_url).running() as proxy,
        WholeServer.opened(database_url, record, through=proxy.url, feed=FEED) as server,
    ):
        proxy.fall_silent()
        token = await write_by_sql(connection, "second")
        wanted = [at(token), FRESH] * (READERS // 2)
        for failure in await asyncio.gather(*(failure_of(teams(server, each, deadline)) for each in wanted)):
            assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "REPLICA_BEHIND")
            assert failure.retry_after is not None
            assert int(failure.metadata["lag_ms"]) > 0
        assert await teams(server, Consistency(minimize_latency=True)) == {FIRST}
        proxy.heal()
        await server.recovers("replica cut off from its database")
        assert await teams(server, at(token), deadline=30) == {"second"}
        assert server.onlooker.teams == [FIRST, "second"]


async def test_a_wait_that_began_while_the_replica_was_cut_off_is_answered_once_it_is_not(
    database_url: str, connection: asyncpg.Connection, record: Record
) -> None:
    async with (
        ChaosProxy(database_url).running() as proxy,
        WholeServer.opened(database_url, record, through=proxy.url) as server,
    ):
        proxy.fall_silent()
        token = await write_by_sql(connection, "second")
        waiting = [asyncio.create_task(teams(server, at(token), deadline=30)) for _ in range(READERS)]
        await server.reads_go_on()
        assert not any(read.done() for read in waiting)
        proxy.heal()
        assert await asyncio.gather(*waiting) == [{"second"}] * READERS
        await server.recovers("replica cut off for a moment")


async def test_a_token_of_another_database_is_unknown(
    database_url: str, postgres: DatabaseServer, migrated_template: str, record: Record
) -> None:
    async with WholeServer.opened(database_url, record) as server:
        async with postgres.new_database(migrated_template) as other, connected(other) as connection:
            token = await write_by_sql(connection, "unread")
        failure = await failure_of(teams(server, at(token)))
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "REVISION_UNKNOWN",
        )
        await server.recovers("token of another database")


async def until_fresh(server: WholeServer) -> set[str]:
    """Read what the database holds now, as soon as it can be reached."""
    return await teams(server, FRESH, deadline=30)


async def test_a_token_from_before_a_crash_is_unknown_after_it(
    own_postgres: EmbeddedPostgres, record: Record
) -> None:
    async with WholeServer.opened(own_postgres.url, record) as server:
        token = (await server.write_batch("second")).revision
        assert await teams(server, at(token)) == {"second"}
        await own_postgres.crash()
        await own_postgres.start()
        # The graph from before the crash holds that write and may return it.
        # What is read now belongs to another incarnation.
        assert await until_fresh(server) == {"second"}
        failure = await failure_of(teams(server, at(token), deadline=30))
        assert (failure.code, failure.reason) == (
            grpc.StatusCode.FAILED_PRECONDITION,
            "REVISION_UNKNOWN",
        )
        await server.recovers("token from before a crash")
