"""Traversals in one message: joined within the limit, refused with advice beyond it."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.graph_service_pb2 import (
    DIRECTION_DOWNSTREAM,
    TRAVERSAL_VIEW_IDS,
    TraverseRequest,
    TraverseResponse,
)
from depgraph.v1.types_pb2 import Dependency, Service
from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from server.domain.errors import InvalidInputError, ResponseTooLargeError, ServiceNotFoundError
from server.domain.live_graph import Freshness
from server.rpc.graph.traverse import traverse_answer, traverse_question

FRESHNESS = Freshness("revision", timedelta(milliseconds=3))
FULL = TraverseRequest(service_id="hub", direction=DIRECTION_DOWNSTREAM)
IDS = TraverseRequest(service_id="hub", direction=DIRECTION_DOWNSTREAM, view=TRAVERSAL_VIEW_IDS)


def fan(targets: int) -> DependencyGraph:
    """A hub that calls so many services."""
    names = ["hub", *(f"target {place}" for place in range(targets))]
    services = [
        ServiceRecord(
            place,
            name,
            TraverseResponse(services=[Service(service_id=name)]).SerializeToString(),
            TraverseResponse(service_ids=[name]).SerializeToString(),
        )
        for place, name in enumerate(names)
    ]
    dependencies = [
        DependencyRecord(
            f"edge {place}",
            0,
            place,
            payload=TraverseResponse(dependencies=[Dependency(id=str(place))]).SerializeToString(),
        )
        for place in range(1, targets + 1)
    ]
    return DependencyGraph.from_records(services, dependencies)


def answered(graph: DependencyGraph, request: TraverseRequest, limit: int = 2**30) -> TraverseResponse:
    raw = traverse_answer(graph, traverse_question(request), FRESHNESS, limit)
    return TraverseResponse.FromString(raw)


@pytest.mark.parametrize("targets", [0, 1, 170, 171, 511, 512, 1_500])
def test_the_answer_has_everything_that_was_found(targets: int) -> None:
    graph = fan(targets)
    full, ids = answered(graph, FULL), answered(graph, IDS)
    assert (
        len(full.services) == len(full.dependencies) == len(full.service_ids) == len(full.depths) == targets
    )
    assert [service.service_id for service in full.services] == list(full.service_ids)
    assert (ids.service_ids, ids.depths) == (full.service_ids, full.depths)
    assert not ids.services
    assert not ids.dependencies


@given(st.sampled_from([3, 100, 300, 700]), st.integers(-300, 300), st.booleans())
def test_an_answer_is_refused_exactly_when_it_exceeds_the_limit(targets: int, spare: int, full: bool) -> None:
    graph, request = fan(targets), FULL if full else IDS
    size = answered(graph, request).ByteSize()
    if spare >= 0:
        assert answered(graph, request, size + spare).ByteSize() == size
        return
    with pytest.raises(ResponseTooLargeError) as caught:
        answered(graph, request, size + spare)
    assert f"{targets:,} services" in caught.value.message
    assert ("TRAVERSAL_VIEW_IDS" in caught.value.message) is full
    assert caught.value.metadata == {"limit_bytes": str(size + spare)}


def test_an_unknown_service_is_named_in_the_error() -> None:
    with pytest.raises(ServiceNotFoundError, match="no service named 'nobody'") as caught:
        answered(fan(1), TraverseRequest(service_id="nobody", direction=DIRECTION_DOWNSTREAM))
    assert caught.value.metadata == {"service_id": "nobody"}


def test_an_invalid_request_is_refused_before_the_walk() -> None:
    with pytest.raises(InvalidInputError) as caught:
        answered(fan(1), TraverseRequest(service_id="nobody", max_depth=11))
    assert [violation.field for violation in caught.value.violations] == ["direction", "max_depth"]
