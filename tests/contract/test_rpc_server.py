"""The server around the handlers: how it listens, what it logs, how it fails and how it stops."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs
from structlog.typing import EventDict

from depgraph.v1.catalog_service_pb2 import CreateServiceRequest, GetServiceRequest, GetServiceResponse
from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceServicer, add_CatalogServiceServicer_to_server
from server.config import Limits, TransportName
from server.domain.errors import DatabaseUnavailableError
from server.rpc.context import Context
from server.rpc.listening import AddressInUseError, ListenError
from server.rpc.methods import Registrar
from server.rpc.server import RpcServer
from server.rpc.standard import LIVENESS
from server.rpc.transport import make_transport
from tests.support.answering import answering
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.deadlines import before_its_deadline
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.failures import failure_of
from tests.support.fake_stores import ANY_PORT, HeldStore, rpc_server, running
from tests.support.late_calls import answer_begins, call_that_takes_no_answer

ENDLESS = timedelta(hours=1)
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
METHOD = "/depgraph.v1.CatalogService/GetService"


@pytest.fixture
def store() -> HeldStore:
    return HeldStore()


@pytest.fixture
async def server(store: HeldStore) -> AsyncIterator[RpcServer]:
    async with running(store) as serving:
        yield serving


@pytest.fixture
async def channel(server: RpcServer) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(server.address) as opened:
        yield opened


async def get(channel: grpc.aio.Channel) -> GetServiceResponse:
    return await Stubs(channel).catalog.GetService(GetServiceRequest(service_id="a"))


async def health(channel: grpc.aio.Channel, service: str = "") -> int:
    answer = await health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    status: int = answer.status
    return status


async def test_health_is_not_serving_until_it_is_set(store: HeldStore) -> None:
    server = rpc_server(store)
    await server.start()
    async with open_channel(server.address) as channel:
        assert await health(channel) == NOT_SERVING
        server.set_serving(serving=True)
        assert await health(channel) == SERVING
        server.set_serving(serving=False)
        assert await health(channel) == NOT_SERVING
    await server.stop(ENDLESS)


async def test_a_server_that_does_not_serve_is_alive_so_that_no_probe_restarts_it(store: HeldStore) -> None:
    server = rpc_server(store)
    await server.start()
    async with open_channel(server.address) as channel:
        assert (await health(channel), await health(channel, LIVENESS)) == (NOT_SERVING, SERVING)
    await server.stop(ENDLESS)


async def test_a_running_call_finishes_while_the_server_stops(
    store: HeldStore, server: RpcServer, channel: grpc.aio.Channel
) -> None:
    call = asyncio.ensure_future(get(channel))
    await store.asked.wait()
    stopping = asyncio.ensure_future(server.stop(ENDLESS))
    while await health(channel) == SERVING:
        await asyncio.sleep(0)
    assert server.running_calls == 1
    assert not stopping.done()
    store.let_go.set()
    assert (await call).service.service_id == "a"
    await stopping


async def test_new_calls_are_refused_while_the_server_stops(
    store: HeldStore, server: RpcServer, channel: grpc.aio.Channel
) -> None:
    call = asyncio.ensure_future(get(channel))
    await store.asked.wait()
    stopping = asyncio.ensure_future(server.stop(ENDLESS))
    while await health(channel) == SERVING:
        await asyncio.sleep(0)
    failure = await failure_of(get(channel))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")
    assert failure.retry_after is not None
    store.let_go.set()
    await call
    await stopping


async def test_a_call_that_outlasts_the_grace_is_cancelled(
    store: HeldStore, server: RpcServer, channel: grpc.aio.Channel
) -> None:
    call = asyncio.ensure_future(get(channel))
    await store.asked.wait()
    await server.stop(timedelta(milliseconds=10))
    await store.cancelled.wait()
    failure = await failure_of(call)
    assert failure.code in {grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE}


async def last_of(watch: grpc.aio.UnaryStreamCall[Any, Any], last: int) -> None:
    """Read to the end; a client drops unread messages when an error status arrives."""
    returned: Any = await watch.read()
    assert returned.status == last
    await watch.read()


async def test_streams_that_watch_health_end_without_delaying_the_stop(
    server: RpcServer, channel: grpc.aio.Channel
) -> None:
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == SERVING
    await server.stop(ENDLESS)
    failure = await failure_of(last_of(watch, NOT_SERVING))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "NOT_READY")


async def test_a_watcher_of_health_that_does_not_read_delays_neither_changes_nor_the_stop(
    server: RpcServer, channel: grpc.aio.Channel
) -> None:
    host, _, port = server.address.rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(call_that_takes_no_answer("/grpc.health.v1.Health/Watch"))
    # The server has begun to answer.
    await answer_begins(reader)
    server.set_serving(serving=False)
    assert await health(channel) == NOT_SERVING
    await asyncio.wait_for(server.stop(ENDLESS), PATIENCE_SECONDS)
    writer.close()


async def test_a_watcher_of_health_gets_each_change(server: RpcServer, channel: grpc.aio.Channel) -> None:
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    assert (await watch.read()).status == SERVING
    server.set_serving(serving=False)
    assert (await watch.read()).status == NOT_SERVING
    server.set_serving(serving=True)
    assert (await watch.read()).status == SERVING


async def test_a_watcher_of_an_unknown_service_gets_service_unknown(channel: grpc.aio.Channel) -> None:
    watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="nothing"))
    assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


async def test_an_open_reflection_stream_does_not_delay_the_stop(
    server: RpcServer, channel: grpc.aio.Channel
) -> None:
    stream = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo()
    await stream.write(reflection_pb2.ServerReflectionRequest(list_services=""))
    assert (await stream.read()).HasField("list_services_response")
    await server.stop(ENDLESS)
    assert await stream.code() is grpc.StatusCode.UNAVAILABLE


async def test_a_second_stop_does_nothing(server: RpcServer) -> None:
    await asyncio.gather(server.stop(ENDLESS), server.stop(ENDLESS))
    await server.stop(ENDLESS)
    host, _, port = server.address.rpartition(":")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(host, int(port))


async def test_cancelling_a_call_cancels_its_handler(
    store: HeldStore, server: RpcServer, channel: grpc.aio.Channel
) -> None:
    call = Stubs(channel).catalog.GetService(GetServiceRequest(service_id="a"))
    await store.asked.wait()
    call.cancel()
    await store.cancelled.wait()
    await server.stop(ENDLESS)
    assert server.running_calls == 0


async def test_a_deadline_cancels_the_handler(store: HeldStore, channel: grpc.aio.Channel) -> None:
    async def begun() -> bool:
        return store.asked.is_set()

    stub = Stubs(channel).catalog.GetService
    call = await before_its_deadline(
        lambda deadline: stub(GetServiceRequest(service_id="a"), timeout=deadline), begun, first=0.2
    )
    failure = await failure_of(call)
    assert failure.code is grpc.StatusCode.DEADLINE_EXCEEDED
    await store.cancelled.wait()


async def test_an_unexpected_error_shows_only_an_id_that_is_in_the_log(
    store: HeldStore, channel: grpc.aio.Channel
) -> None:
    store.error = RuntimeError("SELECT password FROM postgresql://user:secret@host")
    store.let_go.set()
    with capture_logs() as lines:
        failure = await failure_of(get(channel))
    assert (failure.code, failure.reason) == (grpc.StatusCode.INTERNAL, "INTERNAL")
    assert failure.metadata["error_id"] in failure.message
    assert "SELECT" not in failure.message
    assert "secret" not in failure.message
    [logged] = [line for line in lines if line["log_level"] == "error"]
    assert (logged["error_id"], logged["exc_info"]) == (failure.metadata["error_id"], store.error)


async def test_the_server_answers_after_an_unexpected_error(
    store: HeldStore, channel: grpc.aio.Channel
) -> None:
    store.error = ZeroDivisionError()
    store.let_go.set()
    await failure_of(get(channel))
    store.error = None
    assert (await get(channel)).service.service_id == "a"


async def test_a_repeated_error_has_one_traceback_and_every_id_is_logged(
    store: HeldStore, channel: grpc.aio.Channel
) -> None:
    store.error = RuntimeError("a defect")
    store.let_go.set()
    with capture_logs() as lines:
        failures = [await failure_of(get(channel)) for _ in range(5)]
    first, *others = [line for line in lines if line["log_level"] == "error"]
    assert [line["error_id"] for line in (first, *others)] == [
        failure.metadata["error_id"] for failure in failures
    ]
    assert first["exc_info"] is store.error
    assert {line["same_as"] for line in others} == {first["error_id"]}


async def test_counts_of_repeated_calls_are_logged_when_the_server_stops(
    server: RpcServer, channel: grpc.aio.Channel
) -> None:
    with capture_logs() as lines:
        for _ in range(5):
            await failure_of(Stubs(channel).catalog.GetService(GetServiceRequest()))
        await server.stop(ENDLESS)
    assert [(line["event"], line.get("count")) for line in lines] == [("call", None), ("more such calls", 4)]


class Halfway(CatalogServiceServicer):
    """Has one method, with a defect, and lacks the others."""

    async def GetService(  # noqa: N802 - named by the contract
        self, request: GetServiceRequest, context: Context
    ) -> GetServiceResponse:
        raise NotImplementedError("a defect")


async def test_a_missing_method_is_unimplemented_and_logged_as_no_error(
    transport: TransportName,
) -> None:
    served = make_transport(transport, ANY_PORT, Limits())
    registrar: Any = Registrar()
    # Only its types are abstract.
    add_CatalogServiceServicer_to_server(cast("Any", Halfway)(), registrar)
    answers = answering()
    served.serve([answers.method(*found) for found in registrar.handlers.items()], answers)
    port = served.listen(ANY_PORT)
    await served.start()
    try:
        async with open_channel(f"127.0.0.1:{port}") as channel:
            with capture_logs() as lines:
                lacking = await failure_of(Stubs(channel).catalog.CreateService(CreateServiceRequest()))
                defect = await failure_of(get(channel))
    finally:
        await served.stop(None)
    assert lacking.code is grpc.StatusCode.UNIMPLEMENTED
    assert defect.code is grpc.StatusCode.INTERNAL
    assert [line["method"] for line in lines if line["log_level"] == "error"] == [METHOD]


def calls_in(lines: Sequence[EventDict]) -> list[EventDict]:
    """The lines of a log about calls that have ended."""
    return [line for line in lines if line["event"] == "call"]


@pytest.fixture
def every_line() -> Iterator[None]:
    """Log at every level while a test looks."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("debug"))
    yield
    structlog.configure(wrapper_class=before)


@pytest.mark.usefixtures("every_line")
@pytest.mark.parametrize(
    ("error", "level", "code"),
    [
        (None, "debug", "OK"),
        (DatabaseUnavailableError("away"), "warning", "UNAVAILABLE"),
        (KeyError("defect"), "warning", "INTERNAL"),
    ],
)
async def test_each_call_is_logged_once(
    store: HeldStore, channel: grpc.aio.Channel, error: Exception | None, level: str, code: str
) -> None:
    store.error = error
    store.let_go.set()
    with capture_logs() as lines:
        await asyncio.gather(get(channel), return_exceptions=True)
        # The answer is sent first.
        await eventually(lambda: len(calls_in(lines)) > 0)
    [line] = calls_in(lines)
    assert (line["log_level"], line["method"], line["code"]) == (level, METHOD, code)
    assert line["duration_ms"] >= 0
    assert line["peer"].startswith("ipv4:127.0.0.1:")


async def test_a_call_with_invalid_input_is_not_logged_as_an_error(channel: grpc.aio.Channel) -> None:
    with capture_logs() as lines:
        await failure_of(Stubs(channel).catalog.GetService(GetServiceRequest()))
        await eventually(lambda: len(calls_in(lines)) > 0)
    [line] = calls_in(lines)
    assert (line["log_level"], line["code"]) == ("info", "INVALID_ARGUMENT")


async def test_a_port_in_use_is_named_and_its_owner_keeps_it(
    store: HeldStore, server: RpcServer, channel: grpc.aio.Channel
) -> None:
    with pytest.raises(AddressInUseError, match=server.address):
        await rpc_server(store, server.address).start()
    assert await health(channel) == SERVING


async def test_a_port_in_use_by_another_program_is_named(store: HeldStore) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(AddressInUseError, match=address):
            await rpc_server(store, address).start()


async def test_it_listens_on_a_unix_socket(store: HeldStore, reachable_folder: Path) -> None:
    address = f"unix:{reachable_folder / 'rpc'}"
    async with running(store, address) as server, open_channel(address) as channel:
        assert server.address == address
        assert await health(channel) == SERVING


async def test_a_unix_socket_in_use_is_not_replaced(store: HeldStore, reachable_folder: Path) -> None:
    address = f"unix:{reachable_folder / 'rpc'}"
    async with running(store, address), open_channel(address) as channel:
        with pytest.raises(AddressInUseError, match="rpc"):
            await rpc_server(store, address).start()
        assert await health(channel) == SERVING


async def test_a_unix_socket_left_behind_by_a_killed_server_is_replaced(
    store: HeldStore, reachable_folder: Path
) -> None:
    path = reachable_folder / "rpc"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    async with running(store, f"unix:{path}"), open_channel(f"unix:{path}") as channel:
        assert await health(channel) == SERVING


async def test_a_file_that_is_no_socket_is_not_replaced(store: HeldStore, reachable_folder: Path) -> None:
    path = reachable_folder / "precious"
    path.write_text("kept")
    with pytest.raises(ListenError, match="precious"):
        await rpc_server(store, f"unix:{path}").start()
    assert path.read_text() == "kept"


@pytest.mark.parametrize(
    "address", ["nonsense", "127.0.0.1:http", "127.0.0.1:70000", "192.0.2.1:0", "unix:/no/such/folder/rpc"]
)
async def test_an_address_that_cannot_be_bound_is_named(store: HeldStore, address: str) -> None:
    with pytest.raises(ListenError, match=address):
        await rpc_server(store, address).start()
