"""
One server for all tests of a module, with limits of the module's own; each test finds it empty.

These tests only make calls and write rows. Those that restart a server, count what it has done
since its start, or change its settings have a server of their own, see the folder above.
"""

import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import grpc
import pytest
import pytest_asyncio

from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from depgraph.v1.types_pb2 import Consistency
from server.app import Application
from server.config import Settings, TransportName
from server.domain.live_graph import FullyConsistent
from tests.support.calls import Stubs
from tests.support.channels import channel_to_new_server, open_channel
from tests.support.command import ROOT, Command
from tests.support.following import PATIENCE
from tests.support.postgres import DatabaseServer

HERE = Path(__file__).parent
CLEAR = """
DELETE FROM service_dependencies;
DELETE FROM services;
DELETE FROM circular_dependency_alerts;
DELETE FROM depgraph_feed.ingestions;
DELETE FROM writes;
DELETE FROM reporters;
"""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run tests on the event loop of the server."""
    for item in items:
        if item.path.is_relative_to(HERE):
            # Before the mark that pytest-asyncio itself has set.
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest.fixture(scope="module")
def database_url(postgres: DatabaseServer, migrated_template: str, transport: TransportName) -> Iterator[str]:
    """The URL of the module's database."""
    with postgres.shared_database(migrated_template) as url:
        yield url


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    """Settings of the module's server; a module that needs other limits overrides this fixture."""
    return Settings(listen="127.0.0.1:0", database_url=database_url)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def application(server_settings: Settings) -> AsyncIterator[Application]:
    """The running application, serving."""
    async with Application(server_settings, report=lambda _: None) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def connection(database_url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection to ``database_url``."""
    opened = await asyncpg.connect(database_url)
    try:
        yield opened
    finally:
        await opened.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cleaner(database_url: str) -> "AsyncIterator[asyncpg.Connection[asyncpg.Record]]":
    """A connection for ``cleared``."""
    opened = await asyncpg.connect(database_url)
    try:
        yield opened
    finally:
        await opened.close()


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def cleared(application: Application, cleaner: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Remove the rows of the test before, from the database and from memory."""
    await cleaner.execute(CLEAR)
    await application.replica.at(FullyConsistent(), PATIENCE)


@pytest_asyncio.fixture(loop_scope="module")
async def channel(server_address: str, cleared: None) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the module's server."""
    async with open_channel(server_address) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def stubs_of_usual_server(database_url: str, cleared: None) -> AsyncIterator[Stubs]:
    """Stubs for one more server on the module's database, with the usual settings."""
    async with channel_to_new_server(Settings(listen="127.0.0.1:0", database_url=database_url)) as channel:
        yield Stubs(channel)


@pytest_asyncio.fixture(loop_scope="module")
async def online_shop(quick_command: Command, channel: grpc.aio.Channel) -> None:
    """The sample topology, taken in and in memory."""
    finished = await quick_command("import", "json", str(ROOT / "examples/online_shop.json"), "--json")
    fresh = Consistency(at_least_as_fresh=json.loads(finished.stdout)["revision"])
    await GraphServiceStub(channel).ListComponents(ListComponentsRequest(consistency=fresh))
