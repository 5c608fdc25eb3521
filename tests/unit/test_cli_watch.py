"""No I/O: a batch of changes in words."""

from depgraph.v1.graph_service_pb2 import (
    WATCH_EVENT_CHANGES,
    WATCH_EVENT_HEARTBEAT,
    WATCH_EVENT_RESET,
    RemovedDependency,
    RemovedService,
    WatchResponse,
)
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    CRITICALITY_HIGH,
    DEPENDENCY_CRITICALITY_SOFT,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    Dependency,
    Service,
)
from server.cli.commands.watch import change_lines

EDGE = Dependency(
    source_service_id="a",
    target_service_id="b",
    communication_mode=COMMUNICATION_MODE_ASYNC,
    criticality=DEPENDENCY_CRITICALITY_SOFT,
    discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
)
STATE = WatchResponse(
    event=WATCH_EVENT_RESET,
    upserted_services=[Service(service_id="a", criticality=CRITICALITY_HIGH, team="t", discovered=True)],
    upserted_dependencies=[EDGE],
)


def lines(batch: WatchResponse, *, with_state: bool = False) -> list[str]:
    return list(change_lines(batch, with_state=with_state))


def test_removals_are_printed_before_additions() -> None:
    batch = WatchResponse(
        event=WATCH_EVENT_CHANGES,
        upserted_services=STATE.upserted_services,
        upserted_dependencies=[EDGE],
        removed_services=[RemovedService(id="1", service_id="c")],
        removed_dependencies=[
            RemovedDependency(
                id="2",
                source_service_id="c",
                target_service_id="a",
                discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
            )
        ],
    )
    assert lines(batch) == [
        "- c → a  otel service graph",
        "- c",
        "+ a  high, team t, discovered",
        "+ a → b  async soft (otel service graph)",
    ]


def test_rows_known_by_id_alone_are_printed_with_their_id() -> None:
    batch = WatchResponse(
        event=WATCH_EVENT_CHANGES,
        removed_services=[RemovedService(id="1")],
        removed_dependencies=[RemovedDependency(id="2")],
    )
    assert lines(batch) == ["- dependency 2", "- service 1"]


def test_the_whole_graph_is_listed_only_when_asked_for() -> None:
    assert lines(STATE) == ["= the whole graph: 1 service, 1 dependency"]
    assert lines(STATE, with_state=True)[1:] == [
        "+ a  high, team t, discovered",
        "+ a → b  async soft (otel service graph)",
    ]


def test_a_heartbeat_prints_nothing() -> None:
    assert lines(WatchResponse(event=WATCH_EVENT_HEARTBEAT)) == []


def test_control_characters_in_names_are_escaped() -> None:
    batch = WatchResponse(
        event=WATCH_EVENT_CHANGES,
        upserted_services=[Service(service_id="\x1b[31m", criticality=CRITICALITY_HIGH)],
    )
    assert lines(batch) == ["+ \\x1b[31m  high"]
