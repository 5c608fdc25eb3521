"""Indices in the answers of walks, by example; other tests check what walks find."""

import random
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest

from graphcore import ChangeSet, DependencyGraph, DependencyRecord, Direction, ServiceRecord, reach
from graphcore.kernels import ANSWER, TICK
from graphcore.kernels.walking import LAST_TICK
from tests.support.kernel_forms import FORMS, kernels_in_form
from tests.support.traversal import traverse


@pytest.fixture(scope="module", params=FORMS, autouse=True)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


def graph_of(*edges: str) -> DependencyGraph:
    names = sorted({name for edge in edges for name in edge})
    return DependencyGraph.from_records(
        [ServiceRecord(name, name, name.encode(), name.encode() * 2) for name in names],
        [DependencyRecord(edge, edge[0], edge[1], payload=edge.encode()) for edge in edges],
    )


def random_graph(services: int, dependencies: int) -> DependencyGraph:
    chance = random.Random(services)  # noqa: S311 - the same every time
    ends = [chance.sample(range(services), 2) for _ in range(dependencies)]
    return DependencyGraph.from_records(
        [ServiceRecord(number, str(number)) for number in range(services)],
        [
            DependencyRecord(number, source, target, payload=number)
            for number, (source, target) in enumerate(ends)
        ],
    )


def test_indices_of_a_walk_select_from_the_columns() -> None:
    graph = graph_of("ab", "bc", "ca")
    found = reach(graph, "a", Direction.DOWNSTREAM, 3)
    assert b"".join(graph.service_payloads[found.nodes].tolist()) == b"bc"
    assert b"".join(graph.service_encoded_ids[found.nodes].tolist()) == b"bbcc"
    assert sorted(graph.dependency_payloads[found.edges].tolist()) == [b"ab", b"bc", b"ca"]


def test_depth_counts_are_services_by_depth() -> None:
    graph = graph_of("ab", "ac", "bd", "de")
    assert reach(graph, "a", Direction.DOWNSTREAM, 9).depth_counts == (2, 1, 1)
    assert reach(graph, "a", Direction.DOWNSTREAM, 2).depth_counts == (2, 1)
    assert reach(graph, "a", Direction.DOWNSTREAM, 9, max_services=3).depth_counts == (2, 1)
    assert reach(graph, "a", Direction.DOWNSTREAM, 9, max_services=2).depth_counts == (2,)
    assert reach(graph, "e", Direction.DOWNSTREAM, 9).depth_counts == ()


def test_a_depth_of_both_directions_may_be_empty() -> None:
    # p and q are callers of a too, each nearer to it that way than down from it; x is only below q.
    graph = graph_of("ap", "pq", "qa", "qx")
    assert reach(graph, "a", Direction.BOTH, 5).depth_counts == (2, 0, 1)


def test_a_walk_without_dependencies_has_none() -> None:
    found = reach(graph_of("ab"), "a", Direction.DOWNSTREAM, 1, with_dependencies=False)
    assert len(found.edges) == 0


def test_answers_survive_later_walks_until_the_queue_is_renewed_and_after() -> None:
    graph = random_graph(30, 90)
    graph.index.walks.last, queue = 500, graph.index.walks.queue
    starts = [record.name for record in graph.services()]
    walks = [(start, direction, limit) for start in starts for direction in Direction for limit in (0, 9)]
    found = [reach(graph, start, direction, 9, max_services=limit) for start, direction, limit in walks]
    assert graph.index.walks.queue is not queue
    before = [(each.nodes.tolist(), each.edges.tolist()) for each in found]
    for (start, direction, limit), (nodes, edges) in zip(walks, before, strict=True):
        again = reach(graph, start, direction, 9, max_services=limit)
        assert (again.nodes.tolist(), again.edges.tolist()) == (nodes, edges)
    assert [(each.nodes.tolist(), each.edges.tolist()) for each in found] == before
    arrays = [array for each in found for array in (each.nodes, each.edges) if len(array)]
    assert not any(np.shares_memory(one, other) for one, other in pairwise(arrays))


def test_a_walk_over_many_blocks_of_segments_is_complete() -> None:
    graph = random_graph(2_000, 6_000)
    reference: nx.MultiDiGraph[object] = nx.MultiDiGraph(
        (record.source, record.target) for record in graph.dependencies()
    )
    lengths = nx.single_source_shortest_path_length(reference, 0)
    found = reach(graph, "0", Direction.DOWNSTREAM, 50)
    assert found.depth_counts == tuple(
        Counter(lengths.values())[depth] for depth in range(1, max(lengths.values()) + 1)
    )
    assert len(found.edges) == sum(count for node, count in reference.out_degree() if node in lengths)
    assert len(set(found.edges.tolist())) == len(found.edges)


def test_walks_are_right_after_the_tick_wraps() -> None:
    graph = random_graph(50, 120)
    expected = [traverse(graph, "7", direction, 6, max_services=9) for direction in Direction]
    rows = graph.index.walks.rows
    rows[ANSWER, TICK] = LAST_TICK - 10
    seen = []
    for _ in range(8):
        for direction, walk in zip(Direction, expected, strict=True):
            assert traverse(graph, "7", direction, 6, max_services=9) == walk
        seen.append(int(rows[ANSWER, TICK]))
    assert max(seen) <= LAST_TICK
    assert min(seen) < 1_000


def test_a_graph_that_grew_is_walked_completely() -> None:
    graph = graph_of("ab")
    assert reach(graph, "a", Direction.DOWNSTREAM, 500).depth_counts == (1,)
    names = [f"s{number}" for number in range(300)]
    chain = ["b", *names]
    graph.apply(
        ChangeSet(
            [ServiceRecord(name, name) for name in names],
            upserted_dependencies=[DependencyRecord((near, far), near, far) for near, far in pairwise(chain)],
        )
    )
    assert reach(graph, "a", Direction.DOWNSTREAM, 500).depth_counts == (1,) * 301


def test_very_large_bounds_are_valid() -> None:
    found = reach(graph_of("ab", "bc"), "a", Direction.BOTH, 2**62, max_services=2**62)
    assert (found.depth_counts, found.truncated) == ((1, 1), False)
