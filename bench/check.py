"""What one changed dependency would do, on the graphs that are measured on; beside finding all components, as the library does."""

import random
from collections.abc import Iterator

import rustworkx as rx

from bench.figures import Figure, quantile, ratio, typical
from bench.graphs import Edges, big100k, debian, seed5k
from bench.stage import Stage
from bench.turns import take_turns
from graphcore import EdgeFlag
from graphcore.analysis.proposed_change import DependencyKey, ProposedChange, ProposedDependency
from graphcore.analysis.what_if import what_if

PART = "check"
PAIRS = 200
_FLAGS = int(EdgeFlag.SYNC | EdgeFlag.HARD | EdgeFlag.MANUAL)


def measure(stage: Stage) -> Iterator[Figure]:
    for edges in (seed5k(), big100k(), debian(stage.given)):
        if edges is not None:
            yield from _on(edges)


def _on(edges: Edges) -> Iterator[Figure]:
    graph, chooser = edges.graph(), random.Random(6)
    ends = [chooser.sample(range(edges.nodes), 2) for _ in range(PAIRS)]
    changes = [ProposedChange([ProposedDependency(f"s{a}", f"s{b}", _FLAGS)]) for a, b in ends]
    gone = [chooser.choice(edges.pairs) for _ in range(PAIRS)]
    removals = [ProposedChange(removed=[DependencyKey(f"s{a}", f"s{b}")]) for a, b in gone]
    added, removed, components = take_turns(
        lambda number: what_if(graph, changes[number]),
        lambda number: what_if(graph, removals[number]),
        lambda _: rx.strongly_connected_components(graph.digraph),
        pairs=PAIRS,
        warm_up=5,
    )
    for what, taken in (("added", added), ("removed", removed)):
        yield ratio(
            PART, f"{edges.name}, one dependency {what} / all components, rustworkx", taken, components
        )
        yield typical(PART, f"  {what}", taken, "ms")
        yield Figure(PART, f"  {what}, p99", quantile(taken, 0.99) * 1e3, "ms", calls=len(taken))
    yield typical(PART, "  all components, rustworkx", components, "ms")
