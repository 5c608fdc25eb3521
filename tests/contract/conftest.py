"""The real server: the application in this process, on a free port, with a database of its own."""

import asyncio
import io
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from unittest.mock import patch

import asyncpg
import grpc
import pytest
from structlog.testing import capture_logs

from server.app import Application
from server.cli.main import run
from server.config import Settings, TransportName
from tests.support.channels import open_channel
from tests.support.command import Command


@pytest.fixture(autouse=True)
def carried(transport: TransportName) -> TransportName:
    """Every test here has a transport."""
    return transport


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    """Settings of the test's server; a module that needs other limits overrides this fixture."""
    return Settings(listen="127.0.0.1:0", database_url=database_url)


@pytest.fixture
async def mesh_reporter(database_url: str) -> str:
    """The name of a reporter that is silent, noted before the server starts."""
    connection = await asyncpg.connect(database_url)
    await connection.execute(
        """INSERT INTO reporters (
            reporter, discovery_source, succeeded_at, last_error, report_interval, element_count, skipped
        ) VALUES (
            'mesh-eu', 'service_mesh', now() - interval '1 hour', 'HTTP 503', interval '1 minute', 9,
            '{"a raw address": 4}'
        )"""
    )
    await connection.close()
    return "mesh-eu"


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


@pytest.fixture
def quick_command(
    server_address: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Command]:
    """
    Run a command against the test's server in a thread: quicker than in a process of its own.

    What the server logs is kept away from what the command prints.
    """
    monkeypatch.setenv("DEPGRAPH_ADDRESS", server_address)

    async def call(*arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        with patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")):
            code = await asyncio.to_thread(run, arguments)
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    with capture_logs():
        yield call
