"""Merging what several sources say of one pair: by example, and against dictionaries."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1.graph_service_pb2 import TraverseResponse
from depgraph.v1.types_pb2 import (
    BACKOFF_STRATEGY_LINEAR,
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_SYNC,
    COMMUNICATION_MODE_UNKNOWN,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DISCOVERY_SOURCE_CATALOG,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_SERVICE_MESH,
    Dependency,
    RetryConfig,
)
from graphcore import EdgeFlag
from graphcore.graph.flags import SOURCES
from graphcore.kernels import filtering as kernels
from server import wire
from server.wire import effective_dependency
from tests.support.effective import PRIORITY, effective_of
from tests.support.examples import examples
from tests.support.wire_rows import dependencies, dependency_message

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
SOURCES_IN_ORDER = [
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_CATALOG,
    DISCOVERY_SOURCE_SERVICE_MESH,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_KUBERNETES,
]


def said(source: Any, days: int = 0, **fields: Any) -> Dependency:
    """What a source says of a pair; ``days`` after it was seen first."""
    message = Dependency(
        id=f"{source}",
        source_service_id="a",
        target_service_id="b",
        **{
            "communication_mode": COMMUNICATION_MODE_SYNC,
            "criticality": DEPENDENCY_CRITICALITY_HARD,
            "discovery_source": source,
            "confidence_score": 1.0,
        }
        | fields,
    )
    message.last_observed_time.FromDatetime(LONG_AGO + timedelta(days=days))
    return message


def origins(*rows: Dependency) -> dict[str, int]:
    return {each.field: each.discovery_source for each in effective_dependency(rows).provenance}


def record(row: Dependency) -> bytes:
    """A row as it lies in memory."""
    return TraverseResponse(dependencies=[row]).SerializeToString()


def test_each_field_comes_from_the_first_source_that_has_it() -> None:
    manual = said(DISCOVERY_SOURCE_MANUAL, criticality=DEPENDENCY_CRITICALITY_SOFT)
    mesh = said(DISCOVERY_SOURCE_SERVICE_MESH, protocol="grpc", retry_config=RetryConfig(max_retries=2))
    traces = said(
        DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH, days=3, protocol="http", timeout_ms=800, confidence_score=0.5
    )
    merged = effective_dependency([traces, mesh, manual])
    assert (merged.criticality, merged.protocol, merged.timeout_ms) == (
        DEPENDENCY_CRITICALITY_SOFT,
        "grpc",
        800,
    )
    assert (merged.retry_config.max_retries, merged.confidence_score) == (2, 1.0)
    assert merged.last_observed_time == traces.last_observed_time
    assert list(merged.discovery_sources) == [
        DISCOVERY_SOURCE_MANUAL,
        DISCOVERY_SOURCE_SERVICE_MESH,
        DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    ]
    assert origins(traces, mesh, manual) == {
        "communication_mode": DISCOVERY_SOURCE_MANUAL,
        "criticality": DISCOVERY_SOURCE_MANUAL,
        "protocol": DISCOVERY_SOURCE_SERVICE_MESH,
        "timeout_ms": DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
        "retry_config": DISCOVERY_SOURCE_SERVICE_MESH,
        "confidence_score": DISCOVERY_SOURCE_MANUAL,
        "last_observed_time": DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    }


def test_unknown_never_wins_against_a_source_that_knows() -> None:
    unknown = {
        "communication_mode": COMMUNICATION_MODE_UNKNOWN,
        "criticality": DEPENDENCY_CRITICALITY_UNKNOWN,
    }
    manual = said(DISCOVERY_SOURCE_MANUAL, **unknown | {"criticality": DEPENDENCY_CRITICALITY_SOFT})
    mesh = said(DISCOVERY_SOURCE_SERVICE_MESH, **unknown)
    traces = said(DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH, communication_mode=COMMUNICATION_MODE_ASYNC)
    merged = effective_dependency([traces, mesh, manual])
    assert merged.communication_mode == COMMUNICATION_MODE_ASYNC
    assert merged.criticality == DEPENDENCY_CRITICALITY_SOFT
    found = origins(traces, mesh, manual)
    assert found["communication_mode"] == DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH
    assert found["criticality"] == DISCOVERY_SOURCE_MANUAL
    merged = effective_dependency([mesh])
    assert merged.communication_mode == COMMUNICATION_MODE_UNKNOWN
    assert origins(mesh)["communication_mode"] == DISCOVERY_SOURCE_SERVICE_MESH


def test_unknown_wins_against_a_source_that_says_nothing() -> None:
    manual = said(DISCOVERY_SOURCE_MANUAL, communication_mode=0)
    mesh = said(DISCOVERY_SOURCE_SERVICE_MESH, communication_mode=COMMUNICATION_MODE_UNKNOWN)
    traces = said(DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH, communication_mode=COMMUNICATION_MODE_UNKNOWN)
    merged = effective_dependency([traces, mesh, manual])
    assert merged.communication_mode == COMMUNICATION_MODE_UNKNOWN
    assert origins(traces, mesh, manual)["communication_mode"] == DISCOVERY_SOURCE_SERVICE_MESH


@pytest.mark.parametrize("place", range(4))
def test_sources_have_an_order(place: int) -> None:
    first, second = SOURCES_IN_ORDER[place : place + 2]
    rows = [said(second, timeout_ms=2), said(first, timeout_ms=1)]
    assert effective_dependency(rows).timeout_ms == 1


def test_what_is_fresh_comes_before_what_is_stale_whoever_says_so() -> None:
    stale = said(DISCOVERY_SOURCE_MANUAL, timeout_ms=1, is_stale=True)
    fresh = said(DISCOVERY_SOURCE_KUBERNETES, timeout_ms=2)
    merged = effective_dependency([stale, fresh])
    assert (merged.timeout_ms, merged.is_stale) == (2, False)
    assert list(merged.discovery_sources) == [DISCOVERY_SOURCE_KUBERNETES, DISCOVERY_SOURCE_MANUAL]
    assert effective_dependency([stale]).is_stale


def test_of_one_source_the_more_confident_wins_then_the_later_seen() -> None:
    doubtful = said(DISCOVERY_SOURCE_MANUAL, days=9, timeout_ms=1, confidence_score=0.5)
    older = said(DISCOVERY_SOURCE_MANUAL, days=1, timeout_ms=2)
    later = said(DISCOVERY_SOURCE_MANUAL, days=2, timeout_ms=3)
    merged = effective_dependency([doubtful, older, later])
    assert (merged.timeout_ms, merged.last_observed_time) == (3, doubtful.last_observed_time)
    assert list(merged.discovery_sources) == [DISCOVERY_SOURCE_MANUAL]


def test_what_nobody_knows_is_not_set_and_has_no_origin() -> None:
    merged = effective_dependency([said(DISCOVERY_SOURCE_MANUAL), said(DISCOVERY_SOURCE_KUBERNETES)])
    assert not {field.name for field, _ in merged.ListFields()} & {"protocol", "timeout_ms", "retry_config"}
    assert {each.field for each in merged.provenance}.isdisjoint({"protocol", "timeout_ms", "retry_config"})


rows = st.lists(dependencies, min_size=1, max_size=5).map(
    lambda drawn: [
        dependency_message(
            row._replace(
                discovery_source=row.discovery_source if row.discovery_source in PRIORITY else "manual",
                confidence_score=abs(row.confidence_score) if abs(row.confidence_score) <= 1 else 0.25,
            ),
            "caller",
            "callee",
        )
        for row in drawn
    ]
)


@examples(150)
@given(rows)
def test_merging_is_what_dictionaries_say(drawn: list[Dependency]) -> None:
    expected = effective_of(drawn)
    assert effective_dependency(drawn) == expected
    framed = wire.effective_record([record(row) for row in drawn])
    assert list(TraverseResponse.FromString(framed).effective_dependencies) == [expected]
    assert wire.effective_of(framed) == expected


def test_every_field_of_a_dependency_has_a_tag_of_one_byte() -> None:
    # That is how records are taken apart.
    assert max(field.number for field in Dependency.DESCRIPTOR.fields) < 16


def test_retries_are_copied_whole() -> None:
    retries = RetryConfig(max_retries=7, backoff_strategy=BACKOFF_STRATEGY_LINEAR)
    queue = said(
        DISCOVERY_SOURCE_KUBERNETES, retry_config=retries, communication_mode=COMMUNICATION_MODE_ASYNC
    )
    merged = effective_dependency([queue])
    assert merged.retry_config == retries
    assert merged.communication_mode == COMMUNICATION_MODE_ASYNC


def test_kernels_and_merging_agree_about_the_order_of_sources() -> None:
    in_order = [
        EdgeFlag.MANUAL,
        EdgeFlag.CATALOG,
        EdgeFlag.SERVICE_MESH,
        EdgeFlag.OTEL_SERVICE_GRAPH,
        EdgeFlag.KUBERNETES,
    ]
    flags = [int(flag) for flag in in_order] + [int(flag | EdgeFlag.STALE) for flag in in_order]
    assert sorted(flags, key=kernels.precedence.plain) == flags
    assert [kernels.precedence.plain(each) for each in flags] == list(range(10))
    assert sum(flags[:5]) == SOURCES
