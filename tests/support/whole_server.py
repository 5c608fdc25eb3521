"""The whole server in this process, read from during a fault and checked afterwards."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import grpc

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Service
from server.app import Application
from server.config import Settings
from server.domain.errors import ReplicaBehindError
from server.domain.live_graph import FullyConsistent
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.failures import Failure, read_failure
from tests.support.following import PATIENCE, memory, tables
from tests.support.plain_sql import connected
from tests.support.scene import Record
from tests.support.soundness import assert_sound
from tests.support.witness import wrong_rows

HUB = "hub"
BATCH = tuple(f"batch-{number}" for number in range(10))
FIRST = "first"
LOOK_EVERY_SECONDS = 0.01


@dataclass(slots=True)
class Onlooker:
    """A reader of memory: every answer must come, and hold a whole batch."""

    asking: bool = False
    answers: int = 0
    torn: int = 0
    teams: list[str] = field(default_factory=list)
    largest_lag: timedelta = timedelta()

    async def look(self, stubs: Stubs) -> None:
        """Read until cancelled; a failed call ends it with its error."""
        while True:
            self.asking = True
            answer = await stubs.graph.Traverse(whole_batch(), timeout=PATIENCE_SECONDS)
            self.asking = False
            self.note(answer)
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    def note(self, answer: graph.TraverseResponse) -> None:
        """Remember the batches seen, in order, and whether one was in parts."""
        teams = {service.team for service in answer.services}
        self.answers += 1
        self.torn += len(teams) != 1 or len(answer.services) != len(BATCH)
        self.teams += [team for team in teams if self.teams[-1:] != [team]]
        self.largest_lag = max(self.largest_lag, answer.freshness.lag.ToTimedelta())


class WholeServer:
    """
    An application on ``url`` with a hub that depends on the services of a batch, all of one team.

    ``database_url`` reads the tables past a fault between server and database.
    """

    def __init__(
        self, application: Application, channel: grpc.aio.Channel, database_url: str, record: Record
    ) -> None:
        self.application = application
        self.channel = channel
        self.stubs = Stubs(channel)
        self.database_url = database_url
        self.onlooker = Onlooker()
        self._record = record

    @classmethod
    @asynccontextmanager
    async def opened(
        cls, database_url: str, record: Record, *, through: str | None = None, **settings: Any
    ) -> AsyncIterator["WholeServer"]:
        """Fill a new database, serve it (``through`` = the server's URL), start the onlooker."""
        async with connected(database_url) as connection:
            await fill(connection)
        wanted = Settings(listen="127.0.0.1:0", database_url=through or database_url, **settings)
        async with (
            Application(wanted, report=lambda _: None) as application,
            open_channel(application.address) as channel,
        ):
            server = cls(application, channel, database_url, record)
            looking = asyncio.create_task(server.onlooker.look(server.stubs))
            try:
                # It has seen how things were.
                await eventually(lambda: server.onlooker.answers > 0 or looking.done())
                yield server
            finally:
                looking.cancel()
                (ended,) = await asyncio.gather(looking, return_exceptions=True)
            assert isinstance(ended, asyncio.CancelledError), ended

    async def write_batch(
        self, team: str, deadline: float | None = None
    ) -> catalog.BatchUpsertServicesResponse:
        """Give the batch another team, in one call, with a deadline in seconds."""
        return await self.stubs.catalog.BatchUpsertServices(batch_of(team), timeout=deadline)

    async def outcome(self, team: str) -> Failure | None:
        """Give the batch another team; None = done, else the error."""
        try:
            await self.write_batch(team, deadline=PATIENCE_SECONDS)
        except grpc.aio.AioRpcError as error:
            return read_failure(error)
        return None

    async def reads_go_on(self) -> None:
        """Wait until the onlooker got answers that it asked for after this call."""
        enough = self.onlooker.answers + 3
        await eventually(lambda: self.onlooker.answers >= enough)

    async def recovers(self, fault: str, **figures: Any) -> None:
        """Wait until writes work and memory has caught up; then check that nothing is wrong."""
        began = time.monotonic()
        await self._until_written()
        seconds = time.monotonic() - began
        await eventually(lambda: self.running_calls <= 0)
        await assert_sound(self.channel, self.database_url)
        async with connected(self.database_url) as connection:
            await self.application.replica.at(FullyConsistent(), PATIENCE)
            wrong = wrong_rows(memory(self.application.replica), await tables(connection))
        await self.reads_go_on()
        self._record(
            {
                "fault": fault,
                "seconds to recover": round(seconds, 3),
                "wrong rows": wrong,
                "reads meanwhile": self.onlooker.answers,
                "largest lag seen": round(self.onlooker.largest_lag.total_seconds(), 3),
            }
            | figures
        )
        assert wrong == 0
        assert self.onlooker.torn == 0

    @property
    def running_calls(self) -> int:
        """Calls being answered now but the onlooker's; its call on the way counts as -1."""
        return self.application.running_calls - self.onlooker.asking

    async def _until_written(self) -> None:
        request = catalog.CreateServiceRequest(service=Service(service_id=f"after-{uuid4()}"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await self.stubs.catalog.CreateService(request)
                    await self.application.replica.at(FullyConsistent(), PATIENCE)
                except (grpc.aio.AioRpcError, ReplicaBehindError):
                    await asyncio.sleep(0.01)
                else:
                    return


def batch_of(team: str) -> catalog.BatchUpsertServicesRequest:
    """Ask for the whole batch to be of a team."""
    return catalog.BatchUpsertServicesRequest(
        services=[Service(service_id=name, team=team) for name in BATCH]
    )


def whole_batch() -> graph.TraverseRequest:
    """Ask for the batch as memory holds it."""
    return graph.TraverseRequest(service_id=HUB, direction=graph.DIRECTION_DOWNSTREAM, max_depth=1)


async def teams_in_tables(url: str) -> set[str]:
    """Which teams the services of the batch have now."""
    async with connected(url) as connection:
        rows = await connection.fetch("SELECT DISTINCT team FROM services WHERE service_id = ANY ($1)", BATCH)
    return {row["team"] for row in rows}


async def fill(connection: asyncpg.Connection) -> None:
    """Write the hub and its batch."""
    await connection.execute(
        "INSERT INTO services (service_id, team) SELECT name, $2 FROM unnest($1::text[]) AS name",
        [*BATCH, HUB],
        FIRST,
    )
    await connection.execute(
        """INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
        SELECT hub.id, other.id, 'sync'
        FROM services AS hub, services AS other
        WHERE hub.service_id = $1 AND other.service_id = ANY ($2)""",
        HUB,
        BATCH,
    )
