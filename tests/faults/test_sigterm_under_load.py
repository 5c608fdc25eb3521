"""A busy server gets SIGTERM: it keeps what it acknowledged and refuses the rest with an error."""

import asyncio
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1.types_pb2 import Service
from server.config import Settings
from tests.support.backends import until_backends
from tests.support.calls import FRESH, Stubs
from tests.support.channels import channel_to_new_server, open_channel
from tests.support.eventually import eventually
from tests.support.scene import Record
from tests.support.serving import serving
from tests.support.soundness import AT_WORK, assert_sound
from tests.support.whole_server import fill, whole_batch

pytestmark = [pytest.mark.costly, pytest.mark.usefixtures("servers_without_numba")]

CLIENTS = 6
ENOUGH = 60
ALLOWED = {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED}
GRACE_SECONDS = 30


@dataclass(slots=True)
class Load:
    """How each call of the clients ended, and which services were requested and acknowledged."""

    codes: Counter[grpc.StatusCode] = field(default_factory=Counter)
    asked: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)

    async def write(self, address: str, number: int) -> None:
        """Create one service after another until a call fails."""
        async with open_channel(address) as channel:
            stubs, code, count = Stubs(channel), grpc.StatusCode.OK, 0
            while code is grpc.StatusCode.OK:
                name = f"load-{number}-{count}"
                self.asked.add(name)
                count += 1
                request = catalog.CreateServiceRequest(service=Service(service_id=name))
                code = await self._ended(stubs.catalog.CreateService(request))
                if code is grpc.StatusCode.OK:
                    self.acknowledged.add(name)

    async def read(self, address: str, *, fresh: bool) -> None:
        """Walk until a call fails, from memory or waiting for the database."""
        request = whole_batch()
        if fresh:
            request.consistency.CopyFrom(FRESH)
        async with open_channel(address) as channel:
            stubs = Stubs(channel)
            while await self._ended(stubs.graph.Traverse(request)) is grpc.StatusCode.OK:
                pass

    async def _ended(self, call: "grpc.aio.UnaryUnaryCall[Any, Any]") -> grpc.StatusCode:
        code: grpc.StatusCode = await call.code()
        self.codes[code] += 1
        return code


async def test_writes_acknowledged_before_a_sigterm_are_in_the_database(
    database_url: str, connection: asyncpg.Connection, record: Record
) -> None:
    await fill(connection)
    load = Load()
    async with serving("--database-url", database_url) as served:
        clients = [load.write(served.address, number) for number in range(CLIENTS)]
        clients += [load.read(served.address, fresh=number % 2 == 0) for number in range(CLIENTS)]
        running = asyncio.gather(*clients)
        await eventually(lambda: len(load.acknowledged) >= ENOUGH)
        served.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        assert await served.exit_code() == 0
        seconds = time.monotonic() - began
        await running
    assert seconds < GRACE_SECONDS
    assert set(load.codes) <= ALLOWED, load.codes
    rows = await connection.fetch("SELECT service_id FROM services WHERE service_id LIKE 'load-%'")
    written = {row["service_id"] for row in rows}
    assert load.acknowledged <= written
    assert written <= load.asked
    await until_backends(connection, AT_WORK, 0)
    async with channel_to_new_server(Settings(listen="127.0.0.1:0", database_url=database_url)) as channel:
        await assert_sound(channel, database_url)
    record(
        {
            "fault": "SIGTERM under load",
            "seconds to exit": round(seconds, 3),
            "acknowledged": len(load.acknowledged),
            "acknowledged and lost": len(load.acknowledged - written),
            "calls": sum(load.codes.values()),
            "ended": {code.name: number for code, number in load.codes.items()},
        }
    )
