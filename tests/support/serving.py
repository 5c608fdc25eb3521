"""``depgraph serve`` as a user runs it: a process of its own."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.command import ROOT, clean_environment

PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Program:
    """How a ``depgraph`` is started: the command, the folder and the whole environment."""

    command: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]


def this_version() -> Program:
    """Return the ``depgraph`` of this checkout."""
    return Program((sys.executable, "-m", "server.cli"), ROOT, clean_environment())


class Served:
    """A running ``depgraph serve``."""

    def __init__(self, process: asyncio.subprocess.Process, address: str) -> None:
        self.process = process
        self.address = address

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the exit code."""
        self.process.send_signal(number)
        return await self.exit_code()

    async def exit_code(self) -> int:
        """Wait for the end."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()


async def start(*arguments: str, program: Program | None = None) -> asyncio.subprocess.Process:
    """Start ``depgraph serve`` with arguments on a free port."""
    program = program or this_version()
    return await asyncio.create_subprocess_exec(
        *(*program.command, "serve", "--listen", "127.0.0.1:0", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=program.folder,
        env=program.environment,
    )


@asynccontextmanager
async def serving(*arguments: str, program: Program | None = None) -> AsyncIterator[Served]:
    """Run ``depgraph serve`` until the context ends, if it still runs then."""
    process = await start(*arguments, program=program)
    assert process.stdout is not None
    assert process.stderr is not None
    # What it logs is thrown away, so that a full pipe never holds it up.
    draining = asyncio.ensure_future(process.stderr.read())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("serving on "), (await draining).decode()
        yield Served(process, line.removeprefix("serving on ").strip())
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate() if draining.done() else await draining
        await process.wait()


def embedded_url(data_dir: Path) -> str:
    """Return the URL of the database of a running service, by its data folder."""
    lines = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    return f"postgresql://postgres@/depgraph?host={lines[4]}&port={lines[3]}"


def postmaster(data_dir: Path) -> int:
    """Read the process id of that database."""
    return int((data_dir / "postgres" / "postmaster.pid").read_text().split("\n", 1)[0])
