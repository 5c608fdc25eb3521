"""Requests read from their bytes mean what they mean read as messages, however often their kind was seen before."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_ASYNC, Consistency
from server.domain.errors import InvalidInputError
from server.rpc.decode_graph import TraverseQuestion, traverse_question
from server.rpc.graph import traverse_requests
from server.rpc.graph.traverse_requests import question_of

ENDINGS = [
    pb.TraverseRequest(direction=pb.DIRECTION_DOWNSTREAM),
    pb.TraverseRequest(direction=pb.DIRECTION_UPSTREAM, max_depth=7, view=pb.TRAVERSAL_VIEW_IDS),
    pb.TraverseRequest(direction=pb.DIRECTION_BOTH, include_stale=True, max_services=5),
    pb.TraverseRequest(direction=pb.DIRECTION_BOTH, effective=True),
    pb.TraverseRequest(
        direction=pb.DIRECTION_BOTH, filter=pb.EdgeFilter(communication_modes=[COMMUNICATION_MODE_ASYNC])
    ),
    pb.TraverseRequest(direction=pb.DIRECTION_BOTH, consistency=Consistency(minimize_latency=True)),
    pb.TraverseRequest(direction=pb.DIRECTION_BOTH, consistency=Consistency(fully_consistent=True)),
    pb.TraverseRequest(max_depth=11),
    pb.TraverseRequest(),
]
names = st.text(max_size=20) | st.sampled_from(
    ["é" * 63, "x" * 127, "x" * 128, "x" * 255, "x" * 256, "a\0b", ""]
)
endings = st.sampled_from(ENDINGS).map(pb.TraverseRequest.SerializeToString)
requests = st.tuples(names, endings).map(
    lambda parts: pb.TraverseRequest(service_id=parts[0]).SerializeToString() + parts[1]
)


def outcome(request: bytes, *, by_bytes: bool) -> TraverseQuestion | list[str]:
    """What a request asks, or what is wrong with it."""
    try:
        return question_of(request) if by_bytes else traverse_question(pb.TraverseRequest.FromString(request))
    except InvalidInputError as error:
        return [f"{violation.field}: {violation.description}" for violation in error.violations]


@given(st.lists(requests, min_size=1, max_size=6))
def test_bytes_ask_what_the_message_asks(asked: list[bytes]) -> None:
    for request in asked + asked:
        assert outcome(request, by_bytes=True) == outcome(request, by_bytes=False)


@given(st.lists(st.tuples(requests, requests), min_size=1, max_size=4), names)
def test_of_a_name_said_twice_the_latter_counts(pairs: list[tuple[bytes, bytes]], name: str) -> None:
    again = pb.TraverseRequest(service_id=name).SerializeToString()
    for first, second in pairs:
        for request in (first + second, first + again, again + first + second, first + b"\x0a\x00"):
            assert outcome(request, by_bytes=True) == outcome(request, by_bytes=False)


@given(st.binary(max_size=40) | requests.map(lambda request: request[:-1]))
def test_what_is_no_message_is_refused(request: bytes) -> None:
    try:
        expected = outcome(request, by_bytes=False)
    except Exception:  # noqa: BLE001 - protobuf's own
        with pytest.raises(InvalidInputError, match="no message of the type"):
            question_of(request)
        return
    assert outcome(request, by_bytes=True) == expected


def test_no_more_is_remembered_than_a_thousand_kinds() -> None:
    for number in range(2_500):
        request = pb.TraverseRequest(
            service_id="a", direction=pb.DIRECTION_BOTH, filter=pb.EdgeFilter(min_confidence=number / 2_500)
        )
        assert question_of(request.SerializeToString()).edge_filter.min_confidence == number / 2_500
        assert len(traverse_requests._by_ending) <= 1_000


def test_long_endings_are_not_remembered() -> None:
    modes = [COMMUNICATION_MODE_ASYNC] * 100
    request = pb.TraverseRequest(
        service_id="a", direction=pb.DIRECTION_BOTH, filter=pb.EdgeFilter(communication_modes=modes)
    )
    question_of(request.SerializeToString())
    assert all(len(ending) <= 64 for ending in traverse_requests._by_ending)
