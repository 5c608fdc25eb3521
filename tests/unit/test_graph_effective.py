"""Leading and parallel edges, by example: hubs, many edges of one pair, long sequences of walks."""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import pairwise, permutations
from typing import cast

import numpy as np
import pytest

from graphcore import (
    DependencyGraph,
    DependencyRecord,
    Direction,
    EdgeFilter,
    EdgeFlag,
    ServiceRecord,
    UnknownServiceError,
)
from graphcore.analysis.edge_selection import effective_edges, parallel_edges
from graphcore.kernels import ANSWER, TICK
from graphcore.kernels.walking import LAST_TICK
from graphcore.traversal import reach
from tests.support.kernel_forms import FORMS, kernels_in_form

IN_ORDER = (
    EdgeFlag.MANUAL,
    EdgeFlag.CATALOG,
    EdgeFlag.SERVICE_MESH,
    EdgeFlag.OTEL_SERVICE_GRAPH,
    EdgeFlag.KUBERNETES,
)


@pytest.fixture(scope="module", params=FORMS, autouse=True)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


def graph_of(reports: Iterable[tuple[int, int, EdgeFlag]], confidence: float = 1.0) -> DependencyGraph:
    """Edges as reported: source, target, who says so. Their payload is the report."""
    rows = list(reports)
    names = sorted({name for source, target, _ in rows for name in (source, target)})
    return DependencyGraph.from_records(
        [ServiceRecord(name, str(name)) for name in names],
        [
            DependencyRecord(number, row[0], row[1], int(row[2] | EdgeFlag.SYNC), confidence, row)
            for number, row in enumerate(rows)
        ],
    )


def stars(callers: int) -> DependencyGraph:
    """Two hubs, one called by all, one that calls all; some pairs have two or three reports."""
    chance = random.Random(callers)  # noqa: S311 - the same every time
    reports = []
    for other in range(2, callers + 2):
        for pair in ((other, 0), (1, other)):
            sources = chance.sample(IN_ORDER, chance.choice([1, 1, 2, 3]))
            reports += [(*pair, source) for source in sources]
    return graph_of(reports)


@pytest.mark.parametrize("shuffled", [False, True])
@pytest.mark.parametrize("share", [0.03, 1.0])
def test_parallel_edges_of_hubs_are_found(shuffled: bool, share: float) -> None:
    graph, chance = stars(150), random.Random(3)  # noqa: S311 - the same every time
    chosen = np.flatnonzero(effective_edges(graph, EdgeFilter())).tolist()
    chosen = [edge for edge in chosen if chance.random() < share]
    if shuffled:
        chance.shuffle(chosen)
    expected: defaultdict[tuple[int, int], set[EdgeFlag]] = defaultdict(set)
    for record in graph.dependencies():
        source, target, reporter = cast("tuple[int, int, EdgeFlag]", record.payload)
        expected[source, target].add(reporter)
    found = parallel_edges(graph, np.array(chosen, np.int32), EdgeFilter())
    for lead, (start, end) in zip(chosen, pairwise(found.starts.tolist()), strict=True):
        source, target, leading = graph.dependency_payloads[lead]
        reports = graph.dependency_payloads[found.edges[start:end]].tolist()
        assert sorted(reports) == sorted((source, target, each) for each in expected[source, target])
        assert leading == min(expected[source, target], key=IN_ORDER.index)


def test_an_effective_walk_crosses_each_pair_of_a_hub_once() -> None:
    graph = stars(150)
    for start, direction in (("0", Direction.UPSTREAM), ("1", Direction.DOWNSTREAM)):
        found = reach(graph, start, direction, 1, effective=True)
        assert (len(found.nodes), len(found.edges)) == (150, 150)


def test_a_pair_with_more_edges_than_sources_is_gathered_whole() -> None:
    # Only where the tables have lost their constraints.
    graph = graph_of([(1, 2, EdgeFlag.KUBERNETES)] * 9 + [(1, 2, EdgeFlag.MANUAL)] * 2)
    found = reach(graph, "1", Direction.DOWNSTREAM, 1, effective=True)
    assert graph.dependency_payloads[found.edges].tolist() == [(1, 2, EdgeFlag.MANUAL)]
    assert len(parallel_edges(graph, found.edges, EdgeFilter()).edges) == 11
    only = EdgeFilter.of(discovery_sources=[EdgeFlag.KUBERNETES])
    assert len(parallel_edges(graph, found.edges, only).edges) == 9


def test_of_many_edges_of_a_pair_the_first_that_knows_says_the_mode() -> None:
    # Only where the tables have lost their constraints.
    names = [ServiceRecord(name, name) for name in "ab"]
    kinds = [
        (EdgeFlag.KUBERNETES, EdgeFlag.SYNC),
        (EdgeFlag.SERVICE_MESH, EdgeFlag.UNKNOWN_MODE),
        (EdgeFlag.OTEL_SERVICE_GRAPH, EdgeFlag.SYNC),
        (EdgeFlag.MANUAL, EdgeFlag.UNKNOWN_MODE),
        (EdgeFlag.SERVICE_MESH, EdgeFlag.ASYNC),
    ]
    wanted, unwanted = (EdgeFilter.of(communication_modes=[mode]) for mode in (EdgeFlag.ASYNC, EdgeFlag.SYNC))
    for order in permutations(range(len(kinds))):
        rows = [
            DependencyRecord(key, "a", "b", int(source | mode), payload=key)
            for key, (source, mode) in enumerate(kinds)
        ]
        graph = DependencyGraph.from_records(names, [rows[place] for place in order])
        found = reach(graph, "a", Direction.DOWNSTREAM, 1, wanted, effective=True)
        assert graph.dependency_payloads[found.edges].tolist() == [3]
        assert not len(reach(graph, "a", Direction.DOWNSTREAM, 1, unwanted, effective=True).nodes)


def test_no_chosen_edges_have_no_parallel_edges() -> None:
    graph = graph_of([(1, 2, EdgeFlag.MANUAL)])
    found = parallel_edges(graph, np.empty(0, np.int32), EdgeFilter())
    assert (found.edges.tolist(), found.starts.tolist()) == ([], [0])
    assert not effective_edges(graph, EdgeFilter.of(communication_modes=[EdgeFlag.ASYNC])).any()


def test_walks_are_right_after_the_tick_wraps() -> None:
    graph = stars(20)
    passing = EdgeFilter.of(criticalities=[EdgeFlag.SOFT])
    questions = [(direction, chosen) for direction in Direction for chosen in (EdgeFilter(), passing)]

    def answers() -> list[tuple[list[int], list[int]]]:
        found = [reach(graph, "5", direction, 6, chosen, effective=True) for direction, chosen in questions]
        return [(each.nodes.tolist(), each.edges.tolist()) for each in found]

    expected, rows = answers(), graph.index.walks.rows
    rows[ANSWER, TICK] = LAST_TICK - 10
    seen = []
    for _ in range(5):
        assert answers() == expected
        seen.append(int(rows[ANSWER, TICK]))
    assert max(seen) <= LAST_TICK
    assert min(seen) < 1_000


def test_effective_walks_refuse_bad_bounds_and_unknown_starts() -> None:
    graph = graph_of([(1, 2, EdgeFlag.MANUAL)])
    with pytest.raises(ValueError, match="max_depth"):
        reach(graph, "1", Direction.BOTH, 0, effective=True)
    with pytest.raises(UnknownServiceError):
        reach(graph, "3", Direction.BOTH, 1, effective=True)
