"""The past of a replica that has not caught up with the mark that is asked for."""

import asyncio

import asyncpg
import pytest

from server.domain.live_graph import FullyConsistent
from server.replica import KeptPasts
from server.store.database import Database
from server.store.history import HistoryReader
from tests.support.following import PATIENCE, following
from tests.support.history_copies import take_copy

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport


async def test_a_replica_answers_about_a_mark_only_once_it_has_caught_up_with_it(
    database_url: str, connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('first')")
    may_step = asyncio.Event()
    may_step.set()
    stepping = asyncio.Event()

    async def hold_up(_replica: object, _connection: object) -> None:
        stepping.set()
        await may_step.wait()

    async with (
        following(database_url, observe=hold_up) as replica,
        Database.open(database_url, pool_size=2) as database,
    ):
        await replica.at(FullyConsistent(), PATIENCE)
        pasts = KeptPasts(replica, HistoryReader(database))
        stepping.clear()
        may_step.clear()
        await connection.execute("UPDATE services SET service_id = 'renamed'")
        await stepping.wait()
        # The step under way sees the name, not what comes now.
        await connection.execute("INSERT INTO services (service_id) VALUES ('second')")
        mark = await take_copy(connection)
        assert mark is not None
        asking = asyncio.create_task(pasts.at(mark.at, PATIENCE))
        # It is done by then, if it does not wait.
        await asyncio.wait((asking,), timeout=0.5)
        may_step.set()
        past = await asking
        assert {service.name for service in past.graph.services()} == {"renamed", "second"}
