"""Suggests dependencies to remove so that a component has no cycle left."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from graphcore.analysis.call_graph import calls_between, component_around
from graphcore.analysis.cut_search import UNIT, Cutting, cheap_cuts, pairs_of
from graphcore.components.components import Component
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFlag


@dataclass(frozen=True, slots=True)
class Cut:
    """
    A pair of services, by name, whose dependencies to remove, with their payloads and total cost.

    ``cycle_path`` is a shortest cycle that this cut alone breaks, from its smallest name on; empty
    if the search would take too long.
    """

    source: str
    target: str
    payloads: tuple[object, ...]
    cost: float
    cycle_path: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SuggestedCuts:
    """Cuts of a component. Call ``cuts`` before the graph changes."""

    graph: DependencyGraph
    component: Component
    """Its members, and the number of dependencies between them that count."""
    cutting: Cutting

    def __len__(self) -> int:
        return len(self.cutting.cuts)

    @property
    def total_cost(self) -> float:
        """Total cost of all cuts."""
        return self.cutting.cost / UNIT

    @property
    def is_optimal(self) -> bool:
        """Whether it is proved that no cheaper cuts exist."""
        return self.cutting.is_optimal

    def cuts(self) -> Iterator[Cut]:
        """Iterate over the cuts, cheapest first, then by names. O(E) each, to find its cycle."""
        names, pairs, payloads = self.component.members, self.cutting.pairs, self.graph.dependency_payloads
        for cut, way_back in zip(self.cutting.cuts.tolist(), self.cutting.ways_back(), strict=True):
            edges = pairs.edges[pairs.first[cut] : pairs.first[cut + 1]]
            smallest = way_back.index(min(way_back)) if way_back else 0
            yield Cut(
                source=names[pairs.source[cut]],
                target=names[pairs.target[cut]],
                payloads=tuple(payloads[edges].tolist()),
                cost=int(pairs.cost[cut]) / UNIT,
                cycle_path=tuple([names[number] for number in way_back[smallest:] + way_back[:smallest]]),
            )


def suggest_cuts(graph: DependencyGraph, name: str, *, sync_only: bool = False) -> SuggestedCuts:
    """
    Choose dependencies whose removal breaks all cycles of the component of a service, at low cost.

    Stale dependencies don't count; with ``sync_only`` asynchronous ones don't either, so a cut may
    also be made asynchronous. Parallel dependencies are cut together. The cheapest cuts for up to
    15 services, else cheap ones; deterministic. Raises ``UnknownServiceError``. O(V + E) for the
    component, and see ``cheap_cuts``. May run beside readers.
    """
    index = graph.index
    blocked = int(EdgeFlag.ASYNC) if sync_only else 0
    nodes = component_around(index, graph.node(name), blocked=blocked)
    name_of = {graph.digraph[node].name: node for node in nodes.tolist()}
    members = tuple(sorted(name_of))
    chosen = np.array([name_of[member] for member in members], np.int32)
    calls = calls_between(index, chosen, blocked=blocked)
    component = Component(members, len(calls.target))
    return SuggestedCuts(graph, component, cheap_cuts(pairs_of(calls, index)))
