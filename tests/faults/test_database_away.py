"""The database is stopped and started under a running service."""

import asyncio

import asyncpg
import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1 import types_pb2 as types
from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceStub
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from server.app import Application
from server.config import Settings
from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from tests.support.channels import open_channel
from tests.support.revisions import is_at_least

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LONG = 30.0


def traverse(start: str, consistency: types.Consistency | None = None) -> graph.TraverseRequest:
    return graph.TraverseRequest(
        service_id=start,
        direction=graph.DIRECTION_DOWNSTREAM,
        view=graph.TRAVERSAL_VIEW_IDS,
        consistency=consistency,
    )


async def write_with_sql(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute(statement)
    await connection.close()


PAIR = """
INSERT INTO services (service_id) VALUES ('a'), ('b');
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT a.id, b.id, 'sync' FROM services AS a, services AS b WHERE a.service_id = 'a' AND b.service_id = 'b';
"""
THIRD = """
INSERT INTO services (service_id) VALUES ('c');
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT b.id, c.id, 'sync' FROM services AS b, services AS c WHERE b.service_id = 'b' AND c.service_id = 'c';
"""


@pytest.mark.parametrize("how", ["in order", "by a crash"])
async def test_reads_go_on_while_the_database_is_away_and_catch_up_when_it_is_back(
    own_postgres: EmbeddedPostgres, how: str
) -> None:
    settings = Settings(listen="127.0.0.1:0", database_url=own_postgres.url)
    async with (
        Application(settings, report=lambda _: None) as application,
        open_channel(application.address) as channel,
    ):
        reads, writes = GraphServiceStub(channel), CatalogServiceStub(channel)
        await write_with_sql(own_postgres.url, PAIR)
        fresh = await reads.Traverse(
            traverse("a", consistency=types.Consistency(fully_consistent=True)), timeout=LONG
        )
        assert list(fresh.service_ids) == ["b"]

        await (own_postgres.crash() if how == "by a crash" else own_postgres.stop())
        stale = await reads.Traverse(traverse("a"))
        assert list(stale.service_ids) == ["b"]
        assert is_at_least(stale.freshness.revision, fresh.freshness.revision)
        later = await reads.Traverse(traverse("a"))
        assert later.freshness.lag.ToTimedelta() > stale.freshness.lag.ToTimedelta()
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await writes.CreateService(catalog.CreateServiceRequest(service=types.Service(service_id="lost")))
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE

        await own_postgres.start()
        await write_with_sql(own_postgres.url, THIRD)
        caught_up = await reads.Traverse(
            traverse("a", consistency=types.Consistency(fully_consistent=True)), timeout=LONG
        )
        assert list(caught_up.service_ids) == ["b", "c"]
        status = await reads.GetStatus(graph.GetStatusRequest())
        assert status.warm_count == (2 if how == "by a crash" else 1)
        await writes.CreateService(catalog.CreateServiceRequest(service=types.Service(service_id="kept")))


async def test_a_service_that_starts_before_its_database_waits_for_it(own_postgres: EmbeddedPostgres) -> None:
    await migrate.downgrade(own_postgres.url, "base")
    await own_postgres.stop()
    settings = Settings(listen="127.0.0.1:0", database_url=own_postgres.url)
    application = Application(settings, report=lambda _: None)
    opening = asyncio.ensure_future(application.__aenter__())
    async with asyncio.timeout(LONG):
        while not application.address:
            await asyncio.sleep(0.005)
    async with open_channel(application.address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as not_ready:
            await GraphServiceStub(channel).Traverse(traverse("a"))
        assert not_ready.value.code() is grpc.StatusCode.UNAVAILABLE
        await own_postgres.start()
        await asyncio.wait_for(opening, LONG)
        status = await GraphServiceStub(channel).GetStatus(graph.GetStatusRequest())
        assert status.feed_state == graph.FEED_STATE_FOLLOWING
    await application.__aexit__(None, None, None)
