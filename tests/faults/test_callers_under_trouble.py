"""Callers who ask too late, too much or too many at a time."""

import asyncio
import signal
from datetime import timedelta
from itertools import count
from pathlib import Path
from random import Random

import asyncpg
import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Service
from server.config import Limits, PoolSettings
from tests.support.backends import backends, until_backends
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.chaos import ChaosProxy
from tests.support.eventually import eventually
from tests.support.failures import failure_of
from tests.support.late_calls import OVER, SOON_OVER, calls_out_of_time, ended_calls, make_late
from tests.support.plain_sql import connected
from tests.support.scene import Record
from tests.support.serving import Served, serving
from tests.support.soundness import AT_WORK, assert_sound
from tests.support.whole_server import FIRST, HUB, WholeServer, fill, teams_in_tables, whole_batch

pytestmark = [pytest.mark.costly, pytest.mark.usefixtures("servers_without_numba")]

LOCK = "BEGIN; LOCK TABLE services IN SHARE ROW EXCLUSIVE MODE"
WAITS = f"{AT_WORK} AND wait_event_type = 'Lock'"
WAITING = 5
STORM = 300
EXPIRED = "SELECT count(*) FROM services WHERE service_id LIKE 'expired-%'"
CLIENTS, CALLS_EACH = 70, 5
MOST_GROWTH_MIB = 256
CREATE = "/depgraph.v1.CatalogService/CreateService"


def create(name: str) -> catalog.CreateServiceRequest:
    return catalog.CreateServiceRequest(service=Service(service_id=name))


async def test_calls_that_expire_while_they_wait_for_a_lock_leave_nothing_running_and_nothing_written(
    database_url: str, seed: int, record: Record
) -> None:
    dice = Random(seed)  # noqa: S311 - a game of dice, no secret
    pool = PoolSettings(size=8, acquire_timeout=timedelta(seconds=20))
    async with WholeServer.opened(database_url, record, pool=pool) as server:
        async with (
            connected(database_url) as holder,
            connected(database_url) as observer,
            open_channel(server.application.address) as channel,
        ):
            await holder.execute(LOCK)
            codes = await asyncio.gather(
                *(code_of(channel, f"expired-{n}", dice.uniform(0.3, 0.8)) for n in range(STORM))
            )
            assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED}
            await server.reads_go_on()
            await eventually(lambda: server.running_calls <= 0)
            await until_backends(observer, AT_WORK, 0)
            await holder.execute("COMMIT")
            assert await observer.fetchval(EXPIRED) == 0
        await server.recovers("deadline storm", calls=STORM)


async def test_writes_whose_connections_are_reset_while_they_wait_for_a_lock_leave_nothing_running(
    database_url: str, record: Record
) -> None:
    async with (
        ChaosProxy(database_url).running() as proxy,
        WholeServer.opened(database_url, record, through=proxy.url) as server,
    ):
        async with connected(database_url) as holder, connected(database_url) as observer:
            await holder.execute(LOCK)
            writes = [
                asyncio.create_task(code_of(server.channel, f"expired-{n}", 30)) for n in range(WAITING)
            ]
            # After the first loss a call is tried on a new connection; after the second it fails.
            for _ in range(2):
                await until_backends(observer, WAITS, WAITING)
                orphans = await backends(observer, WAITS)
                proxy.reset_links()
                await until_backends(observer, f"pid = ANY ('{set(orphans)}')", 0)
            assert set(await asyncio.gather(*writes)) == {grpc.StatusCode.UNAVAILABLE}
            await until_backends(observer, AT_WORK, 0)
            await holder.execute("COMMIT")
            assert await observer.fetchval(EXPIRED) == 0
        await server.recovers("connections reset while writes wait for a lock")


async def code_of(channel: grpc.aio.Channel, name: str, deadline: float) -> grpc.StatusCode:
    return (await failure_of(Stubs(channel).catalog.CreateService(create(name), timeout=deadline))).code


@pytest.mark.parametrize(("deadline", "stall_seconds"), [(OVER, 0.05), (SOON_OVER, 0.25)])
async def test_calls_whose_deadline_passed_before_their_turn_came_do_no_work(
    database_url: str, record: Record, deadline: str, stall_seconds: float
) -> None:
    numbers = count()
    async with WholeServer.opened(database_url, record) as server:
        for _ in range(5):
            await server.stubs.write_services("keeps a connection open")
            requests = [create(f"expired-{next(numbers)}").SerializeToString() for _ in range(100)]
            heard = await make_late(
                server.application.address, calls_out_of_time(CREATE, requests, deadline), stall_seconds, 0.2
            )
            assert ended_calls(heard) > 0
            await eventually(lambda: server.running_calls <= 0)
        async with connected(database_url) as observer:
            assert await observer.fetchval(EXPIRED) == 0
        await server.recovers("calls that expired before their turn")


async def test_calls_that_expire_while_the_server_stands_still_write_nothing(
    database_url: str, record: Record
) -> None:
    async with (
        serving("--database-url", database_url) as served,
        open_channel(served.address) as channel,
        # A server may close a connection on which that many calls are given up before it read them.
        open_channel(served.address) as given_up,
        connected(database_url) as observer,
        connected(database_url) as holder,
    ):
        stubs = Stubs(channel)
        await stubs.write_services("keeps a connection open")
        await Stubs(given_up).graph.GetStatus(graph.GetStatusRequest())
        await holder.execute(LOCK)
        served.process.send_signal(signal.SIGSTOP)
        codes = await asyncio.gather(*(code_of(given_up, f"expired-{n}", 0.3) for n in range(STORM)))
        assert set(codes) == {grpc.StatusCode.DEADLINE_EXCEEDED}
        served.process.send_signal(signal.SIGCONT)
        # However this ends, the server has read what came before it.
        await Stubs(given_up).graph.GetStatus(graph.GetStatusRequest()).code()
        await stubs.graph.GetStatus(graph.GetStatusRequest())
        await until_backends(observer, AT_WORK, 0)
        await holder.execute("COMMIT")
        assert await observer.fetchval(EXPIRED) == 0
        await assert_sound(channel, database_url)
        record({"fault": "server frozen until deadlines had passed", "calls": STORM, "wrong rows": 0})


async def test_a_message_that_is_too_large_is_refused_and_the_connection_stays_good(
    database_url: str, record: Record
) -> None:
    limits = Limits(max_metadata_request_bytes=64 * 1024)
    async with WholeServer.opened(database_url, record, limits=limits) as server:
        failure = await failure_of(server.write_batch("x" * 100_000))
        assert failure.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await teams_in_tables(database_url) == {FIRST}
        await server.write_batch("second")
        await server.recovers("oversize message")
        assert server.onlooker.teams == [FIRST, "second"]


async def test_a_flood_of_clients_is_answered(
    database_url: str, connection: asyncpg.Connection, effort: int, record: Record
) -> None:
    clients = CLIENTS * effort
    await fill(connection)
    async with serving("--database-url", database_url) as served:
        before = resident_mib(served)
        answers = await asyncio.gather(*(client(served.address, number) for number in range(clients)))
        codes = [code for some in answers for code in some]
        assert len(codes) == clients * CALLS_EACH
        assert set(codes) <= {grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED}
        grown = resident_mib(served, "VmHWM") - before
        assert grown < MOST_GROWTH_MIB
        async with open_channel(served.address) as channel:
            await assert_sound(channel, database_url)
        refused = codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED)
        record({"fault": "client flood", "calls": len(codes), "refused": refused, "MiB grown": round(grown)})


async def client(address: str, number: int) -> list[grpc.StatusCode]:
    """Open a channel, make some calls on it at once, and return their codes."""
    async with open_channel(address) as channel:
        stubs = Stubs(channel)
        calls = (
            stubs.graph.Traverse(whole_batch()),
            stubs.graph.GetComponent(graph.GetComponentRequest(service_id=HUB)),
            stubs.catalog.ListServices(catalog.ListServicesRequest(page_size=10)),
            stubs.catalog.CreateService(create(f"flood-{number}")),
            stubs.graph.GetStatus(graph.GetStatusRequest()),
        )
        await asyncio.gather(*calls, return_exceptions=True)
        return [await call.code() for call in calls]


def resident_mib(served: Served, field: str = "VmRSS") -> float:
    """Memory of a server now, or the most it ever had (``VmHWM``)."""
    status = Path(f"/proc/{served.process.pid}/status")
    if not status.exists():
        pytest.skip("the memory of a process is read from /proc, which this system has not")
    (line,) = [line for line in status.read_text().splitlines() if line.startswith(f"{field}:")]
    return int(line.split()[1]) / 1024
