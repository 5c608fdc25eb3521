"""Cycles: components kept through changes, cuts, witnesses, and checks of a proposed change."""

import random
from collections.abc import Callable, Iterator
from statistics import fmean
from time import process_time
from unittest.mock import patch

import rustworkx as rx

from bench.graphs import FLAGS, Edges, big100k, debian, ring
from bench.measuring import Figure, quantile, quantile_figure, ratio, take_turns, typical
from bench.stage import Stage
from graphcore import ChangeSet, DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord
from graphcore.analysis import cut_search as cutting
from graphcore.analysis.cuts import suggest_cuts
from graphcore.analysis.cycles import shortest_cycle
from graphcore.analysis.proposed_change import DependencyKey, ProposedChange, ProposedDependency
from graphcore.analysis.what_if import what_if

COMPONENT_PAIRS = 500


def component(_: Stage) -> Iterator[Figure]:
    edges = big100k()
    graph, chooser = edges.graph(), random.Random(4)
    graph.components.finish()
    to_remove = chooser.sample(graph.dependencies(), COMPONENT_PAIRS * 2)

    def add(number: int) -> None:
        source, target = chooser.sample(range(edges.nodes), 2)
        record = DependencyRecord(("new", number, chooser.random()), source, target)
        graph.apply(ChangeSet(upserted_dependencies=[record]))
        graph.components.finish()

    def remove(_: int) -> None:
        graph.apply(ChangeSet(removed_dependencies=[to_remove.pop().key]))
        graph.components.finish()

    def recompute(_: int) -> None:
        search = graph.components.begin()
        search.run()
        assert graph.components.adopt(search)

    added, removed, whole = take_turns(add, remove, recompute, pairs=COMPONENT_PAIRS, warm_up=20)
    for what, taken in (("added", added), ("removed", removed)):
        yield ratio(f"big100k, one edge {what} / full recomputation", taken, whole, at_most=0.02)
        yield typical(f"  {what}", taken)
        yield quantile_figure(f"  {what}, p99", taken, 0.99, unit="µs")
    yield typical("  full recomputation", whole, "ms")


MODES = (EdgeFlag.SYNC, EdgeFlag.ASYNC)
CRITICALITIES = (EdgeFlag.HARD, EdgeFlag.SOFT, EdgeFlag.DEGRADED)
SOURCES = (EdgeFlag.MANUAL, EdgeFlag.OTEL_SERVICE_GRAPH, EdgeFlag.KUBERNETES, EdgeFlag.SERVICE_MESH)
SMALL_ONES = 400
FEW, MANY = 5, 200


def cuts(stage: Stage) -> Iterator[Figure]:
    for services, pairs in ((15, 60), (350, 4_000), (500, 4_000)):
        graph = one_component(services, pairs, seed=services)
        yield from _timed(graph, "s0", f"{services} services, {pairs:,} dependencies", FEW)
    if packages := debian(stage.given):
        graph = packages.graph()
        for component in graph.components.largest_first()[:1]:
            yield from _timed(graph, component.members[0], f"{packages.name}'s largest component", MANY)
    yield from _timed(big100k().graph(), "s0", "big100k", FEW, whole=False)
    yield from _quality()


def one_component(services: int, pairs: int, seed: int) -> DependencyGraph:
    """A ring through all services, and random pairs; dependencies of all kinds."""
    chooser = random.Random(seed)
    chosen = ring(chooser, services, pairs).pairs
    kinds = [tuple(map(chooser.choice, (MODES, CRITICALITIES, SOURCES))) for _ in chosen]
    return DependencyGraph.from_records(
        [ServiceRecord(number, f"s{number}") for number in range(services)],
        [
            DependencyRecord(number, *pair, sum(map(int, kind)), chooser.random())
            for number, (pair, kind) in enumerate(zip(chosen, kinds, strict=True))
        ],
    )


def _timed(
    graph: DependencyGraph, name: str, what: str, times: int, *, whole: bool = True
) -> Iterator[Figure]:
    """Time witness and cuts of a component; the details of a huge one's cuts fit no answer."""
    found = suggest_cuts(graph, name)
    members = found.component.members

    def cut() -> None:
        suggested = suggest_cuts(graph, name)
        if whole:
            assert sum(1 for _ in suggested.cuts()) == len(found)

    yield typical(f"{what}: cuts, time of a core", _of_a_core(cut, times), "ms")
    witnessed = _of_a_core(lambda: shortest_cycle(graph, members), times)
    yield typical("  a shortest cycle, time of a core", witnessed, "ms")
    yield Figure("  services", len(members), "services")
    yield Figure("  pairs to cut", len(found), "cuts")


def _of_a_core(call: Callable[[], object], times: int) -> list[float]:
    """Measure processor seconds: these calls take so long that other processes would count."""
    call()
    taken = []
    for _ in range(times):
        began = process_time()
        call()
        taken.append(process_time() - began)
    return taken


def _quality() -> Iterator[Figure]:
    """Compare the cost of the heuristic's cuts with the minimum, on components small enough."""
    shares = []
    chooser = random.Random(8)
    for seed in range(SMALL_ONES):
        services = chooser.randrange(4, cutting.EXACT_SIZE + 1)
        most = min(services * (services - 1), 5 * services)
        graph = one_component(services, chooser.randrange(services, most + 1), seed)
        least = suggest_cuts(graph, "s0").total_cost
        with patch.object(cutting, "EXACT_SIZE", 1):
            shares.append(suggest_cuts(graph, "s0").total_cost / least)
    what = f"heuristic alone / least cost, components of 4 to {cutting.EXACT_SIZE} services"
    yield Figure(f"{what}: mean", fmean(shares), "x", at_most=1.01, calls=SMALL_ONES)
    yield Figure("  the worst of them", quantile(shares, 1.0), "x", calls=SMALL_ONES)
    optimal = sum(share < 1 + 1e-9 for share in shares)
    yield Figure("  as cheap as can be", 100 * optimal / len(shares), "%", calls=SMALL_ONES)


CHECK_PAIRS = 200


def check(stage: Stage) -> Iterator[Figure]:
    for edges in stage.graphs():
        yield from _check(edges)


def _check(edges: Edges) -> Iterator[Figure]:
    graph, chooser = edges.graph(), random.Random(6)
    ends = [chooser.sample(range(edges.nodes), 2) for _ in range(CHECK_PAIRS)]
    changes = [ProposedChange([ProposedDependency(f"s{a}", f"s{b}", FLAGS)]) for a, b in ends]
    gone = [chooser.choice(edges.pairs) for _ in range(CHECK_PAIRS)]
    removals = [ProposedChange(removed=[DependencyKey(f"s{a}", f"s{b}")]) for a, b in gone]
    added, removed, components = take_turns(
        lambda number: what_if(graph, changes[number]),
        lambda number: what_if(graph, removals[number]),
        lambda _: rx.strongly_connected_components(graph.digraph),
        pairs=CHECK_PAIRS,
        warm_up=5,
    )
    for what, taken in (("added", added), ("removed", removed)):
        yield ratio(f"{edges.name}, one dependency {what} / all components, rustworkx", taken, components)
        yield typical(f"  {what}", taken, "ms")
        yield quantile_figure(f"  {what}, p99", taken, 0.99)
    yield typical("  all components, rustworkx", components, "ms")
