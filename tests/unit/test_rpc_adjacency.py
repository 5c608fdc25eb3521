"""The adjacency list: one message a service, or several if it has very many targets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.graph_service_pb2 import GetAdjacencyListResponse
from depgraph.v1.types_pb2 import Freshness
from server.rpc.graph.parts import adjacency_messages

FRESHNESS = Freshness(revision="revision")
names = st.text(st.characters(blacklist_categories=["Cs"]), min_size=1, max_size=30)


def messages(services: list[tuple[str, list[str]]], max_bytes: int) -> list[GetAdjacencyListResponse]:
    raw = adjacency_messages(services, FRESHNESS.SerializeToString(), max_bytes)
    return [GetAdjacencyListResponse.FromString(message) for message in raw]


@given(st.lists(st.tuples(names, st.lists(names, max_size=5)), max_size=8))
def test_each_service_has_one_message_and_the_first_has_the_freshness(
    services: list[tuple[str, list[str]]],
) -> None:
    expected = [
        GetAdjacencyListResponse(service_id=name, target_service_ids=targets) for name, targets in services
    ]
    for first in expected[:1]:
        first.freshness.CopyFrom(FRESHNESS)
    assert messages(services, 1_000) == expected


@pytest.mark.parametrize("letter", ["x", "漢"])
def test_very_many_targets_come_in_several_messages_of_the_same_service(letter: str) -> None:
    targets = [f"{letter * 20}{place:05}" for place in range(1_000)]
    parts = messages([("hub", targets), ("leaf", [])], 4_000)
    assert [message.service_id for message in parts] == ["hub"] * (len(parts) - 1) + ["leaf"]
    assert [name for message in parts for name in message.target_service_ids] == targets
    assert all(message.ByteSize() <= 4_000 + 100 for message in parts)
    assert len(parts) < 30
