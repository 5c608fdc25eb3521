"""The real server: the whole application in this process, on a free port, with a database of the test's own."""

from collections.abc import AsyncIterator

import grpc
import pytest

from server.app import Application
from server.config import Settings
from tests.support.channels import open_channel


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    """How the test's server is set; a test module may ask for other limits by overriding this fixture."""
    return Settings(listen="127.0.0.1:0", database_url=database_url)


@pytest.fixture
async def application(server_settings: Settings) -> AsyncIterator[Application]:
    """The running application, serving."""
    async with Application(server_settings, report=lambda _: None) as running:
        yield running


@pytest.fixture
def server_address(application: Application) -> str:
    """Where the test's server listens."""
    return application.address


@pytest.fixture
async def channel(server_address: str) -> AsyncIterator[grpc.aio.Channel]:
    """A channel to the test's server."""
    async with open_channel(server_address) as opened:
        yield opened
