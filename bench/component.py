"""Components that are kept: one edge more or less by computing them anew."""

import random
from collections.abc import Iterator

from bench.figures import Figure, quantile, ratio, typical
from bench.graphs import big100k
from bench.stage import Stage
from bench.turns import take_turns
from graphcore import ChangeSet, DependencyGraph, DependencyRecord

PART = "component"
PAIRS = 500


def kept(_: Stage) -> Iterator[Figure]:
    edges = big100k()
    graph, chooser = edges.graph(), random.Random(4)
    graph.components.finish()
    removed: list[DependencyRecord] = []

    def add(number: int) -> None:
        source, target = chooser.sample(range(edges.nodes), 2)
        graph.apply(
            ChangeSet(
                upserted_dependencies=[DependencyRecord(("new", number, chooser.random()), source, target)]
            )
        )
        graph.components.finish()

    def remove(_: int) -> None:
        record = removed.pop()
        graph.apply(ChangeSet(removed_dependencies=[record.key]))
        graph.components.finish()

    everything = graph.dependencies()
    removed.extend(chooser.sample(everything, PAIRS * 2))
    added, taken_away, whole = take_turns(add, remove, lambda _: _recompute(graph), pairs=PAIRS, warm_up=20)
    yield ratio(PART, "big100k, one edge added / full recomputation", added, whole, at_most=0.02)
    yield ratio(PART, "big100k, one edge removed / full recomputation", taken_away, whole, at_most=0.02)
    yield typical(PART, "  added", added)
    yield Figure(PART, "  added, p99", quantile(added, 0.99) * 1e6, "µs", calls=len(added))
    yield typical(PART, "  removed", taken_away)
    yield Figure(PART, "  removed, p99", quantile(taken_away, 0.99) * 1e6, "µs", calls=len(taken_away))
    yield typical(PART, "  full recomputation", whole, "ms")


def _recompute(graph: DependencyGraph) -> None:
    search = graph.components.begin()
    search.run()
    assert graph.components.adopt(search)
