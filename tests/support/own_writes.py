"""Writers that read their writes on every replica, as callers over the wire."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import asyncpg

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Consistency, Service
from server.domain.revision import Revision
from tests.support.calls import Stubs

TIMEOUT_SECONDS = 30.0
_PAIRS = """
INSERT INTO services (service_id, team)
SELECT kind || '-' || number, '0'
FROM unnest(ARRAY['asker', 'own']) AS kind, generate_series(0, $1::int - 1) AS number
"""
_EDGES = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT asker.id, own.id, 'sync' FROM services AS asker, services AS own
WHERE asker.service_id LIKE 'asker-%' AND own.service_id = 'own-' || substr(asker.service_id, 7)
"""


@dataclass(slots=True)
class OwnReads:
    """Reads at the token of a write on each replica: how many lacked it, and their seconds."""

    replicas: Sequence[Stubs]
    writes: int = 0
    stale: int = 0
    waits: list[float] = field(default_factory=list)

    async def read(self, number: int, version: int, token: str) -> None:
        """Ask all replicas at once for a writer's own service."""
        self.writes += 1
        await asyncio.gather(*(self._read(stubs, number, version, token) for stubs in self.replicas))

    async def _read(self, stubs: Stubs, number: int, version: int, token: str) -> None:
        request = graph.TraverseRequest(
            service_id=f"asker-{number}",
            direction=graph.DIRECTION_DOWNSTREAM,
            max_depth=1,
            consistency=Consistency(at_least_as_fresh=token),
        )
        began = time.perf_counter()
        answer = await stubs.graph.Traverse(request, timeout=TIMEOUT_SECONDS)
        self.waits.append(time.perf_counter() - began)
        (own,) = answer.services
        self.stale += int(own.team) != version

    def milliseconds(self, share: float) -> float:
        """How long a read took at most, of this share of all."""
        ordered = sorted(self.waits)
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2)


async def add_writers(connection: asyncpg.Connection, writers: int) -> None:
    """Create a service for each writer, and one that depends on it, to read it from."""
    await connection.execute(_PAIRS, writers)
    await connection.execute(_EDGES)


async def write_by_rpc(stubs: Stubs, number: int, reads: OwnReads, done: Callable[[], bool]) -> None:
    """Write version after version with one server, and read each with the token of the response."""
    version = 0
    while not done():
        version += 1
        own = Service(service_id=f"own-{number}", team=str(version))
        request = catalog.BatchUpsertServicesRequest(services=[own])
        written = await stubs.catalog.BatchUpsertServices(request, timeout=TIMEOUT_SECONDS)
        await reads.read(number, version, written.revision)


async def write_by_sql(url: str, number: int, reads: OwnReads, done: Callable[[], bool]) -> None:
    """Write in slow transactions; the token comes from inside, or from elsewhere after commit."""
    connection, elsewhere = await asyncpg.connect(url), await asyncpg.connect(url)
    version = 0
    try:
        while not done():
            version += 1
            async with connection.transaction():
                inside = await connection.fetchval("SELECT depgraph_feed.revision()")
                await asyncio.sleep(0.005 * (version % 3))
                await connection.execute(
                    "UPDATE services SET team = $2 WHERE service_id = $1", f"own-{number}", str(version)
                )
            outside = await elsewhere.fetchval("SELECT depgraph_feed.revision()")
            await reads.read(number, version, Revision.of(inside if version % 2 else outside).token)
    finally:
        connection.terminate()
        elsewhere.terminate()
