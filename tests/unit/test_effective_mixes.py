"""All mixes of what sources of one pair of services say: kernels, walks and merging agree."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations, product
from uuid import UUID

import numpy as np
import pytest

from depgraph.v1 import types_pb2 as pb
from depgraph.v1.graph_service_pb2 import TraverseResponse
from graphcore import DependencyGraph, Direction, EdgeFlag
from graphcore.analysis.edge_selection import effective_edges
from graphcore.kernels import COUNTS_BIT
from graphcore.traversal import reach
from server import wire
from tests.support import effective
from tests.support.graphs import MODES, STRENGTHS, edge_filter, graph_of
from tests.support.rows import (
    COMMUNICATION_MODES,
    CRITICALITIES,
    DISCOVERY_SOURCES,
    PlainEdge,
    PlainFilter,
    PlainService,
    Tables,
)

HUB = UUID(int=1)
FRESH_OR_STALE = (False, True)
EVERYTHING = list(product(FRESH_OR_STALE, COMMUNICATION_MODES, CRITICALITIES))
# Modes and criticalities are merged alike: more sources than two differ in one of them only.
MODES_ALONE = list(product(FRESH_OR_STALE, COMMUNICATION_MODES, ["soft"]))
FRESH_MODES = list(product([False], COMMUNICATION_MODES, ["unknown"]))
QUESTIONS = [
    PlainFilter(),
    PlainFilter(include_stale=True),
    PlainFilter(modes=frozenset({"unknown"}), include_stale=True),
    PlainFilter(modes=frozenset({"sync", "unknown"})),
    PlainFilter(criticalities=frozenset({"hard", "unknown"}), include_stale=True),
    PlainFilter(discoveries=frozenset({"catalog", "service_mesh", "kubernetes"}), include_stale=True),
]
QUEUE = 2


def mixes() -> Iterator[list[tuple[str, bool, str, str]]]:
    for count, sorts in ((1, EVERYTHING), (2, EVERYTHING), (3, MODES_ALONE), (4, FRESH_MODES)):
        for sources in combinations(DISCOVERY_SOURCES, count):
            for said in product(sorts, repeat=count):
                yield [(source, *each) for source, each in zip(sources, said, strict=True)]


@pytest.fixture(scope="module")
def rows() -> Tables:
    """The hub calls a service for each mix; every other one is a queue."""
    services, edges = {HUB: PlainService(HUB, "hub")}, {}
    for number, mix in enumerate(mixes(), 2):
        callee = UUID(int=number)
        services[callee] = PlainService(callee, f"c{number}", QUEUE if number % 2 else 1)
        for place, (source, stale, mode, criticality) in enumerate(mix if number % 3 else mix[::-1]):
            key = UUID(int=number << 64 | place)
            edges[key] = PlainEdge(key, HUB, callee, mode, criticality, source, stale=stale)
    return Tables(services, edges)


@pytest.fixture(scope="module")
def graph(rows: Tables) -> DependencyGraph:
    return graph_of(rows)


@pytest.mark.parametrize("chosen", QUESTIONS)
@pytest.mark.parametrize("excluded", [0, QUEUE])
def test_masks_and_walks_find_the_words_of_every_mix(
    rows: Tables, graph: DependencyGraph, chosen: PlainFilter, excluded: int
) -> None:
    passing = replace(edge_filter(chosen), excluded_kinds=excluded)
    expected = {
        key: int(MODES[edge.mode] | STRENGTHS[edge.criticality]) | COUNTS_BIT
        for key, edge in effective.leading(rows, chosen).items()
        if not rows.services[edge.target].kind & excluded
    }
    mask = effective_edges(graph, passing)
    found = np.flatnonzero(mask)
    assert dict(zip(graph.dependency_payloads[found].tolist(), mask[found].tolist(), strict=True)) == expected
    walked = reach(graph, "hub", Direction.DOWNSTREAM, 1, passing, effective=True)
    assert sorted(graph.dependency_payloads[walked.edges].tolist()) == sorted(expected)


def record(edge: PlainEdge) -> bytes:
    message = pb.Dependency(
        id=str(edge.key),
        communication_mode=pb.CommunicationMode.Value(f"COMMUNICATION_MODE_{edge.mode.upper()}"),
        criticality=pb.DependencyCriticality.Value(f"DEPENDENCY_CRITICALITY_{edge.criticality.upper()}"),
        discovery_source=pb.DiscoverySource.Value(f"DISCOVERY_SOURCE_{edge.discovery.upper()}"),
        confidence_score=edge.confidence,
        is_stale=edge.stale,
    )
    return TraverseResponse(dependencies=[message]).SerializeToString()


def test_answers_merge_every_mix_to_the_words_that_masks_have(rows: Tables, graph: DependencyGraph) -> None:
    passing = edge_filter(effective.EVERYTHING)
    mask = effective_edges(graph, passing)
    reported: dict[UUID, list[PlainEdge]] = {}
    for edge in rows.edges.values():
        reported.setdefault(edge.target, []).append(edge)
    words = {}
    for lead in np.flatnonzero(mask).tolist():
        target = rows.edges[graph.dependency_payloads[lead]].target
        words[target] = EdgeFlag(int(mask[lead]) & ~COUNTS_BIT)
    assert words.keys() == reported.keys()
    for target, edges in reported.items():
        merged = wire.effective_of(wire.effective_record([record(edge) for edge in edges]))
        mode = pb.CommunicationMode.Name(merged.communication_mode).removeprefix("COMMUNICATION_MODE_")
        strength = pb.DependencyCriticality.Name(merged.criticality).removeprefix("DEPENDENCY_CRITICALITY_")
        assert MODES[mode.lower()] | STRENGTHS[strength.lower()] == words[target], edges
        assert merged.is_stale is all(edge.stale for edge in edges)
