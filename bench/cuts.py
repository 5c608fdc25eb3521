"""Cuts that break the cycles of a component, and witnesses: how long they take, and what the search for many services misses on few."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from statistics import fmean
from time import process_time

from bench.figures import Figure, quantile, typical
from bench.graphs import big100k, debian
from bench.stage import Stage
from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord
from graphcore.analysis import cut_search as cutting
from graphcore.analysis.cuts import suggest_cuts
from graphcore.analysis.cycles import shortest_cycle

PART = "cuts"
MODES = (EdgeFlag.SYNC, EdgeFlag.ASYNC)
CRITICALITIES = (EdgeFlag.HARD, EdgeFlag.SOFT, EdgeFlag.DEGRADED)
SOURCES = (EdgeFlag.MANUAL, EdgeFlag.OTEL_SERVICE_GRAPH, EdgeFlag.KUBERNETES, EdgeFlag.SERVICE_MESH)
SMALL_ONES = 400
FEW, MANY = 5, 200


def measure(stage: Stage) -> Iterator[Figure]:
    for services, pairs in ((15, 60), (350, 4_000), (500, 4_000)):
        graph = one_component(services, pairs, seed=services)
        yield from _timed(graph, "s0", f"{services} services, {pairs:,} dependencies", FEW)
    packages = debian(stage.given)
    if packages is not None:
        graph = packages.graph()
        largest = graph.components.largest_first()[:1]
        for component in largest:
            yield from _timed(graph, component.members[0], f"{packages.name}'s largest component", MANY)
    yield from _timed(big100k().graph(), "s0", "big100k", FEW, whole=False)
    yield from _quality()


def one_component(services: int, pairs: int, seed: int) -> DependencyGraph:
    """A ring through all services in random order, and random pairs; dependencies of all kinds."""
    chooser = random.Random(seed)
    order = chooser.sample(range(services), services)
    chosen = dict.fromkeys(pairwise([*order, order[0]]))
    while len(chosen) < pairs:
        source, target = chooser.sample(range(services), 2)
        chosen[source, target] = None
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
    """Time the witness of a component and its cuts; those of a huge one without what each is for, for they fit no answer."""
    found = suggest_cuts(graph, name)
    members = found.component.members

    def cut() -> None:
        suggested = suggest_cuts(graph, name)
        if whole:
            assert sum(1 for _ in suggested.cuts()) == len(found)

    yield typical(PART, f"{what}: cuts, time of a core", _of_a_core(cut, times), "ms")
    witnessed = _of_a_core(lambda: shortest_cycle(graph, members), times)
    yield typical(PART, "  a shortest cycle, time of a core", witnessed, "ms")
    yield Figure(PART, "  services", len(members), "services")
    yield Figure(PART, "  pairs to cut", len(found), "cuts")


def _of_a_core(call: Callable[[], object], times: int) -> list[float]:
    """The seconds of a core that a call takes, each time: these run for so long that others on the machine would count."""
    call()
    taken = []
    for _ in range(times):
        began = process_time()
        call()
        taken.append(process_time() - began)
    return taken


def _quality() -> Iterator[Figure]:
    """What the cuts of the heuristic alone cost, by the least there is, on components small enough to know it."""
    shares = []
    chooser = random.Random(8)
    for seed in range(SMALL_ONES):
        services = chooser.randrange(4, cutting.EXACT_SIZE + 1)
        most = min(services * (services - 1), 5 * services)
        graph = one_component(services, chooser.randrange(services, most + 1), seed)
        least = suggest_cuts(graph, "s0").total_cost
        with _heuristic_alone():
            shares.append(suggest_cuts(graph, "s0").total_cost / least)
    what = f"heuristic alone / least cost, components of 4 to {cutting.EXACT_SIZE} services"
    yield Figure(PART, f"{what}: mean", fmean(shares), "x", at_most=1.01, calls=SMALL_ONES)
    yield Figure(PART, "  the worst of them", quantile(shares, 1.0), "x", calls=SMALL_ONES)
    optimal = sum(share < 1 + 1e-9 for share in shares)
    yield Figure(PART, "  as cheap as can be", 100 * optimal / len(shares), "%", calls=SMALL_ONES)


@contextmanager
def _heuristic_alone() -> Iterator[None]:
    exact, cutting.EXACT_SIZE = cutting.EXACT_SIZE, 1
    try:
        yield
    finally:
        cutting.EXACT_SIZE = exact
