"""Suggested cuts leave no cycle (networkx), and none is cheaper (all orders). No I/O."""

import random
from collections import Counter, defaultdict
from itertools import permutations

import networkx as nx
import pytest
from hypothesis import strategies as st

from graphcore import DependencyGraph
from graphcore.analysis import cut_search as cutting
from graphcore.analysis.cuts import Cut, suggest_cuts
from graphcore.compiling import KERNELS
from tests.support.graphs import change_set, graph_of, tables
from tests.support.kernel_forms import given_in_both_forms
from tests.support.rows import PlainEdge, Tables

# Written down once more, as the page on cuts has it.
MODE = {"sync": 1.0, "async": 0.25, "unknown": 1.0}
CRITICALITY = {"hard": 1.0, "degraded": 0.5, "soft": 0.2, "unknown": 1.0}
SOURCE = {"manual": 1.0, "catalog": 0.95, "kubernetes": 0.9, "service_mesh": 0.85, "otel_service_graph": 0.8}


@pytest.fixture
def heuristic(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the search for many services look at few."""
    monkeypatch.setattr(cutting, "EXACT_SIZE", 1)
    monkeypatch.setattr(cutting, "budget", lambda _: 20_000 if KERNELS.are_compiled else 2_000)


def cost_of(edge: PlainEdge) -> float:
    share = 0.25 + 0.75 * edge.confidence
    return MODE[edge.mode] * CRITICALITY[edge.criticality] * SOURCE[edge.discovery] * share


def counting(rows: Tables, sync_only: bool) -> list[PlainEdge]:
    return [
        edge for edge in rows.joined_edges() if not edge.stale and not (sync_only and edge.mode == "async")
    ]


def reference_of(rows: Tables, edges: list[PlainEdge]) -> "nx.DiGraph[str]":
    reference: nx.DiGraph[str] = nx.DiGraph()
    reference.add_nodes_from(service.name for service in rows.services.values())
    reference.add_edges_from((rows.name(edge.source), rows.name(edge.target)) for edge in edges)
    return reference


def cheapest(members: tuple[str, ...], costs: dict[tuple[str, str], float]) -> float:
    """The least cost of pairs that lead back, of all orders."""
    return min(
        sum(cost for (source, target), cost in costs.items() if order.index(source) > order.index(target))
        for order in permutations(members)
    )


def assert_sound(rows: Tables, name: str, cuts: list[Cut], members: tuple[str, ...], sync_only: bool) -> None:
    """No cycle is left; each cut has its pair's dependencies and cost, and breaks its cycle."""
    edges = [
        edge
        for edge in counting(rows, sync_only)
        if {rows.name(edge.source), rows.name(edge.target)} <= set(members)
    ]
    cut = {(each.source, each.target) for each in cuts}
    left = reference_of(
        rows, [edge for edge in edges if (rows.name(edge.source), rows.name(edge.target)) not in cut]
    )
    assert nx.is_directed_acyclic_graph(left)
    for each in cuts:
        parallel = [
            edge
            for edge in edges
            if (rows.name(edge.source), rows.name(edge.target)) == (each.source, each.target)
        ]
        assert Counter(each.payloads) == Counter(edge.key for edge in parallel)
        assert each.cost == pytest.approx(sum(map(cost_of, parallel)), abs=1e-5)
        path = each.cycle_path
        assert path[0] == min(path)
        assert (each.source, each.target) in {(path[place - 1], path[place]) for place in range(len(path))}
        around = nx.shortest_path(left, each.target, each.source)
        assert len(path) == len(set(path)) == len(around)
        steps = {(path[place - 1], path[place]) for place in range(len(path))} - {(each.source, each.target)}
        assert all(left.has_edge(*step) for step in steps)
    order = [(round(each.cost * 1e6), each.source, each.target) for each in cuts]
    assert order == sorted(order)


@given_in_both_forms(60, tables(max_services=6, max_edges=26), st.booleans())
def test_the_cheapest_cuts_of_few_services_are_found(rows: Tables, sync_only: bool) -> None:
    graph, edges = graph_of(rows), counting(rows, sync_only)
    for component in nx.strongly_connected_components(reference_of(rows, edges)):
        members = tuple(sorted(component))
        found = suggest_cuts(graph, members[-1], sync_only=sync_only)
        cuts = list(found.cuts())
        assert found.component.members == members
        assert found.is_optimal
        assert_sound(rows, members[0], cuts, members, sync_only)
        costs: defaultdict[tuple[str, str], float] = defaultdict(float)
        for edge in edges:
            ends = rows.name(edge.source), rows.name(edge.target)
            if component.issuperset(ends):
                costs[ends] += cost_of(edge)
        assert found.component.edge_count == sum(
            component.issuperset((rows.name(edge.source), rows.name(edge.target))) for edge in edges
        )
        assert found.total_cost == pytest.approx(cheapest(members, costs), abs=1e-4)
        assert found.total_cost == pytest.approx(sum(cut.cost for cut in cuts), abs=1e-9)


@given_in_both_forms(60, tables(max_services=14, max_edges=60), st.booleans())
@pytest.mark.usefixtures("heuristic")
def test_cuts_found_by_improvement_are_sound_and_needed(rows: Tables, sync_only: bool) -> None:
    graph = graph_of(rows)
    for component in nx.strongly_connected_components(reference_of(rows, counting(rows, sync_only))):
        members = tuple(sorted(component))
        found = suggest_cuts(graph, members[0], sync_only=sync_only)
        assert_sound(rows, members[0], list(found.cuts()), members, sync_only)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cutting, "EXACT_SIZE", 15)
            least = suggest_cuts(graph, members[0], sync_only=sync_only).total_cost
        assert found.total_cost == least if found.is_optimal else found.total_cost >= least


@given_in_both_forms(
    40, tables(max_services=10, max_edges=40), st.randoms(use_true_random=False), st.booleans()
)
def test_the_order_of_changes_makes_no_difference(
    rows: Tables, chance: random.Random, improved: bool
) -> None:
    edges = list(rows.edges.values())
    chance.shuffle(edges)
    other = DependencyGraph()
    other.apply(change_set(rows.services.values()))
    for edge in edges:
        other.apply(change_set(edges=[edge]))
    with pytest.MonkeyPatch.context() as patch:
        if improved:
            patch.setattr(cutting, "EXACT_SIZE", 1)
            patch.setattr(cutting, "budget", lambda _: 2_000)
        for service in list(rows.services.values())[:3]:
            one, two = (list(suggest_cuts(each, service.name).cuts()) for each in (graph_of(rows), other))
            assert one == two
