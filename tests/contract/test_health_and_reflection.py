"""The standard services beside the contract, on the real server."""

import logging

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from structlog.testing import capture_logs

from tests.support.eventually import PATIENCE_SECONDS
from tests.support.failures import failure_of

CONTRACT = [
    "depgraph.v1." + name
    for name in ("AlertService", "AnalysisService", "CatalogService", "DependencyService", "GraphService")
]


async def reflect(channel: grpc.aio.Channel, **asked: str) -> reflection_pb2.ServerReflectionResponse:
    stub = reflection_pb2_grpc.ServerReflectionStub(channel)
    call = stub.ServerReflectionInfo()
    await call.write(reflection_pb2.ServerReflectionRequest(**asked))
    answer: reflection_pb2.ServerReflectionResponse = await call.read()
    await call.done_writing()
    assert await call.code() is grpc.StatusCode.OK
    return answer


async def test_reflection_lists_every_service(channel: grpc.aio.Channel) -> None:
    answer = await reflect(channel, list_services="")
    assert [service.name for service in answer.list_services_response.service] == [
        *CONTRACT,
        "grpc.health.v1.Health",
        "grpc.reflection.v1alpha.ServerReflection",
    ]


@pytest.mark.parametrize(
    "symbol", [*CONTRACT, "depgraph.v1.TraverseRequest", "google.rpc.Status", "grpc.health.v1.Health"]
)
async def test_reflection_describes_what_it_lists(channel: grpc.aio.Channel, symbol: str) -> None:
    answer = await reflect(channel, file_containing_symbol=symbol)
    files = [
        FileDescriptorProto.FromString(raw) for raw in answer.file_descriptor_response.file_descriptor_proto
    ]
    package, _, name = symbol.rpartition(".")
    described = files[0]
    assert described.package == package
    services = [service.name for service in described.service]
    assert name in [*services, *(message.name for message in described.message_type)]


@pytest.mark.parametrize("service", ["", *CONTRACT])
async def test_health_is_serving_for_the_server_and_each_service(
    channel: grpc.aio.Channel, service: str
) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    answer = await stub.Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_the_health_of_an_unknown_service_is_not_found(channel: grpc.aio.Channel) -> None:
    stub = health_pb2_grpc.HealthStub(channel)
    failure = await failure_of(stub.Check(health_pb2.HealthCheckRequest(service="depgraph.v1.Nothing")))
    assert failure.code is grpc.StatusCode.NOT_FOUND


async def test_health_lists_the_server_and_each_service(channel: grpc.aio.Channel) -> None:
    answer = await health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest())
    assert {name: health.status for name, health in answer.statuses.items()} == dict.fromkeys(
        ["", *CONTRACT], health_pb2.HealthCheckResponse.SERVING
    )


async def first_answer(channel: grpc.aio.Channel, method: str) -> grpc.StatusCode:
    """Send one empty message to a method of any kind. OK: the call ended without an error."""
    call: grpc.aio.StreamStreamCall[bytes, bytes] = channel.stream_stream(method)(timeout=PATIENCE_SECONDS)
    try:
        await call.write(b"")
        await call.done_writing()
        await call.read()
    except grpc.aio.AioRpcError as error:
        return error.code()
    finally:
        call.cancel()
    return grpc.StatusCode.OK


async def test_every_method_that_reflection_lists_answers_an_empty_message(
    channel: grpc.aio.Channel, caplog: pytest.LogCaptureFixture
) -> None:
    listed = (await reflect(channel, list_services="")).list_services_response.service
    with capture_logs() as lines, caplog.at_level(logging.ERROR):
        codes = {
            f"/{service.name}/{method.name}": await first_answer(channel, f"/{service.name}/{method.name}")
            for service in listed
            for method in Default().FindServiceByName(service.name).methods
        }
    assert len(codes) > len(listed)
    no_answer = {grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.UNIMPLEMENTED}
    assert {method: code for method, code in codes.items() if code in no_answer} == {}
    assert [line for line in lines if line["log_level"] == "error"] == []
    assert caplog.records == []
