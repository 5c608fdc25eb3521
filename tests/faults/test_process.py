"""The process and its embedded database: started twice, killed, stopped during a call."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1 import types_pb2 as types
from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceStub
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from tests.support.channels import open_channel
from tests.support.command import ROOT
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.serving import embedded_url, postmaster, serving, start

if TYPE_CHECKING:  # a class of the stubs only
    from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceAsyncStub

pytestmark = [pytest.mark.costly, pytest.mark.usefixtures("servers_without_numba")]

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
FULLY = types.Consistency(fully_consistent=True)


def create(name: str) -> catalog.CreateServiceRequest:
    return catalog.CreateServiceRequest(service=types.Service(service_id=name))


async def health(channel: grpc.aio.Channel) -> int:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    return int(answer.status)


async def is_known(
    channel: grpc.aio.Channel, name: str, consistency: types.Consistency | None = None
) -> bool:
    try:
        await GraphServiceStub(channel).GetComponent(
            graph.GetComponentRequest(service_id=name, consistency=consistency)
        )
    except grpc.aio.AioRpcError as error:
        assert error.code() is grpc.StatusCode.NOT_FOUND, error
        return False
    return True


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.one_transport
async def test_a_second_service_on_a_data_folder_is_refused_and_the_first_goes_on(
    data_folder: Path,
) -> None:
    folder = str(data_folder)
    async with serving("--data-dir", folder) as first:
        second = await start("--data-dir", folder)
        out, err = await second.communicate()
        assert second.returncode == 1
        assert out == b""
        assert str(first.process.pid) in err.decode()
        assert folder in err.decode()
        assert "Traceback" not in err.decode()
        async with open_channel(first.address) as channel:
            await CatalogServiceStub(channel).CreateService(create("unharmed"))
            assert await is_known(channel, "unharmed", FULLY)


@pytest.mark.one_transport
async def test_after_kill_9_the_next_start_works_and_nothing_committed_is_lost(
    data_folder: Path,
) -> None:
    async with serving("--data-dir", str(data_folder)) as first:
        database = postmaster(data_folder)
        async with open_channel(first.address) as channel:
            for number in range(20):
                await CatalogServiceStub(channel).CreateService(create(f"s{number}"))
        await first.stop(signal.SIGKILL)
    async with serving("--data-dir", str(data_folder)) as second:
        assert postmaster(data_folder) != database
        async with open_channel(second.address) as channel:
            assert [await is_known(channel, f"s{number}") for number in range(20)] == [True] * 20
        assert await second.stop() == 0
    await eventually(lambda: not is_running(database))


async def test_sigterm_lets_a_running_call_finish_reports_not_serving_and_ends_postgres(
    data_folder: Path,
) -> None:
    async with serving("--data-dir", str(data_folder)) as served, open_channel(served.address) as channel:
        database = postmaster(data_folder)
        assert await health(channel) == SERVING
        lock = await asyncpg.connect(embedded_url(data_folder))
        await lock.execute("BEGIN; LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
        running = asyncio.ensure_future(CatalogServiceStub(channel).CreateService(create("in the middle")))
        observer = await asyncpg.connect(embedded_url(data_folder))
        await blocked_by(observer, lock)
        served.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(30):
            while await health(channel) != NOT_SERVING:
                await asyncio.sleep(0.005)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await GraphServiceStub(channel).GetStatus(graph.GetStatusRequest())
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        assert not running.done()
        await observer.close()
        await lock.close()
        assert (await running).service.service_id == "in the middle"
        assert await served.exit_code() == 0
        assert not is_running(database)


async def blocked_by(
    observer: "asyncpg.Connection[asyncpg.Record]", lock: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    """Wait until a connection waits for the lock."""
    async with asyncio.timeout(30):
        while not await observer.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE $1 = ANY (pg_blocking_pids(pid))"
            " AND application_name <> 'depgraph feed'",
            lock.get_server_pid(),
        ):
            await asyncio.sleep(0.005)


@pytest.mark.one_transport
async def test_a_process_with_a_stuck_event_loop_ends_in_time_and_writes_its_stacks() -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.stuck_program"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"stuck\n"
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(PATIENCE_SECONDS):
        _, said = await process.communicate()
    assert process.returncode == 1
    assert b"stuck_program.py" in said


async def test_ctrl_c_stops_the_server_in_order(database_url: str) -> None:
    async with serving("--database-url", database_url) as served:
        assert await served.stop(signal.SIGINT) == 0


@pytest.mark.one_transport
async def test_an_embedded_database_that_is_killed_is_started_again(data_folder: Path) -> None:
    async with serving("--data-dir", str(data_folder)) as served, open_channel(served.address) as channel:
        catalog_stub = CatalogServiceStub(channel)
        await catalog_stub.CreateService(create("before"))
        assert await is_known(channel, "before", FULLY)
        killed = postmaster(data_folder)
        os.kill(killed, signal.SIGKILL)
        assert await is_known(channel, "before")
        async with asyncio.timeout(60):
            while not is_replaced(data_folder, killed):  # sessions of a killed server live on for a moment
                await asyncio.sleep(0.05)
            while not await try_create(catalog_stub, "after"):
                await asyncio.sleep(0.05)
        assert await is_known(channel, "after", types.Consistency(fully_consistent=True))
        assert await served.stop() == 0


def is_replaced(folder: Path, killed: int) -> bool:
    try:
        return postmaster(folder) != killed
    except (FileNotFoundError, ValueError):  # gone, or not written yet
        return False


async def try_create(stub: "CatalogServiceAsyncStub", name: str) -> bool:
    try:
        await stub.CreateService(create(name))
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.ALREADY_EXISTS:  # an earlier try whose answer was lost
            return True
        assert error.code() is grpc.StatusCode.UNAVAILABLE, error
        return False
    return True
