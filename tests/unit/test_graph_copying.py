"""Building and freeing a whole graph; tests/property compares built and copied graphs."""

import weakref
from itertools import pairwise

import pytest

from graphcore import (
    AliasRecord,
    DependencyGraph,
    DependencyRecord,
    Direction,
    DuplicateNameError,
    GraphBuilder,
    ServiceRecord,
)
from tests.support.traversal import traverse

SERVICES, DEPENDENCIES, DANGLING, ALIASES = 3_000, 5_000, 2_500, 3_000


class Payload:
    """An object that a weak reference can observe."""


def test_dismantling_frees_all_records_in_small_steps() -> None:
    payloads = [Payload() for _ in range(2 * SERVICES + DEPENDENCIES + DANGLING + ALIASES)]
    living = weakref.WeakSet(payloads)
    graph = DependencyGraph.from_records(
        [ServiceRecord(n, str(n), payloads.pop(), payloads.pop()) for n in range(SERVICES)],
        [
            DependencyRecord(n, n % SERVICES, (n + 1) % SERVICES, payload=payloads.pop())
            for n in range(DEPENDENCIES)
        ]
        + [DependencyRecord(-1 - n, n % SERVICES, -1, payload=payloads.pop()) for n in range(DANGLING)],
        [AliasRecord(n, f"alias {n}", n, payloads.pop()) for n in range(ALIASES)],
    )
    assert len(living) == 2 * SERVICES + DEPENDENCIES + DANGLING + ALIASES
    counts = [len(living), *(len(living) for _ in graph.dismantle())]
    assert counts == sorted(counts, reverse=True)
    assert max(before - after for before, after in pairwise(counts)) <= 4_000
    assert len(living) == 0
    assert (graph.service_count, graph.dependency_count, graph.dangling_count, graph.alias_count) == (
        0,
        0,
        0,
        0,
    )


def test_an_answer_outlives_a_dismantled_graph() -> None:
    graph = DependencyGraph.from_records(
        [ServiceRecord(name, name, f"payload of {name}") for name in "ab"], [DependencyRecord("ab", "a", "b")]
    )
    found = traverse(graph, "a", Direction.DOWNSTREAM, 1)
    list(graph.dismantle())
    assert [service.payload for service in found.services] == ["payload of b"]
    assert [(dependency.source, dependency.target) for dependency in found.dependencies] == [("a", "b")]


def test_an_empty_graph_is_dismantled_in_few_steps() -> None:
    assert len(list(DependencyGraph().dismantle())) < 50


def test_a_builder_without_records_makes_an_empty_graph() -> None:
    builder = GraphBuilder()
    builder.build_index()
    graph = builder.graph()
    assert (graph.service_count, graph.dependency_count, graph.dangling_count) == (0, 0, 0)
    assert isinstance(graph, DependencyGraph)


@pytest.mark.parametrize("names", [["a", "b", "b"], ["a", "b", "a"]])
def test_building_with_a_duplicate_name_raises(names: list[str]) -> None:
    builder = GraphBuilder()
    *former, last = [ServiceRecord(number, name) for number, name in enumerate(names)]
    builder.add_services(former)
    with pytest.raises(DuplicateNameError, match=f"{names[-1]!r}"):
        builder.add_services([last])
