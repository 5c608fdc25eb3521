"""The client against a server that fails on command: deadlines, retries, the latest revision."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from threading import Event
from typing import Any

import grpc
import pytest

import depgraph.v1.alert_service_pb2 as alerts
import depgraph.v1.catalog_service_pb2 as catalog
import depgraph.v1.dependency_service_pb2 as dependencies
import depgraph.v1.graph_service_pb2 as graph
from depgraph import AsyncClient, Client
from depgraph.calls import REPEATABLE_CALLS, REPEATABLE_STREAMS, channel_options, service_config
from depgraph.v1.catalog_service_pb2 import CreateServiceRequest
from depgraph.v1.graph_service_pb2 import GetAdjacencyListRequest, GetComponentRequest, GetStatusRequest
from depgraph.v1.types_pb2 import Consistency, Service
from tests.support.fake_server import Script, fake_server

UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
NOT_REPEATABLE = {
    "CreateService",
    "UpdateService",
    "DeleteService",
    "RemoveAlias",
    "MergeServices",
    "DeleteDependency",
    "MarkStale",
    "CreateAlert",
    "AcknowledgeAlert",
    "ResolveAlert",
}
Serve = Callable[[Script], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    with ExitStack() as running:
        yield lambda script: running.enter_context(fake_server(script))


def creation(name: str) -> CreateServiceRequest:
    return CreateServiceRequest(service=Service(service_id=name))


def test_before_the_first_write_consistency_is_unset(serve: Serve) -> None:
    with Client(serve(Script([]))) as client:
        client.graph.GetComponent(GetComponentRequest(service_id="a"))
        assert client.read_your_writes() == Consistency()


def test_the_revision_of_the_latest_write_is_remembered(serve: Serve) -> None:
    with Client(serve(Script([]))) as client:
        client.catalog.CreateService(creation("a"))
        client.catalog.CreateService(creation("b"))
        client.graph.GetComponent(GetComponentRequest(service_id="a"))
        assert client.read_your_writes() == Consistency(at_least_as_fresh="made b")


def test_a_failed_write_is_not_remembered(serve: Serve) -> None:
    with Client(serve(Script([grpc.StatusCode.ALREADY_EXISTS], grace=1))) as client:
        client.catalog.CreateService(creation("a"))
        with pytest.raises(grpc.RpcError, match="asked to fail with ALREADY_EXISTS"):
            client.catalog.CreateService(creation("b"))
        assert client.read_your_writes().at_least_as_fresh == "made a"


def test_a_write_made_with_future_is_remembered_when_it_is_done(serve: Serve) -> None:
    with Client(serve(Script([]))) as client:
        call = client.catalog.CreateService.future(creation("a"))
        done = Event()
        call.add_done_callback(lambda _: done.set())
        assert done.wait(timeout=30)
        assert client.read_your_writes().at_least_as_fresh == "made a"


def test_clients_do_not_share_revisions(serve: Serve) -> None:
    address = serve(Script([]))
    with Client(address) as one, Client(address) as other:
        one.catalog.CreateService(creation("a"))
        assert other.read_your_writes() == Consistency()


async def test_the_asynchronous_client_remembers_the_latest_write(serve: Serve) -> None:
    async with AsyncClient(serve(Script([grpc.StatusCode.ABORTED], grace=1))) as client:
        assert client.read_your_writes() == Consistency()
        await client.catalog.CreateService(creation("a"))
        with pytest.raises(grpc.aio.AioRpcError, match="asked to fail with ABORTED"):
            await client.catalog.CreateService(creation("b"))
        assert client.read_your_writes().at_least_as_fresh == "made a"


@pytest.mark.parametrize("failures", [1, 4])
def test_a_read_is_retried_while_the_server_is_unavailable(serve: Serve, failures: int) -> None:
    script = Script([UNAVAILABLE] * failures)
    with Client(serve(script)) as client:
        assert client.graph.GetStatus(GetStatusRequest()).service_count == 1
    assert script.calls == ["GetStatusRequest"] * (failures + 1)


def test_a_read_is_retried_that_a_stopping_server_cancels(serve: Serve) -> None:
    script = Script([grpc.StatusCode.CANCELLED])
    with Client(serve(script)) as client:
        assert client.graph.GetStatus(GetStatusRequest()).service_count == 1
    assert len(script.calls) == 2


async def test_the_asynchronous_client_retries_reads(serve: Serve) -> None:
    script = Script([UNAVAILABLE])
    async with AsyncClient(serve(script)) as client:
        assert (await client.graph.GetStatus(GetStatusRequest())).service_count == 1
    assert len(script.calls) == 2


def test_a_stream_is_retried_before_its_first_message(serve: Serve) -> None:
    script = Script([UNAVAILABLE])
    with Client(serve(script)) as client:
        assert [row.service_id for row in client.graph.GetAdjacencyList(GetAdjacencyListRequest())] == ["a"]
    assert len(script.calls) == 2


@pytest.mark.parametrize("code", [UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED])
def test_a_write_that_is_not_repeatable_is_tried_once(serve: Serve, code: grpc.StatusCode) -> None:
    script = Script([code])
    with Client(serve(script)) as client, pytest.raises(grpc.RpcError, match=code.name):
        client.catalog.CreateService(creation("a"))
    assert script.calls == ["CreateServiceRequest"]


def test_retries_can_be_switched_off(serve: Serve) -> None:
    script = Script([UNAVAILABLE])
    with Client(serve(script), attempts=1) as client, pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
        client.graph.GetStatus(GetStatusRequest())
    assert len(script.calls) == 1


def test_every_call_of_the_contract_is_either_repeatable_or_not() -> None:
    repeatable = {
        f"{service}/{method}" for service, methods in REPEATABLE_CALLS.items() for method in methods
    }
    streams = {f"{service}/{method}" for service, methods in REPEATABLE_STREAMS.items() for method in methods}
    for module in (alerts, catalog, dependencies, graph):
        for service in module.DESCRIPTOR.services_by_name.values():
            for method in service.methods:
                name = f"{service.full_name}/{method.name}"
                kinds = [name in repeatable, name in streams, method.name in NOT_REPEATABLE]
                assert sum(kinds) == 1, name
                assert method.server_streaming == (name in streams), name


async def test_calls_without_a_deadline_get_the_default_deadline(serve: Serve) -> None:
    script = Script([])
    address = serve(script)
    with Client(address, timeout=50) as client:
        client.graph.GetStatus(GetStatusRequest())
        client.graph.GetStatus(GetStatusRequest(), timeout=5)
    async with AsyncClient(address, timeout=50) as asynchronous:
        await asynchronous.graph.GetStatus(GetStatusRequest())
        await asynchronous.graph.GetStatus(GetStatusRequest(), timeout=5)
    remaining = [seconds or 0 for seconds in script.deadlines]
    assert [seconds > 25 for seconds in remaining] == [True, False, True, False]
    assert all(remaining)


def test_without_a_server_the_first_call_fails_with_the_address_and_the_cause() -> None:
    with (
        Client("127.0.0.1:1", timeout=60) as client,
        pytest.raises(grpc.RpcError, match=r"127\.0\.0\.1:1.*Connection refused"),
    ):
        client.graph.GetStatus(GetStatusRequest())


async def test_the_asynchronous_client_fails_with_the_address_and_the_cause() -> None:
    async with AsyncClient("127.0.0.1:1", timeout=60) as client:
        with pytest.raises(grpc.aio.AioRpcError, match=r"127\.0\.0\.1:1.*Connection refused"):
            await client.graph.GetStatus(GetStatusRequest())


def test_after_an_answer_unary_calls_wait_for_a_server_that_restarts() -> None:
    with ExitStack() as running:
        address = running.enter_context(fake_server(Script([])))
        client = Client(address, timeout=60)
        client.graph.GetStatus(GetStatusRequest())
        running.close()
        call = client.graph.GetStatus.future(GetStatusRequest())
        running.enter_context(fake_server(Script([]), address))
        assert call.result().service_count == 1
        client.close()


def test_with_wait_for_ready_unary_calls_wait_within_their_deadline() -> None:
    with (
        Client("127.0.0.1:1", timeout=0.2, wait_for_ready=True) as client,
        pytest.raises(grpc.RpcError, match="DEADLINE_EXCEEDED"),
    ):
        client.graph.GetStatus(GetStatusRequest())


def test_without_wait_for_ready_calls_never_wait() -> None:
    with ExitStack() as running:
        address = running.enter_context(fake_server(Script([])))
        with Client(address, wait_for_ready=False, attempts=1) as client:
            client.graph.GetStatus(GetStatusRequest())
            running.close()
            with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
                client.graph.GetStatus(GetStatusRequest())


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf")])
def test_a_timeout_that_is_not_positive_and_finite_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout must be a positive number"):
        Client(timeout=timeout)


@pytest.mark.parametrize("attempts", [0, 6])
def test_attempts_outside_1_to_5_are_refused(attempts: int) -> None:
    with pytest.raises(ValueError, match="attempts must be 1 to 5"):
        service_config(attempts=attempts)


def test_the_options_of_a_channel_carry_the_service_config() -> None:
    options: dict[str, Any] = dict(channel_options())
    assert json.loads(options["grpc.service_config"]) == service_config(attempts=5)
    assert options["grpc.keepalive_time_ms"] >= 30_000
