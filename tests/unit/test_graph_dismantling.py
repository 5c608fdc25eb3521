"""How a graph goes that nobody needs any more."""

import weakref
from itertools import pairwise

from graphcore import DependencyGraph, DependencyRecord, Direction, ServiceRecord
from tests.support.traversal import traverse

SERVICES, DEPENDENCIES, WAITING = 3_000, 5_000, 2_500


class Payload:
    """Something whose end can be seen."""


def test_a_graph_is_freed_step_by_step_and_nothing_of_it_is_left() -> None:
    payloads = [Payload() for _ in range(2 * SERVICES + DEPENDENCIES + WAITING)]
    living = weakref.WeakSet(payloads)
    graph = DependencyGraph.from_records(
        [ServiceRecord(n, str(n), payloads.pop(), payloads.pop()) for n in range(SERVICES)],
        [
            DependencyRecord(n, n % SERVICES, (n + 1) % SERVICES, payload=payloads.pop())
            for n in range(DEPENDENCIES)
        ]
        + [DependencyRecord(-1 - n, n % SERVICES, -1, payload=payloads.pop()) for n in range(WAITING)],
    )
    assert len(living) == 2 * SERVICES + DEPENDENCIES + WAITING
    counts = [len(living), *(len(living) for _ in graph.dismantle())]
    assert counts == sorted(counts, reverse=True)
    assert max(before - after for before, after in pairwise(counts)) <= 4_000
    assert len(living) == 0
    assert (graph.service_count, graph.dependency_count, graph.dangling_count) == (0, 0, 0)


def test_an_answer_outlives_its_graph() -> None:
    graph = DependencyGraph.from_records(
        [ServiceRecord(name, name, f"payload of {name}") for name in "ab"], [DependencyRecord("ab", "a", "b")]
    )
    found = traverse(graph, "a", Direction.DOWNSTREAM, 1)
    list(graph.dismantle())
    assert [service.payload for service in found.services] == ["payload of b"]
    assert [(dependency.source, dependency.target) for dependency in found.dependencies] == [("a", "b")]


def test_an_empty_graph_is_soon_dismantled() -> None:
    assert len(list(DependencyGraph().dismantle())) < 50
