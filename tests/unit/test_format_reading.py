"""No I/O: what the elements of a source come to."""

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_UNKNOWN,
    CRITICALITY_UNKNOWN,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DISCOVERY_SOURCE_SERVICE_MESH,
    SERVICE_KIND_DATABASE,
)
from server.formats.reading import MAX_REASONS, Call, Draft, Link, Skipped


def draft() -> Draft:
    return Draft(DISCOVERY_SOURCE_SERVICE_MESH)


def test_a_report_says_only_what_is_known() -> None:
    drawn = draft()
    drawn.take(Call((Link("a", "b"),)))
    report = drawn.reading().report
    assert report.discovery_source == DISCOVERY_SOURCE_SERVICE_MESH
    assert [(node.service_id, node.criticality, node.kind) for node in report.nodes] == [
        ("a", CRITICALITY_UNKNOWN, 0),
        ("b", CRITICALITY_UNKNOWN, 0),
    ]
    (edge,) = report.edges
    assert (edge.communication_mode, edge.criticality) == (
        COMMUNICATION_MODE_UNKNOWN,
        DEPENDENCY_CRITICALITY_UNKNOWN,
    )
    assert not edge.HasField("protocol")
    assert not any(node.HasField("team") or node.HasField("metadata") for node in report.nodes)


def test_elements_on_one_pair_are_one_dependency_with_what_any_of_them_knows() -> None:
    drawn = draft()
    drawn.take(Call((Link("a", "b"),)))
    drawn.take(Call((Link("a", "b", COMMUNICATION_MODE_ASYNC),), (("b", SERVICE_KIND_DATABASE),)))
    drawn.take(Call((Link("a", "b", protocol="kafka"),)))
    drawn.take(Call((Link("a", "b", protocol="http"),)))
    reading = drawn.reading()
    (edge,) = reading.report.edges
    assert (edge.communication_mode, edge.protocol) == (COMMUNICATION_MODE_ASYNC, "kafka")
    assert reading.report.nodes[1].kind == SERVICE_KIND_DATABASE
    assert (reading.element_count, reading.skipped) == (4, ())


def test_skipped_elements_are_counted_by_reason_with_the_place_of_the_first() -> None:
    drawn = draft()
    for outcome in ("odd", Call((Link("a", "b"),)), "bad", "odd"):
        drawn.take(outcome)
    reading = drawn.reading()
    assert reading.element_count == 4
    assert reading.skipped == (
        Skipped(reason="odd", count=2, first=0),
        Skipped(reason="bad", count=1, first=2),
    )
    details = reading.details()
    assert (details.element_count, dict(details.skipped)) == (4, {"odd": 2, "bad": 1})


def test_reasons_beyond_the_bound_of_the_contract_are_joined() -> None:
    drawn = draft()
    for number in range(MAX_REASONS + 5):
        drawn.skip(f"{number} " + "x" * 300)
    details = drawn.reading().details()
    assert len(details.skipped) == MAX_REASONS
    assert details.skipped["other reasons"] == 6
    assert max(map(len, details.skipped)) == 255


def test_metadata_that_no_service_may_have_is_left_out() -> None:
    drawn = draft()
    drawn.node("a", team="x\n", metadata={"system": "shop", "owner": "\ud800"})
    (node,) = drawn.reading().report.nodes
    assert not node.HasField("team")
    assert dict(node.metadata) == {"system": "shop"}


def test_tcp_gives_way_to_a_protocol_that_says_more() -> None:
    for protocols in (("tcp", "http"), ("http", "tcp"), ("tcp", "", "http"), ("tcp", "http", "grpc")):
        drawn = draft()
        for protocol in protocols:
            drawn.take(Call((Link("a", "b", protocol=protocol),)))
        assert drawn.reading().report.edges[0].protocol == "http"
