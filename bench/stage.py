"""Servers as users start them, and what measurements share: databases that hold a graph."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter

import asyncpg

from bench.graphs import Edges, big100k, debian, seed5k
from bench.measuring import stopwatch

GRPCIO, NATIVE = "grpcio", "native"
# The server that does nothing, on the transport of the same name.
ECHO_OPTIONS = {GRPCIO: ("--kind", "aio"), NATIVE: ("--kind", "native")}


def transports() -> tuple[str, ...]:
    """Those that are installed here."""
    return (GRPCIO, NATIVE) if find_spec("pygrpc_native") else (GRPCIO,)


class ServerProcess:
    """A Python module that says ``serving on ADDRESS`` when it is ready."""

    def __init__(self, module: str, *options: str) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed by stop
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, *options], stdout=subprocess.PIPE, stderr=self._log, text=True
        )
        assert self._process.stdout is not None
        with stopwatch() as starting:
            line = self._process.stdout.readline()
        self.start_seconds, self.pid = starting.seconds, self._process.pid
        if not line.startswith("serving on "):
            raise RuntimeError(self.log())
        self.address = line.removeprefix("serving on ").strip()

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read().decode()

    def memory_mib(self, kind: str = "VmRSS") -> float:
        """Resident memory, or what else Linux reports: ``VmHWM`` is the most so far."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{kind}:"))
        return int(line.split()[1]) / 1024

    def cpu_seconds(self) -> float:
        """Processor time of all its threads, in programs and kernel, to a hundredth of a second."""
        # The name may hold anything and ends with the last parenthesis; utime and stime follow as
        # fields 12 and 13.
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait() == 0
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._log.close()


@contextmanager
def _running(module: str, *options: str) -> Iterator[ServerProcess]:
    server = ServerProcess(module, *options)
    try:
        yield server
    finally:
        server.stop()


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return "127.0.0.1:" + str(listening.getsockname()[1])


@contextmanager
def serving(data_dir: Path, *options: str, transport: str = GRPCIO) -> Iterator[ServerProcess]:
    """The server itself; by default on grpcio, by which bars are set."""
    chosen = ["--listen", "127.0.0.1:0", "--data-dir", str(data_dir), "--transport", transport]
    with _running("server.cli", "serve", *chosen, *options) as server:
        yield server


@contextmanager
def echoing(*options: str) -> Iterator[ServerProcess]:
    """The server that does nothing but answer."""
    with _running("bench.echo_server", *options) as server:
        yield server


class MemoryWatch:
    """Sizes are MiB, and count from what the process takes when the watch is made."""

    def __init__(self, server: ServerProcess) -> None:
        self._server = server
        self.rest = server.memory_mib()

    def begin(self) -> None:
        """Forget the peak so far: Linux reports the next one exactly, however short it is."""
        Path(f"/proc/{self._server.pid}/clear_refs").write_text("5")

    def above_rest(self) -> float:
        return self._server.memory_mib() - self.rest

    def peak(self) -> float:
        return self._server.memory_mib("VmHWM") - self.rest


_SERVICES = "INSERT INTO services (service_id) SELECT unnest($1::text[])"
_DEPENDENCIES = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT source.id, target.id, 'sync'
FROM unnest($1::text[], $2::text[]) AS call (parent, child)
JOIN services AS source ON source.service_id = call.parent
JOIN services AS target ON target.service_id = call.child
"""
_AT_ONCE = 100_000
PATIENCE_SECONDS = 1_800


async def write_services(connection: asyncpg.Connection, edges: Edges) -> None:
    """Services s0, s1, …"""
    await connection.execute(_SERVICES, [f"s{number}" for number in range(edges.nodes)], timeout=600)
    await connection.execute("ANALYZE services")


async def write_dependencies(connection: asyncpg.Connection, edges: Edges) -> None:
    """The edges, between services that are there."""
    for start in range(0, len(edges.pairs), _AT_ONCE):
        some = edges.pairs[start : start + _AT_ONCE]
        parents, children = [f"s{source}" for source, _ in some], [f"s{target}" for _, target in some]
        await connection.execute(_DEPENDENCIES, parents, children, timeout=600)
    await connection.execute("ANALYZE service_dependencies", timeout=600)


CONNECT = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT source.id, target.id, 'sync' FROM services AS source, services AS target
WHERE source.service_id = $1 AND target.service_id = $2
"""
DISCONNECT = """
DELETE FROM service_dependencies
WHERE source_service_id = (SELECT id FROM services WHERE service_id = $1)
    AND target_service_id = (SELECT id FROM services WHERE service_id = $2)
"""
LATEST_EVENT = "SELECT COALESCE(max(id), 0) FROM circular_dependency_alert_events"


async def seconds_to_event(
    connection: asyncpg.Connection, edit: Awaitable[object], pause: float = 0.0
) -> float:
    """Make an edit; returns the seconds from its commit until alerts have an event more."""
    before = await connection.fetchval(LATEST_EVENT)
    await edit
    committed = perf_counter()
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await connection.fetchval(LATEST_EVENT) == before:  # noqa: ASYNC110 - an event of the server
            await asyncio.sleep(pause)
    return perf_counter() - committed


class Stage:
    """
    ``given`` is the Jaeger file to measure on instead of the usual one.

    ``giant_services`` is the size of the graph of ``giant``.
    """

    def __init__(self, folder: Path, given: Path | None, giant_services: int) -> None:
        self.folder = folder
        self.given = given
        self.giant_services = giant_services

    @classmethod
    @contextmanager
    def set_up(cls, given: Path | None, giant_services: int = 50_000) -> Iterator["Stage"]:
        with tempfile.TemporaryDirectory(prefix="depgraph-bench-") as name:
            folder = Path(name)
            folder.chmod(0o755)
            yield cls(folder, given, giant_services)

    def graphs(self) -> list[Edges]:
        """A small, a large and a real graph, unless the real one is missing."""
        return [edges for edges in (seed5k(), big100k(), debian(self.given)) if edges]

    @contextmanager
    def server(
        self, edges: Edges, *options: str, transport: str = GRPCIO
    ) -> Iterator[tuple[ServerProcess, str]]:
        """A server on that graph, and the URL of its database, which is filled the first time."""
        data_dir = self.folder / edges.name
        if not data_dir.exists():
            with serving(data_dir):
                asyncio.run(fill(embedded_url(data_dir), edges, write_services, write_dependencies))
        with serving(data_dir, *options, transport=transport) as server:
            yield server, embedded_url(data_dir)

    @contextmanager
    def servers(self, edges: Edges) -> Iterator[tuple[dict[str, ServerProcess], str]]:
        """A server by transport, all at once on that graph, and the URL of their database."""
        with ExitStack() as stack:
            # The first one runs the database, and is stopped last.
            first, url = stack.enter_context(self.server(edges))
            by_transport = {GRPCIO: first}
            for name in transports()[1:]:
                other = serving(self.folder, "--database-url", url, transport=name)
                by_transport[name] = stack.enter_context(other)
            yield by_transport, url


def embedded_url(data_dir: Path) -> str:
    lines = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    return f"postgresql://postgres@/depgraph?host={lines[4]}&port={lines[3]}"


@asynccontextmanager
async def connected(url: str, **settings: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url, server_settings=settings)
    try:
        yield connection
    finally:
        await connection.close()


async def fill(
    url: str, edges: Edges, *writes: Callable[[asyncpg.Connection, Edges], Awaitable[None]]
) -> None:
    async with connected(url) as connection:
        for write in writes:
            await write(connection, edges)
