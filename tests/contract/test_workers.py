"""``depgraph serve --workers N``: several processes at one address."""

import asyncio
import contextlib
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
import pytest_asyncio
from grpc_health.v1 import health_pb2, health_pb2_grpc

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import Consistency, Service
from server.app import Application
from server.config import Settings, TransportName
from server.domain.live_graph import Peers
from server.rpc.listening import AddressInUseError, reserve
from tests.support.calls import Stubs
from tests.support.certificates import Authority, CertificateFiles, secure_channel
from tests.support.channels import open_channel
from tests.support.command import depgraph, depgraph_here
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.otlp import Parent, Receiver, receiving
from tests.support.postgres import DatabaseServer
from tests.support.workers import ManyWorkers, many_workers, one_channel_each, status, status_with

if TYPE_CHECKING:
    import asyncpg

pytestmark = [pytest.mark.costly, pytest.mark.usefixtures("servers_without_numba")]

ANY_PORT = "127.0.0.1:0"


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> CertificateFiles:
    return CertificateFiles(tmp_path_factory.mktemp("certificates"), Authority())


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as receiver:
        yield receiver


# One for all tests of a transport, since each process takes a second or two to start.
@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def two_workers(
    postgres: DatabaseServer,
    migrated_template: str,
    transport: TransportName,
    certificates: CertificateFiles,
    receiver: Receiver,
) -> AsyncIterator[ManyWorkers]:
    tls = ("--tls-listen", ANY_PORT, "--tls-cert", str(certificates.cert), "--tls-key", str(certificates.key))
    async with (
        postgres.new_database(migrated_template) as url,
        many_workers(
            *(
                "--database-url",
                url,
                "--transport",
                transport,
                "--health-listen",
                ANY_PORT,
                "--tracing",
                *tls,
            ),
            OTEL_EXPORTER_OTLP_ENDPOINT=receiver.endpoint,
            OTEL_BSP_SCHEDULE_DELAY="20",
        ) as running,
    ):
        yield running


with_two_workers = pytest.mark.asyncio(loop_scope="module")


@with_two_workers
async def test_workers_share_the_addresses_for_tls_and_for_probes(
    two_workers: ManyWorkers, certificates: CertificateFiles
) -> None:
    tls, health = two_workers.others
    assert (tls.partition(" ")[2], health.partition(" ")[2]) == ("(TLS)", "(health)")
    seen: set[int] = set()
    async with asyncio.timeout(PATIENCE_SECONDS):
        # The kernel deals connections.
        while seen != {1, 2}:
            async with secure_channel(tls.partition(" ")[0], certificates.authority) as channel:
                seen.add((await status(channel)).worker)
    async with open_channel(health.partition(" ")[0]) as channel:
        answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


@with_two_workers
async def test_every_worker_answers_and_sees_a_change_with_its_token(two_workers: ManyWorkers) -> None:
    async with one_channel_each(two_workers) as channels:
        assert sorted(channels) == [1, 2]
        starts = [(await status(channel)).start_time.ToNanoseconds() for channel in channels.values()]
        assert starts[0] != starts[1]
        for number, writer in channels.items():
            name = f"written through worker {number}"
            written = await Stubs(writer).catalog.CreateService(
                catalog.CreateServiceRequest(service=Service(service_id=name))
            )
            fresh = Consistency(at_least_as_fresh=written.revision)
            for reader in channels.values():
                await Stubs(reader).graph.GetComponent(
                    pb.GetComponentRequest(service_id=name, consistency=fresh)
                )


RESIDENT = "process_resident_memory_bytes"
HAS_PROC = sys.platform == "linux"


@with_two_workers
async def test_metrics_log_and_status_cover_all_workers(two_workers: ManyWorkers) -> None:
    async with one_channel_each(two_workers) as channels:
        for number, channel in channels.items():
            for _ in range(number):
                await Stubs(channel).graph.ListComponents(pb.ListComponentsRequest())
            answer = await status_with(channel, problem_count=0)
            assert (answer.worker, answer.worker_count) == (number, 2)
    method = ("grpc_service", "depgraph.v1.GraphService"), ("grpc_method", "ListComponents")
    calls = "grpc_server_handled_total", {("grpc_type", "unary"), ("grpc_code", "OK"), *method}
    metrics = await two_workers.metrics_until(
        lambda seen: all(
            seen.get((calls[0], frozenset({("worker", str(number)), *calls[1]}))) == number
            for number in channels
        )
    )
    assert metrics["depgraph_workers", frozenset()] == 2
    assert metrics["depgraph_workers_serving", frozenset()] == 2
    assert await two_workers.healthz() == b"SERVING\n"
    for number in channels:
        assert (
            metrics["depgraph_feed_state", frozenset({("worker", str(number)), ("state", "following")})] == 1
        )
        assert metrics["depgraph_worker_restarts_total", frozenset({("worker", str(number))})] == 0
        assert not HAS_PROC or metrics[RESIDENT, frozenset({("worker", str(number))})] > 0
    assert not HAS_PROC or metrics[RESIDENT, frozenset()] > 0
    of_workers = [record for record in two_workers.records if record["logger"] != "server"]
    assert of_workers
    assert all(record["worker"] in channels for record in of_workers)
    command_status = await asyncio.to_thread(depgraph_here, "status", "--address", two_workers.address)
    assert command_status.returncode == 0
    assert "of 2" in command_status.stdout


@with_two_workers
async def test_each_worker_sends_the_spans_of_its_calls(two_workers: ManyWorkers, receiver: Receiver) -> None:
    async with one_channel_each(two_workers) as channels:
        for number, channel in channels.items():
            parent = Parent()
            request = pb.ListComponentsRequest()
            await Stubs(channel).graph.ListComponents(request, metadata=parent.metadata)
            span = await receiver.span(parent.trace_id)
            assert receiver.resource(span)["depgraph.worker"] == str(number)


@with_two_workers
async def test_the_address_that_workers_share_is_refused_to_every_other_server(
    two_workers: ManyWorkers, empty_database_url: str
) -> None:
    for count in ("1", "2"):
        second = await asyncio.to_thread(
            depgraph,
            *("serve", "--workers", count, "--listen", two_workers.address),
            *("--database-url", empty_database_url),
        )
        assert second.returncode == 1
        assert f"{two_workers.address} is in use" in second.stderr
        assert "Traceback" not in second.stderr


def test_workers_do_not_share_a_unix_socket(tmp_path: Path) -> None:
    refused = depgraph("serve", "--workers", "2", "--listen", f"unix:{tmp_path / 'socket'}")
    assert refused.returncode == 2
    assert "--workers" in refused.stderr


def test_a_reserved_address_without_a_listener_can_not_be_reserved_again() -> None:
    with reserve(ANY_PORT) as address, pytest.raises(AddressInUseError, match=address), reserve(address):
        pass


def test_an_address_where_another_program_listens_is_not_reserved() -> None:
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(AddressInUseError, match=address), reserve(address):
            pass


def test_an_address_is_reserved_again_at_once_although_old_connections_linger() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            connection, _ = server.accept()
            connection.close()
    with reserve(f"127.0.0.1:{port}") as address:
        assert address == f"127.0.0.1:{port}"


async def test_a_worker_that_is_not_warm_refuses_connections_instead_of_answering_not_ready(
    database_url: str, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    with reserve(ANY_PORT) as address:
        worker = Application(
            Settings(listen=address, database_url=database_url), lambda _: None, Peers(number=2, count=3)
        )
        async with contextlib.AsyncExitStack() as stack:
            async with connection.transaction():
                await connection.execute("LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
                opening = asyncio.ensure_future(stack.enter_async_context(worker))
                await eventually(lambda: worker.vitals.lock_waits > 0)
                async with open_channel(address) as channel:
                    with pytest.raises(grpc.aio.AioRpcError, match="refused"):
                        await Stubs(channel).graph.GetStatus(pb.GetStatusRequest())
                assert not opening.done()
            await opening
            async with open_channel(address) as channel:
                answer = await status(channel)
                assert (answer.worker, answer.worker_count) == (2, 3)
                assert tuple(answer.problems) == Peers(number=2, count=3).problems()
