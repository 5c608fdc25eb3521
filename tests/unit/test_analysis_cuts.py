"""Cuts of components that are larger than one can try all orders of, and what cuts cost. No I/O."""

import random
from itertools import pairwise, product

import networkx as nx
import numpy as np
import pytest

from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord, UnknownServiceError
from graphcore.analysis import cut_search as cutting
from graphcore.analysis.cut_search import UNIT, dependency_costs
from graphcore.analysis.cuts import Cut, suggest_cuts
from graphcore.compiling import KERNELS

COMPILED = pytest.mark.skipif(not KERNELS.are_compiled, reason="kernels are not compiled")
MODES = (EdgeFlag.SYNC, EdgeFlag.ASYNC)
CRITICALITIES = (EdgeFlag.HARD, EdgeFlag.DEGRADED, EdgeFlag.SOFT)
SOURCES = (EdgeFlag.MANUAL, EdgeFlag.KUBERNETES, EdgeFlag.SERVICE_MESH, EdgeFlag.OTEL_SERVICE_GRAPH)


def one_component(services: int, pairs: int, seed: int) -> DependencyGraph:
    """A ring in random order with random chords; the payload of a dependency is its ends."""
    chooser = random.Random(seed)  # noqa: S311 - the same each time
    order = chooser.sample(range(services), services)
    chosen = dict.fromkeys(pairwise([*order, order[0]]))
    while len(chosen) < pairs:
        source, target = chooser.sample(range(services), 2)
        chosen[source, target] = None
    kinds = [sum(map(int, map(chooser.choice, (MODES, CRITICALITIES, SOURCES)))) for _ in chosen]
    return DependencyGraph.from_records(
        [ServiceRecord(number, name_of(number)) for number in range(services)],
        [
            DependencyRecord(number, *pair, flags, chooser.random(), pair)
            for number, (pair, flags) in enumerate(zip(chosen, kinds, strict=True))
        ],
    )


def name_of(number: int) -> str:
    return f"service-{number:06}"


def left_after(graph: DependencyGraph, cuts: list[Cut]) -> "nx.DiGraph[str]":
    left: nx.DiGraph[str] = nx.DiGraph()
    ends = graph.index.edges[: graph.dependency_count, :2].tolist()
    left.add_edges_from((name_of(source), name_of(target)) for source, target in ends)
    left.remove_edges_from([(cut.source, cut.target) for cut in cuts])
    return left


def test_costs_range_from_0_01_to_1() -> None:
    kinds = [sum(map(int, kind)) for kind in product(MODES, CRITICALITIES, SOURCES)]
    flags = np.array(kinds * 3, np.int32)
    costs = dependency_costs(flags, np.repeat([0.0, 0.5, 1.0], len(kinds)))
    assert costs.min() == UNIT // 100
    assert costs.max() == UNIT
    # Kinds come dearest first in each dimension.
    assert int(costs[-len(kinds)]) == UNIT
    assert int(costs[len(kinds) - 1]) == UNIT // 100


def test_an_unknown_service_has_no_component() -> None:
    with pytest.raises(UnknownServiceError):
        suggest_cuts(DependencyGraph(), "unknown")


@COMPILED
@pytest.mark.parametrize(
    ("services", "pairs"), [(16, 40), (40, 50), (120, 1_500), (350, 4_000), (500, 4_000), (500, 600)]
)
def test_cuts_break_large_components_and_each_is_needed(services: int, pairs: int) -> None:
    graph = one_component(services, pairs, seed=services + pairs)
    found = suggest_cuts(graph, name_of(0))
    cuts = list(found.cuts())
    left = left_after(graph, cuts)
    assert len(cuts) == len(found)
    assert nx.is_directed_acyclic_graph(left)
    for cut in cuts:
        assert cut.payloads == ((int(cut.source[-6:]), int(cut.target[-6:])),)
        steps = set(pairwise([*cut.cycle_path, cut.cycle_path[0]]))
        assert (cut.source, cut.target) in steps
        assert all(left.has_edge(*step) for step in steps - {(cut.source, cut.target)})


@COMPILED
def test_the_heuristic_finds_the_least_cost_of_small_components(monkeypatch: pytest.MonkeyPatch) -> None:
    chooser = random.Random(3)  # noqa: S311 - the same each time
    for seed in range(40):
        services = chooser.randrange(4, 16)
        most = min(services * (services - 1), 4 * services)
        graph = one_component(services, chooser.randrange(services, most + 1), seed)
        least = suggest_cuts(graph, name_of(0))
        assert least.is_optimal
        with monkeypatch.context() as patch:
            patch.setattr(cutting, "EXACT_SIZE", 1)
            found = suggest_cuts(graph, name_of(0))
        assert found.total_cost == least.total_cost or not found.is_optimal
        assert least.total_cost <= found.total_cost <= 1.02 * least.total_cost


@COMPILED
def test_cuts_break_a_component_of_4_000_services() -> None:
    graph = one_component(4_000, 12_000, seed=1)
    assert nx.is_directed_acyclic_graph(left_after(graph, list(suggest_cuts(graph, name_of(7)).cuts())))


@COMPILED
def test_a_ring_of_30_000_is_cut_at_its_cheapest_dependency() -> None:
    count = 30_000
    graph = DependencyGraph.from_records(
        [ServiceRecord(number, name_of(number)) for number in range(count)],
        [
            DependencyRecord(number, number, (number + 1) % count, confidence=0.5 if number == 777 else 1.0)
            for number in range(count)
        ],
    )
    found = suggest_cuts(graph, name_of(0))
    [cut] = found.cuts()
    assert found.is_optimal
    assert (cut.source, cut.target, cut.cost) == (name_of(777), name_of(778), 0.625)
    assert cut.cycle_path == tuple(map(name_of, range(count)))


@pytest.mark.parametrize("work", [0, 50, 500])
def test_cuts_break_all_cycles_without_any_work_allowed(work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "budget", lambda _: work)
    graph = one_component(40, 200, seed=2)
    cuts = list(suggest_cuts(graph, name_of(0)).cuts())
    assert nx.is_directed_acyclic_graph(left_after(graph, cuts))
    assert all(cut.cycle_path == () or cut.source in cut.cycle_path for cut in cuts)


def test_ways_back_stop_at_their_total_length(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "_MOST_STEPS", 5)
    cuts = list(suggest_cuts(one_component(12, 60, seed=2), name_of(0)).cuts())
    has_path = [bool(cut.cycle_path) for cut in cuts]
    assert has_path[0]
    assert not has_path[-1]
    assert has_path == sorted(has_path, reverse=True)
