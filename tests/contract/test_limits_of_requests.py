"""Limits of requests, on both sides of each: checked before parsing, and freed at once."""

import asyncio
import gc
import tracemalloc
import weakref
from collections.abc import Iterator
from functools import partial
from typing import Any

import grpc
import pytest
from google.protobuf.descriptor_pool import Default
from google.protobuf.message_factory import GetMessageClass

from depgraph.v1 import analysis_service_pb2 as analyses
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_SYNC, Dependency, Service
from server.config import KIB, MIB, Limits
from server.domain.errors import InvalidInputError
from server.rpc.reading import RequestBounds
from server.rpc.server import CONTRACT
from tests.support.calls import Stubs, edges, raw_call
from tests.support.channels import open_channel
from tests.support.eventually import eventually
from tests.support.failures import Failure, failure_of
from tests.support.fake_stores import HeldStore, running

INVALID, EXHAUSTED = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.RESOURCE_EXHAUSTED
MANY = 10_000
BATCHES = "/depgraph.v1.CatalogService/BatchUpsertServices"


def padding(size: int) -> bytes:
    """A field of ``size`` bytes that every message ignores; its length is encoded in five bytes."""
    inside = size - 7
    length = bytes([inside >> shift & 0x7F | 0x80 for shift in (0, 7, 14, 21)]) + b"\0"
    return b"\xa2\x7d" + length + bytes(inside)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


def requests() -> Iterator[tuple[str, Any]]:
    """Every method of the contract that takes one request, with what it takes; not that of OTLP."""
    for service in CONTRACT:
        if not service.startswith("depgraph."):
            continue
        for method in Default().FindServiceByName(service).methods:
            yield f"/{service}/{method.name}", method.input_type


WITH_METADATA = {
    "/depgraph.v1.CatalogService/CreateService",
    "/depgraph.v1.CatalogService/UpdateService",
    "/depgraph.v1.CatalogService/BatchUpsertServices",
    "/depgraph.v1.DependencyService/IngestGraph",
}
WITH_LISTS = {
    "/depgraph.v1.AlertService/CreateAlert",
    "/depgraph.v1.AlertService/CheckCycle",
    "/depgraph.v1.AnalysisService/CheckChange",
    "/depgraph.v1.DependencyService/BatchUpsertDependencies",
    "/depgraph.v1.GraphService/BatchTraverse",
    "/depgraph.v1.GraphService/GetNeighbourhood",
}


def test_every_method_has_the_limit_of_its_kind() -> None:
    bounds = {method: RequestBounds(request, Limits()).max_bytes for method, request in requests()}
    assert {method for method, most in bounds.items() if most == 2 * MIB} == WITH_METADATA
    assert {method for method, most in bounds.items() if most == 4 * MIB} == WITH_LISTS
    assert set(bounds.values()) == {64 * KIB, 2 * MIB, 4 * MIB}


async def test_every_method_refuses_one_byte_too_many_and_names_the_setting(
    channel: grpc.aio.Channel,
) -> None:
    for method, request in requests():
        most = RequestBounds(request, Limits()).max_bytes
        assert GetMessageClass(request).FromString(padding(most)).ByteSize() == most
        failure = await refused(channel, method, padding(most + 1))
        assert (failure.code, failure.reason) == (EXHAUSTED, "REQUEST_TOO_LARGE"), method
        assert failure.metadata["limit_bytes"] == str(most)
        assert f"--max-{failure.metadata['limit'].replace('_', '-')}" in failure.message


async def refused(channel: grpc.aio.Channel, method: str, request: bytes) -> Failure:
    """Send bytes to a method that must refuse them; returns the failure."""
    if method.rpartition("/")[2] in {"Watch", "StreamTraverse", "GetAdjacencyList", "AnalyzeImpact"}:
        call: Any = channel.unary_stream(method)
        return await failure_of(anext(aiter(call(request))))
    return await failure_of(raw_call(channel, method, request))


async def test_a_request_as_long_as_allowed_is_answered(channel: grpc.aio.Channel, stubs: Stubs) -> None:
    written = await raw_call(
        channel,
        BATCHES,
        catalog.BatchUpsertServicesRequest(services=[Service(service_id="a")]).SerializeToString()
        + padding(2 * MIB - 5),
    )
    assert catalog.BatchUpsertServicesResponse.FromString(written).services[0].service_id == "a"
    status = await raw_call(channel, "/depgraph.v1.GraphService/GetStatus", padding(64 * KIB))
    assert graph.GetStatusResponse.FromString(status).server_version


LISTS = [
    (BATCHES, 1, "services"),
    ("/depgraph.v1.DependencyService/BatchUpsertDependencies", 1, "dependencies"),
    ("/depgraph.v1.DependencyService/IngestGraph", 3, "nodes"),
    ("/depgraph.v1.DependencyService/IngestGraph", 4, "edges"),
    ("/depgraph.v1.AnalysisService/CheckChange", 1, "added"),
    ("/depgraph.v1.AnalysisService/CheckChange", 2, "removed"),
    ("/depgraph.v1.GraphService/BatchTraverse", 1, "requests"),
    ("/depgraph.v1.AlertService/CreateAlert", 1, "cycle_path"),
    ("/depgraph.v1.AlertService/CheckCycle", 1, "cycle_path"),
]


async def test_a_list_of_too_many_empty_items_is_refused_without_being_parsed(
    channel: grpc.aio.Channel,
) -> None:
    for method, number, field in LISTS:
        item = bytes([number << 3 | 2, 0])
        # Lists short enough to be decoded are refused for their empty names.
        failure = await failure_of(raw_call(channel, method, item * (MANY + 1)))
        assert failure.code is INVALID
        assert field in failure.message
        failure = await failure_of(raw_call(channel, method, item * 1_000_000))
        assert (failure.code, list(failure.fields)) == (INVALID, [field])


@pytest.mark.grpcio_only
async def test_a_compressed_bomb_is_refused(channel: grpc.aio.Channel) -> None:
    call: Any = channel.unary_unary(BATCHES)
    failure = await failure_of(call(b"\x0a\x00" * 1_000_000, compression=grpc.Compression.Gzip))
    assert list(failure.fields) == ["services"]
    failure = await failure_of(call(b"\x0a\x00" * 1_500_000, compression=grpc.Compression.Gzip))
    assert failure.reason == "REQUEST_TOO_LARGE"
    # gRPC unpacks no more than twice the largest limit.
    failure = await failure_of(call(bytes(64 * MIB), compression=grpc.Compression.Gzip))
    assert (failure.code, failure.reason) == (EXHAUSTED, "")


async def test_ten_thousand_items_are_parsed_in_parts(stubs: Stubs) -> None:
    services = [Service(service_id=f"service-{number}", team="x" * 50) for number in range(MANY)]
    request = catalog.BatchUpsertServicesRequest(services=services)
    assert request.ByteSize() > 64 * KIB
    written = await stubs.catalog.BatchUpsertServices(request)
    assert [service.service_id for service in written.services] == [
        service.service_id for service in services
    ]


async def test_an_item_of_too_many_bytes_is_refused_by_its_position(stubs: Stubs) -> None:
    huge = Dependency(source_service_id="x" * 70_000, target_service_id="b")
    request = dependencies.BatchUpsertDependenciesRequest(dependencies=[*edges("a>b"), huge])
    failure = await failure_of(stubs.dependencies.BatchUpsertDependencies(request))
    assert (failure.code, list(failure.fields)) == (INVALID, ["dependencies[1]"])


async def test_lists_within_a_question_have_limits(channel: grpc.aio.Channel, stubs: Stubs) -> None:
    passing = graph.EdgeFilter(communication_modes=[COMMUNICATION_MODE_SYNC] * 101)
    asked = graph.TraverseRequest(service_id="a", direction=graph.DIRECTION_BOTH, filter=passing)
    failure = await failure_of(stubs.graph.Traverse(asked))
    assert (failure.code, list(failure.fields)) == (INVALID, ["filter.communication_modes"])
    change = analyses.FindPathsRequest(source_service_id="a", target_service_id="b", filter=passing)
    failure = await failure_of(stubs.analyses.FindPaths(change))
    assert (failure.code, list(failure.fields)) == (INVALID, ["filter.communication_modes"])
    update = catalog.UpdateServiceRequest(service=Service(service_id="a"))
    update.update_mask.paths.extend(["team"] * 101)
    failure = await failure_of(stubs.catalog.UpdateService(update))
    assert (failure.code, list(failure.fields)) == (INVALID, ["update_mask.paths"])
    many = graph.BatchTraverseRequest(requests=[asked] * 1_000)
    many.requests[7].filter.communication_modes.extend([COMMUNICATION_MODE_SYNC] * 66_000)
    failure = await failure_of(stubs.graph.BatchTraverse(many))
    assert (failure.code, list(failure.fields)) == (INVALID, ["requests[7]"])


async def test_large_requests_in_work_have_a_common_limit() -> None:
    store = HeldStore()
    limits = Limits(max_requests_bytes=250_000, max_question_bytes=MIB)
    async with (
        running(store, limits=limits) as server,
        open_channel(server.address) as channel,
    ):
        asked = catalog.GetServiceRequest(service_id="a").SerializeToString()
        large = asked + padding(100_000)
        get = partial(raw_call, channel, "/depgraph.v1.CatalogService/GetService")
        held = [asyncio.ensure_future(get(large)) for _ in range(2)]
        await eventually(lambda: server.load.requests_bytes == 2 * len(large))
        failure = await failure_of(get(large))
        assert (failure.code, failure.reason) == (EXHAUSTED, "OVERLOADED")
        assert failure.metadata == {"limit": "requests_bytes"}
        assert server.counts.refused == {"requests_bytes": 1}
        # A small one is none of them.
        small = asyncio.ensure_future(get(asked))
        await eventually(lambda: server.running_calls == 3)
        store.let_go.set()
        await asyncio.gather(*held, small)
        await eventually(lambda: server.load.requests_bytes == 0)
        await get(large)


class Marker:
    """Something in a handler's frame; where it is gone, the frame and the request in it are."""


async def test_a_refused_request_is_freed_without_garbage_collection(monkeypatch: pytest.MonkeyPatch) -> None:
    markers: list[weakref.ref[Marker]] = []

    async def fail(_: Any, __: Any, ___: Any) -> Any:
        marker = Marker()
        markers.append(weakref.ref(marker))
        try:
            int("a cause that holds the frame")
        except ValueError:
            raise InvalidInputError("refused") from None

    monkeypatch.setattr("server.rpc.catalog.CatalogServicer.GetService", fail)
    async with running(HeldStore()) as server, open_channel(server.address) as channel:
        gc.collect()
        gc.disable()
        try:
            for request in (b"", padding(60_000)):
                await failure_of(raw_call(channel, "/depgraph.v1.CatalogService/GetService", request))
            assert [marker() for marker in markers] == [None, None]
        finally:
            gc.enable()


async def test_the_bytes_of_refused_requests_are_freed_without_garbage_collection() -> None:
    async with running(HeldStore()) as server, open_channel(server.address) as channel:
        request = b"\x0a\x00" * 1_000_000
        await failure_of(raw_call(channel, BATCHES, request))
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(10):
                await failure_of(raw_call(channel, BATCHES, request))
            # The server frees the last one after its status was sent, which may be a moment later.
            await eventually(lambda: tracemalloc.get_traced_memory()[0] < len(request))
        finally:
            tracemalloc.stop()
            gc.enable()
