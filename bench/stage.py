"""What several measurements share in one run: databases that hold a graph, filled once."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg

from bench.graph_rows import write_dependencies, write_services
from bench.graphs import Edges
from bench.server_process import GRPCIO, ServerProcess, serving, transports


class Stage:
    """``given`` is the Jaeger file to measure on instead of the usual one, ``giant_services`` the size of the graph of ``giant``."""

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
