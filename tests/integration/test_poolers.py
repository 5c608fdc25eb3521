"""Through a real PgBouncer pooling by session works; sharing sessions is refused."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import asyncpg
import pytest

from server.domain.errors import DatabaseUnavailableError
from server.feed.connection import FeedConnection
from server.postgres import PoolerFullError, Session, SharedSessionsError, cause_of, connect
from server.postgres.connecting import is_pooled
from server.store import migrate
from server.store.database import Database
from server.store.single_runner import SingleRunner
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.pgbouncer import pgbouncer

PATIENT = Session(name="depgraph test", limit=timedelta(seconds=PATIENCE_SECONDS))
SHARING = ["transaction", "statement"]


@pytest.fixture
async def by_session(database_url: str) -> AsyncIterator[str]:
    async with pgbouncer(database_url, "session") as url:
        yield url


@pytest.fixture(params=SHARING)
async def sharing(database_url: str, request: pytest.FixtureRequest) -> AsyncIterator[str]:
    async with pgbouncer(database_url, request.param) as url:
        yield url


async def test_no_pooler_is_detected_on_a_direct_connection(database_url: str) -> None:
    connection = await connect(database_url, PATIENT)
    assert not await is_pooled(connection)
    await connection.close()


@pytest.mark.parametrize("ignored", [None, "extra_float_digits,options"])
async def test_a_session_behind_a_pooler_has_our_settings_without_any_configuration(
    database_url: str, ignored: str | None
) -> None:
    settings = {} if ignored is None else {"ignore_startup_parameters": ignored}
    async with pgbouncer(database_url, "session", **settings) as url:
        connection = await connect(url, PATIENT)
        assert await is_pooled(connection)
        assert await connection.fetchval("SHOW jit") == "off"
        assert await connection.fetchval("SHOW application_name") == "depgraph test"
        await connection.close()


async def test_the_feed_never_ends_a_session_that_a_pooler_may_have_given_to_others(
    database_url: str, by_session: str
) -> None:
    async with FeedConnection.open(database_url, PATIENT.limit) as direct:
        assert await direct.take_over(None) is not None
    async with FeedConnection.open(by_session, PATIENT.limit) as pooled:
        assert await pooled.take_over(None) is None


async def test_notifications_come_through_a_pooler_that_pools_by_session(by_session: str) -> None:
    woken = asyncio.Event()
    async with FeedConnection.open(by_session, PATIENT.limit, woken.set):
        other = await asyncpg.connect(by_session)
        await other.execute("NOTIFY depgraph_changes")
        await asyncio.wait_for(woken.wait(), PATIENCE_SECONDS)
        await other.close()


@pytest.mark.parametrize("order", ["0", "1"], ids=["last used first", "in turns"])
async def test_shared_sessions_are_detected_in_any_order_of_sessions(database_url: str, order: str) -> None:
    async with pgbouncer(database_url, "transaction", server_round_robin=order) as url:
        for _ in range(3):
            with pytest.raises(SharedSessionsError, match="pool_mode=session"):
                await connect(url, PATIENT)


async def test_sharing_is_detected_with_a_single_session(database_url: str) -> None:
    async with pgbouncer(database_url, "transaction", default_pool_size="1") as url:
        with pytest.raises(SharedSessionsError):
            await connect(url, PATIENT)


async def test_a_pooler_with_one_session_is_reported_as_full(database_url: str) -> None:
    async with pgbouncer(database_url, "session", default_pool_size="1") as url:
        with pytest.raises(PoolerFullError, match="default_pool_size"):
            await connect(url, Session(limit=timedelta(seconds=1)))


async def test_the_feed_the_pool_and_migrations_refuse_shared_sessions(sharing: str) -> None:
    with pytest.raises(SharedSessionsError):
        async with FeedConnection.open(sharing, PATIENT.limit):
            pytest.fail("it was opened")
    with pytest.raises(DatabaseUnavailableError, match="another session"):
        await migrate.upgrade(sharing)
    async with Database.open(sharing, acquire_timeout=PATIENT.limit) as database:
        with pytest.raises(DatabaseUnavailableError, match="pool_mode=session"):
            await database.fetch("SELECT 1")


async def test_a_single_runner_never_runs_on_shared_sessions(sharing: str) -> None:
    async def work(_: object) -> None:
        pytest.fail("it ran")

    runner = SingleRunner(sharing, "test", 99, limit=PATIENT.limit)
    running = asyncio.ensure_future(runner.run_forever(work))
    await eventually(lambda: runner.failures > 0)
    assert runner.last_failure == "SharedSessionsError"
    running.cancel()
    await asyncio.wait((running,))


async def test_the_check_for_sharing_leaves_no_setting_in_a_shared_session(database_url: str) -> None:
    async with pgbouncer(database_url, "transaction", default_pool_size="1") as url:
        with pytest.raises(SharedSessionsError):
            await connect(url, PATIENT)
        other = await asyncpg.connect(url, statement_cache_size=0)
        async with other.transaction():
            assert await other.fetchval("SHOW search_path") == '"$user", public'
        await other.close()


async def test_a_start_up_parameter_that_a_pooler_refuses_is_named(by_session: str) -> None:
    with pytest.raises(asyncpg.PostgresError) as refused:
        await asyncpg.connect(by_session, server_settings={"lock_timeout": "1"})
    assert str(cause_of(refused.value)) == (
        "the connection pooler refuses the start-up parameter lock_timeout: "
        "add lock_timeout to its ignore_startup_parameters"
    )


async def test_settings_in_the_url_need_no_start_up_parameter(by_session: str) -> None:
    connection = await connect(f"{by_session}&options=-c%20work_mem%3D5MB%20-cjit%3Don", PATIENT)
    assert await connection.fetchval("SHOW work_mem") == "5MB"
    assert await connection.fetchval("SHOW jit") == "off"
    await connection.close()
