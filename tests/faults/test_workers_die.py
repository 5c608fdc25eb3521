"""Workers and their supervisor are stopped, interrupted and killed."""

import asyncio
import gc
import os
import signal
import sys
import warnings
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import asyncpg
import grpc
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1.types_pb2 import Service
from server.config import Limits, Settings, TransportName
from server.lifecycle import supervisor
from server.lifecycle.supervisor import WorkersKeepEndingError, Workforce
from server.lifecycle.worker_link import Order
from server.lifecycle.worker_process import WorkerProcess
from tests.support.calls import Stubs
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.examples import repeats
from tests.support.plain_sql import connected
from tests.support.postgres import DatabaseServer
from tests.support.serving import postmaster
from tests.support.workers import (
    ManyWorkers,
    Metrics,
    is_running,
    many_workers,
    one_channel_each,
    status,
    status_with,
)

pytestmark = pytest.mark.usefixtures("servers_without_numba")

SERVING = ("depgraph_workers_serving", frozenset[tuple[str, str]]())
FAKE_WORKER = (sys.executable, "-m", "tests.support.fake_worker")


# For so long no machine, however busy, stalls a worker.
WORKER_TIMEOUT = "6"


class TwoWorkers(NamedTuple):
    """A server that restarts what is killed, and its database."""

    server: ManyWorkers
    url: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two_workers(
    postgres: DatabaseServer, migrated_template: str, transport: TransportName
) -> AsyncIterator[TwoWorkers]:
    async with (
        postgres.new_database(migrated_template) as url,
        many_workers("--database-url", url, "--worker-timeout", WORKER_TIMEOUT) as server,
    ):
        yield TwoWorkers(server, url)


@pytest.mark.one_transport
@pytest.mark.asyncio(loop_scope="module")
async def test_a_killed_worker_is_restarted_and_the_others_go_on(two_workers: TwoWorkers) -> None:
    server, url = two_workers
    async with one_channel_each(server) as channels:
        (number,) = await keeps_alerts(server)
        other, killed = 3 - number, server.pids[number]
        async with connected(url) as lock, lock.transaction():
            # So that the new one is not warm before the other was looked at.
            await lock.execute("LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
            os.kill(killed, signal.SIGKILL)
            metrics = await server.metrics_until(lambda seen: seen[SERVING] == 1)
            assert metrics["depgraph_workers", frozenset()] == 2
            answer = await status_with(channels[other], problem_count=1)
            assert answer.worker == other
            assert await keeps_alerts(server) == [other]
        await server.metrics_until(lambda seen: seen[SERVING] == 2)
        assert server.pids[number] != killed
        async with one_channel_each(server) as again:
            assert (
                await status(again[number])
            ).start_time.ToNanoseconds() > answer.start_time.ToNanoseconds()
            assert (await status(again[other])).start_time == answer.start_time
        ended = [record for record in server.records if record["event"] == "a worker has ended"][-1]
        assert (ended["worker"], ended["ended_by"]) == (number, "signal 9")


@pytest.mark.one_transport
@pytest.mark.asyncio(loop_scope="module")
async def test_a_hung_worker_is_killed_and_replaced(two_workers: TwoWorkers) -> None:
    server, url = two_workers
    async with one_channel_each(server) as channels:
        hung = server.pids[1]
        async with connected(url) as lock, lock.transaction():
            # So that the new one is not warm before the other was looked at.
            await lock.execute("LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
            os.kill(hung, signal.SIGSTOP)
            of_it = frozenset({("worker", "1")})
            metrics = await server.metrics_until(lambda seen: seen["depgraph_worker_hangs_total", of_it] == 1)
            assert metrics[SERVING] == 1
            assert not is_running(hung)
            assert (await status_with(channels[2], problem_count=1)).worker == 2
        await server.metrics_until(lambda seen: seen[SERVING] == 2)
        logged = {record["event"]: record for record in server.records}
        killed, ended = logged["a worker does not answer; killing it"], logged["a worker has ended"]
        assert (killed["worker"], killed["pid"]) == (ended["worker"], hung) == (1, hung)
        assert ended["ended_by"] == f"killed: it did not answer for {WORKER_TIMEOUT} s"


@pytest.mark.one_transport
async def test_a_worker_that_hangs_while_the_server_stops_is_killed() -> None:
    # Without a server around it, whose last resort would come a second later.
    settings = Settings(workers=1, limits=Limits(grace=timedelta(0)), worker_timeout=timedelta(seconds=60))
    workforce = Workforce([*FAKE_WORKER, "ends"], [Order(settings, 1, 1)], lambda: None)
    with capture_logs() as logged:
        async with asyncio.timeout(PATIENCE_SECONDS), workforce.running():
            await workforce.all_serve()
            (pid,) = (record["pid"] for record in logged if record["event"] == "started a worker")
            os.kill(pid, signal.SIGSTOP)
    assert not is_running(pid)
    assert "a worker does not stop; killing it" in [record["event"] for record in logged]


async def keeps_alerts(server: ManyWorkers) -> list[int]:
    """Wait until a worker keeps the alerts; returns the numbers of those that do."""

    def writers(seen: Metrics) -> list[int]:
        of = "depgraph_detection_writer"
        return [number for number in (1, 2) if seen.get((of, frozenset({("worker", str(number))})))]

    return writers(await server.metrics_until(lambda seen: bool(writers(seen))))


def sigterm(server: ManyWorkers) -> None:
    server.signal(signal.SIGTERM)


def sigterm_to_every_process(server: ManyWorkers) -> None:
    """Stop it as systemd does."""
    for pid in (server.process.pid, *server.pids.values()):
        os.kill(pid, signal.SIGTERM)


def control_c(server: ManyWorkers) -> None:
    """Stop it as a terminal does."""
    os.killpg(server.process.pid, signal.SIGINT)


@pytest.mark.one_transport
@pytest.mark.parametrize("stop", [sigterm_to_every_process, control_c, sigterm][: repeats(3)])
async def test_running_calls_of_every_worker_may_finish_when_the_server_stops(
    database_url: str, stop: Callable[[ManyWorkers], None]
) -> None:
    async with many_workers("--database-url", database_url) as server, one_channel_each(server) as channels:
        async with writes_held_up(database_url, channels) as running:
            stop(server)
            await eventually(lambda: sum("stopping" in line for line in server.said) == 1 + len(channels))
            assert not any(call.done() for call in running)
        await asyncio.gather(*running)
        assert await server.exit_code() == 0
        await server.all_gone()


@pytest.mark.one_transport
async def test_a_second_signal_ends_everything_at_once(database_url: str) -> None:
    async with (
        many_workers("--database-url", database_url) as server,
        one_channel_each(server) as channels,
        writes_held_up(database_url, channels) as running,
    ):
        server.signal(signal.SIGTERM)
        await eventually(lambda: sum("stopping" in line for line in server.said) == 1 + len(channels))
        server.signal(signal.SIGTERM)
        assert await server.exit_code() == -signal.SIGTERM
        await server.all_gone()
        for failure in await asyncio.gather(*running, return_exceptions=True):
            assert isinstance(failure, grpc.aio.AioRpcError)


@pytest.mark.one_transport
async def test_workers_and_database_end_when_the_supervisor_is_killed_and_the_next_start_works(
    data_folder: Path,
) -> None:
    async with many_workers("--data-dir", str(data_folder)) as server, one_channel_each(server) as channels:
        database = postmaster(data_folder)
        await Stubs(channels[1]).catalog.CreateService(create("kept"))
        server.signal(signal.SIGKILL)
        await server.all_gone()
        await eventually(lambda: not is_running(database))
    async with many_workers("--data-dir", str(data_folder)) as server, one_channel_each(server) as channels:
        assert [(await status(channel)).service_count for channel in channels.values()] == [1, 1]
        server.signal(signal.SIGTERM)
        assert await server.exit_code() == 0
        await server.all_gone()
    assert not (data_folder / "postgres" / "postmaster.pid").exists()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_SECONDS", 0.001)


@pytest.mark.one_transport
async def test_workers_that_end_as_soon_as_they_are_started_are_given_up(impatient: None) -> None:
    orders = [Order(Settings(workers=2), number, 2) for number in (1, 2)]
    workforce = Workforce([sys.executable, "-c", "raise SystemExit(3)"], orders, lambda: None)
    with pytest.raises(WorkersKeepEndingError, match=r"of 2 ended 5 times in a row .* exit code 3"):
        async with workforce.running():
            await workforce.all_serve()


@pytest.mark.one_transport
async def test_a_worker_that_keeps_ending_does_not_end_a_worker_that_serves(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "HOPELESS", 2)
    given_up = asyncio.Event()
    orders = [Order(Settings(workers=2), number, 2) for number in (1, 2)]
    command = [*FAKE_WORKER, "ends"]
    workforce = Workforce(command, orders, given_up.set)
    async with workforce.running():
        await workforce.all_serve()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while (metrics := await workforce.metrics()).restarts[2] <= supervisor.HOPELESS:
                await asyncio.sleep(0.01)
        assert (metrics.serving >= 1, metrics.restarts[1]) == (True, 0)
        assert not given_up.is_set()


@pytest.mark.one_transport
async def test_a_worker_whose_event_loop_is_stuck_is_killed_and_started_again() -> None:
    settings = Settings(workers=2, worker_timeout=timedelta(seconds=1))
    orders = [Order(settings, number, 2) for number in (1, 2)]
    workforce = Workforce([*FAKE_WORKER, "hangs"], orders, lambda: None)
    async with workforce.running(), asyncio.timeout(PATIENCE_SECONDS):
        while not (metrics := await workforce.metrics()).restarts[2]:
            await asyncio.sleep(0.01)
    # It hangs again and again, maybe before we look.
    assert metrics.hangs[2] >= 1


@pytest.mark.one_transport
async def test_the_failure_says_that_the_workers_hung(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "HOPELESS", 1)
    given_up = asyncio.Event()
    settings = Settings(worker_timeout=timedelta(milliseconds=200))
    workforce = Workforce([*FAKE_WORKER, "hangs"], [Order(settings, 2, 1)], given_up.set)
    async with workforce.running(), asyncio.timeout(PATIENCE_SECONDS):
        await given_up.wait()
    assert "killed: it did not answer for 0.2 s" in str(workforce.failure)


@pytest.mark.one_transport
async def test_a_start_that_is_given_up_half_way_leaves_no_socket_open() -> None:
    # What earlier tests left is theirs.
    gc.collect()

    async def start() -> None:
        async with WorkerProcess.running(FAKE_WORKER, Order(Settings(), 1, 1), lambda: None):
            pass

    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        for rounds in range(4):
            starting = asyncio.create_task(start())
            for _ in range(rounds):
                await asyncio.sleep(0)
            starting.cancel()
            await asyncio.gather(starting, return_exceptions=True)
        gc.collect()
    assert [str(each.message) for each in warned if "socket" in str(each.message)] == []


@pytest.mark.one_transport
async def test_workers_whose_program_does_not_exist_are_given_up(impatient: None) -> None:
    workforce = Workforce(["/nowhere/python"], [Order(Settings(), 1, 1)], lambda: None)
    with pytest.raises(WorkersKeepEndingError, match="No such file"):
        async with workforce.running():
            await workforce.all_serve()


def create(name: str) -> catalog.CreateServiceRequest:
    return catalog.CreateServiceRequest(service=Service(service_id=name))


@asynccontextmanager
async def writes_held_up(
    url: str, channels: dict[int, grpc.aio.Channel]
) -> AsyncIterator[Sequence["asyncio.Future[catalog.CreateServiceResponse]"]]:
    """Have a call run in every worker that can't finish before the end of the context."""
    lock, observer = await asyncpg.connect(url), await asyncpg.connect(url)
    await lock.execute("BEGIN; LOCK TABLE services IN SHARE ROW EXCLUSIVE MODE")
    running = [
        asyncio.ensure_future(Stubs(channel).catalog.CreateService(create(f"through worker {number}")))
        for number, channel in channels.items()
    ]
    try:
        async with asyncio.timeout(30):
            while await waiting(observer, lock) < len(running):
                await asyncio.sleep(0.005)
        yield running
    finally:
        await lock.close()
        await observer.close()


async def waiting(
    observer: "asyncpg.Connection[asyncpg.Record]", lock: "asyncpg.Connection[asyncpg.Record]"
) -> int:
    """Count who waits for a lock of the other connection's."""
    count: int = await observer.fetchval(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE $1 = ANY (pg_blocking_pids(pid)) AND application_name = 'depgraph'",
        lock.get_server_pid(),
    )
    return count
