"""Callers of servers whose database fails over: they write, read and remember the answers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from random import Random

import grpc

from depgraph.v1 import alert_service_pb2 as alerts
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Service
from server.domain.revision import Revision
from tests.support.calls import FRESH, Stubs
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.random_writer import RandomWriter

SQL_WRITERS = 2
PAUSE_SECONDS = 0.01
CREATED = "SELECT service_id FROM services WHERE service_id LIKE 'created-%'"


@dataclass(slots=True)
class Caller:
    """
    Creates services one by one through one server, and reads from its memory.

    ``acknowledged`` are revisions of acknowledged services, ``refused`` counts failures by code.
    """

    stubs: Stubs
    number: int
    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    largest_lag: timedelta = timedelta()

    async def write(self, stop: asyncio.Event) -> None:
        """Create service after service until asked to stop; none is tried twice."""
        for attempt in count():
            if stop.is_set():
                return
            name = f"created-{self.number}-{attempt}"
            request = catalog.CreateServiceRequest(service=Service(service_id=name))
            try:
                created = await self.stubs.catalog.CreateService(request, timeout=PATIENCE_SECONDS)
            except grpc.aio.AioRpcError as error:
                self.refused[error.code().name] += 1
            else:
                self.acknowledged[name] = created.revision
            await asyncio.sleep(PAUSE_SECONDS)

    async def read(self, stop: asyncio.Event) -> None:
        """Read what is in memory until asked to stop: every answer must come."""
        while not stop.is_set():
            answer = await self.stubs.graph.ListComponents(graph.ListComponentsRequest(page_size=1))
            self.largest_lag = max(self.largest_lag, answer.freshness.lag.ToTimedelta())
            await asyncio.sleep(PAUSE_SECONDS)

    async def reads_fresh(self) -> None:
        """Wait until a fully consistent read is answered."""
        request = graph.ListComponentsRequest(page_size=1, consistency=FRESH)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                try:
                    await self.stubs.graph.ListComponents(request, timeout=1)
                except grpc.aio.AioRpcError:
                    await asyncio.sleep(PAUSE_SECONDS)
                else:
                    return

    async def sees_alert(self, *cycle: str) -> None:
        """Wait until there is an alert of a cycle."""
        request = alerts.ListAlertsRequest(service_id=cycle[0])
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                answer = await self.stubs.alerts.ListAlerts(request)
                if any(sorted(alert.cycle_path) == sorted(cycle) for alert in answer.alerts):
                    return
                await asyncio.sleep(PAUSE_SECONDS)

    def acknowledged_by(self, feed_id: str) -> set[str]:
        """Which services one run of the database acknowledged."""
        return {
            name
            for name, revision in self.acknowledged.items()
            if Revision.parse(revision).feed_id == feed_id
        }


@asynccontextmanager
async def everybody_busy(url: str, callers: Sequence[Caller], seed: int) -> AsyncIterator[None]:
    """Let the callers write and read, and others write at random by SQL, until the context ends."""
    stop, counts = asyncio.Event(), Counter[str]()
    async with asyncio.TaskGroup() as group:
        for number in range(SQL_WRITERS):
            dice = Random(f"{seed} {number}")  # noqa: S311 - a game of dice, no secret
            group.create_task(RandomWriter(url, dice, counts, pause=0.05).run(stop))
        for caller in callers:
            group.create_task(caller.write(stop))
            group.create_task(caller.read(stop))
        yield
        stop.set()
