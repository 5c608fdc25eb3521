"""No I/O: reports cut into what one call may carry."""

from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.dependency_service_pb2 import CalleePolicy, IngestGraphRequest, IngestNode
from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_SERVICE_MESH, Dependency
from server.formats.native import batches, count_items


def report(nodes: list[str], edges: list[str]) -> IngestGraphRequest:
    return IngestGraphRequest(
        discovery_source=DISCOVERY_SOURCE_SERVICE_MESH,
        observe_time=Timestamp(seconds=7),
        nodes=[IngestNode(service_id=name) for name in nodes],
        edges=[Dependency(source_service_id=name, target_service_id="b") for name in edges],
    )


names = st.lists(st.text("abc", min_size=1, max_size=30), max_size=30)


@given(nodes=names, edges=names, max_items=st.integers(1, 9), max_bytes=st.integers(1, 200))
def test_batches_in_order_are_the_report(
    nodes: list[str], edges: list[str], max_items: int, max_bytes: int
) -> None:
    whole = report(nodes, edges)
    cut = list(batches(whole, max_items=max_items, max_bytes=max_bytes))
    assert [node for batch in cut for node in batch.nodes] == list(whole.nodes)
    assert [edge for batch in cut for edge in batch.edges] == list(whole.edges)
    assert {batch.discovery_source for batch in cut} == {DISCOVERY_SOURCE_SERVICE_MESH}
    assert all(batch.observe_time == whole.observe_time for batch in cut)


@given(nodes=names, edges=names, max_items=st.integers(1, 9), max_bytes=st.integers(1, 200))
def test_no_batch_is_larger_than_allowed(
    nodes: list[str], edges: list[str], max_items: int, max_bytes: int
) -> None:
    for batch in batches(report(nodes, edges), max_items=max_items, max_bytes=max_bytes):
        items = [*batch.nodes, *batch.edges]
        assert len(items) <= max_items
        assert len(items) <= 1 or sum(item.ByteSize() for item in items) <= max_bytes


def test_every_batch_but_the_last_says_that_more_follows_and_the_last_has_the_details() -> None:
    whole = report(["a"], ["b"])
    whole.policies.append(CalleePolicy(target_service_id="b", timeout_ms=9))
    whole.reporter = "prometheus-eu"
    whole.observation_granularity.seconds = 300
    whole.details.element_count = 7
    whole.details.interval.seconds = 60
    cut = list(batches(whole, max_items=1))
    assert [batch.details.more for batch in cut] == [True, True, False]
    assert [batch.details.element_count for batch in cut] == [0, 0, 7]
    assert {batch.details.interval.seconds for batch in cut} == {60}
    assert {(batch.reporter, batch.observation_granularity.seconds) for batch in cut} == {
        ("prometheus-eu", 300)
    }
    assert [len(batch.policies) for batch in cut] == [0, 0, 1]


def test_a_report_without_a_time_gets_one_for_all_its_batches() -> None:
    whole = report(["a", "b", "c"], [])
    whole.ClearField("observe_time")
    times = {batch.observe_time.ToNanoseconds() for batch in batches(whole, max_items=1)}
    assert len(times) == 1
    assert times.pop() > 0


def test_an_empty_report_is_still_sent() -> None:
    assert len(list(batches(report([], [])))) == 1


def test_nodes_and_edges_count_together() -> None:
    assert count_items([report(["a"], ["b", "c"]), report([], ["d"])]) == 4
