"""The standard services beside the contract, on the real server."""

import asyncio
import json
import logging
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from structlog.testing import capture_logs

from depgraph.v1.graph_service_pb2 import TraverseRequest
from server.rpc.standard import LIVENESS
from tests.support.calls import Stubs
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.failures import failure_of

BUF = Path(sys.executable).with_name("buf")
CONTRACT = [
    "depgraph.v1." + name
    for name in (
        "AccessService",
        "AlertService",
        "AnalysisService",
        "CatalogService",
        "DependencyService",
        "GraphService",
        "HistoryService",
    )
]
SERVICES = [*CONTRACT, "opentelemetry.proto.collector.metrics.v1.MetricsService"]


async def reflect(
    channel: grpc.aio.Channel, version: str = "v1alpha", **asked: str
) -> reflection_pb2.ServerReflectionResponse:
    """Ask reflection; the messages of both versions have the same bytes."""
    method = channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    call = method()
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
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        SERVICES[-1],
    ]


@pytest.mark.parametrize(
    "symbol",
    [
        *SERVICES,
        "depgraph.v1.TraverseRequest",
        "google.rpc.Status",
        "google.rpc.BadRequest",
        "google.rpc.ErrorInfo",
        "google.rpc.RetryInfo",
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1.ServerReflectionResponse",
        "grpc.reflection.v1alpha.ServerReflection",
    ],
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


async def test_both_versions_of_reflection_give_the_same_answers(channel: grpc.aio.Channel) -> None:
    for asked in ({"list_services": ""}, {"file_containing_symbol": "depgraph.v1.GraphService"}):
        assert await reflect(channel, version="v1", **asked) == await reflect(channel, **asked)


async def test_buf_calls_the_server_with_reflection_v1_alone(server_address: str) -> None:
    curl = await asyncio.create_subprocess_exec(
        *(BUF, "curl", "--protocol", "grpc", "--http2-prior-knowledge", "--reflect-protocol", "grpc-v1"),
        *("-d", "{}", f"http://{server_address}/depgraph.v1.GraphService/Traverse"),
        stderr=asyncio.subprocess.PIPE,
    )
    _, printed = await curl.communicate()
    error = json.loads(printed)
    assert error["code"] == "invalid_argument"
    assert {detail["type"] for detail in error["details"]} == {
        "google.rpc.ErrorInfo",
        "google.rpc.BadRequest",
    }


async def test_details_of_an_error_can_be_read_with_reflection_alone(
    channel: grpc.aio.Channel, server_address: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await Stubs(channel).graph.Traverse(TraverseRequest())
    status = rpc_status.from_call(failed.value)

    def read() -> list[dict[str, object]]:
        with grpc.insecure_channel(server_address) as reflected:
            pool = DescriptorPool(ProtoReflectionDescriptorDatabase(reflected))
            found = []
            for detail in status.details:
                kind = GetMessageClass(pool.FindMessageTypeByName(detail.type_url.rpartition("/")[2]))
                found.append(MessageToDict(kind.FromString(detail.value)))
            return found

    info, bad_request = await asyncio.to_thread(read)
    assert info == {"reason": "INVALID_FIELD", "domain": "depgraph"}
    assert [each["field"] for each in bad_request["fieldViolations"]] == ["service_id", "direction"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("service", ["", *SERVICES])
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
        ["", LIVENESS, *SERVICES], health_pb2.HealthCheckResponse.SERVING
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
