"""What several measurements share in one run: databases that hold a graph, filled once."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from bench.graphs import Edges
from bench.server_process import GRPCIO, ServerProcess, serving, transports

_SERVICES = "INSERT INTO services (service_id) SELECT unnest($1::text[])"
_DEPENDENCIES = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT source.id, target.id, 'sync'
FROM unnest($1::text[], $2::text[]) AS call (parent, child)
JOIN services AS source ON source.service_id = call.parent
JOIN services AS target ON target.service_id = call.child
"""
_AT_ONCE = 100_000


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

    def filled(self, edges: Edges) -> Path:
        """The data folder whose database holds the graph; filled the first time."""
        data_dir = self.folder / edges.name
        if not data_dir.exists():
            with serving(data_dir):
                asyncio.run(_fill(embedded_url(data_dir), edges))
        return data_dir

    @contextmanager
    def server(
        self, edges: Edges, *options: str, transport: str = GRPCIO
    ) -> Iterator[tuple[ServerProcess, str]]:
        """A server on that graph, and the URL of its database."""
        data_dir = self.filled(edges)
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
async def connected(url: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


async def _fill(url: str, edges: Edges) -> None:
    async with connected(url) as connection:
        await write_services(connection, edges)
        await write_dependencies(connection, edges)
