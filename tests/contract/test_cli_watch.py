"""``depgraph watch`` as a child process: what it prints, and that it survives restarts."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from server.app import Application
from server.config import Settings, WatchSettings
from tests.support.command import ROOT, clean_environment, depgraph

# What the command prints does not depend on the transport.
pytestmark = pytest.mark.one_transport

PATIENCE_SECONDS = 30.0
EDGE = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode, timeout_ms)
SELECT a.id, b.id, 'sync', 800 FROM services AS a, services AS b WHERE a.service_id = $1 AND b.service_id = $2
"""


@pytest.fixture
def settings(database_url: str, reachable_folder: Path) -> Settings:
    """A server whose address outlives it."""
    return Settings(
        listen=f"unix:{reachable_folder / 'rpc'}",
        database_url=database_url,
        watch=WatchSettings(heartbeat=timedelta(milliseconds=50)),
    )


def serving(settings: Settings) -> Application:
    return Application(settings, report=lambda _: None)


class Watching:
    """A running ``depgraph watch``."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """Read the next line that it prints."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.process.stdout.readline()).decode().rstrip("\n")

    async def complaint(self) -> str:
        """Read the next line on stderr."""
        assert self.process.stderr is not None
        async with asyncio.timeout(PATIENCE_SECONDS):
            return (await self.process.stderr.readline()).decode().rstrip("\n")


@asynccontextmanager
async def watching(address: str, *arguments: str) -> AsyncIterator[Watching]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "server.cli", "watch", "--address", address, *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=clean_environment(),
    )
    try:
        yield Watching(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_watch_prints_a_line_for_each_change(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('checkout'), ('payments')")
    async with serving(settings), watching(settings.listen, "--state") as watch:
        assert await watch.line() == "= the whole graph: 2 services, 0 dependencies"
        assert sorted([await watch.line(), await watch.line()]) == [
            "+ checkout  medium",
            "+ payments  medium",
        ]
        await connection.execute(EDGE, "checkout", "payments")
        assert await watch.line() == "+ checkout → payments  sync hard 800 ms"
        await connection.execute("UPDATE services SET team = 'x\ny' WHERE service_id = 'payments'")
        assert await watch.line() == "+ payments  medium, team x\\ny"
        await connection.execute("DELETE FROM services WHERE service_id = 'payments'")
        assert await watch.line() == "- checkout → payments  manual"
        assert await watch.line() == "- payments"


async def test_watch_survives_a_restart_and_misses_nothing(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with serving(settings) as first, watching(settings.listen, "--state") as watch:
        assert await watch.line() == "= the whole graph: 0 services, 0 dependencies"
        await first.__aexit__(None, None, None)
        assert "interrupted, trying again" in await watch.complaint()
        await connection.execute("INSERT INTO services (service_id) VALUES ('missed')")
        async with serving(settings):
            assert await watch.line() == "+ missed  medium"
            assert await watch.complaint() == "depgraph: following again"
            await connection.execute("INSERT INTO services (service_id) VALUES ('heard')")
            assert await watch.line() == "+ heard  medium"


async def test_ctrl_c_prints_the_revision_to_continue_after(
    settings: Settings, connection: asyncpg.Connection
) -> None:
    async with serving(settings):
        async with watching(settings.listen, "--state") as watch:
            await watch.line()
            await connection.execute("INSERT INTO services (service_id) VALUES ('a')")
            await watch.line()
            watch.process.send_signal(signal.SIGINT)
            assert await watch.process.wait() == 130
            printed = await watch.complaint()
            assert printed.startswith("depgraph: continue later with --since ")
        await connection.execute("INSERT INTO services (service_id) VALUES ('b')")
        async with watching(settings.listen, "--since", printed.rpartition(" ")[2], "--json") as again:
            names = []
            while "b" not in names:
                batch = json.loads(await again.line())
                assert batch["event"] in {"WATCH_EVENT_CHANGES", "WATCH_EVENT_HEARTBEAT"}
                assert batch["freshness"]["revision"]
                names += [service["service_id"] for service in batch.get("upserted_services", [])]


async def test_watch_prints_a_json_batch_a_line(settings: Settings, connection: asyncpg.Connection) -> None:
    async with serving(settings), watching(settings.listen, "--json") as watch:
        assert json.loads(await watch.line())["event"] == "WATCH_EVENT_HEARTBEAT"
        await connection.execute("INSERT INTO services (service_id) VALUES ('a'), ('b')")
        while (batch := json.loads(await watch.line()))["event"] == "WATCH_EVENT_HEARTBEAT":
            pass
        assert sorted(service["service_id"] for service in batch["upserted_services"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--since", "nonsense"), 2, "the revision is not one that this service gave"),
        (("--address", "127.0.0.1:1"), 1, "no answer from 127.0.0.1:1"),
    ],
)
async def test_a_watch_that_cannot_start_fails_at_once(
    settings: Settings, arguments: tuple[str, ...], code: int, complaint: str
) -> None:
    async with serving(settings):
        finished = await asyncio.to_thread(depgraph, "watch", "--address", settings.listen, *arguments)
    assert finished.returncode == code
    assert finished.stdout == ""
    assert complaint in finished.stderr
    assert finished.stderr.count("\n") == 1
