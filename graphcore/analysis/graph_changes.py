"""What differs between two graphs: cyclic components and blast radii."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.call_graph import CallGraph, CallRows, Numbers, sources
from graphcore.analysis.cycle_changes import CycleChange, cycle_changes
from graphcore.analysis.edge_selection import passing_edges
from graphcore.analysis.impact_changes import MOST_WORDS, ImpactChanges, impact_changes
from graphcore.analysis.proposed_change import Numbering
from graphcore.compiling import budget
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter
from graphcore.kernels import NEIGHBOUR, audits


@dataclass(frozen=True, slots=True)
class GraphChanges:
    """What differs between two graphs."""

    cycle_changes: tuple[CycleChange, ...]
    impacts: ImpactChanges


def graph_changes(
    before: DependencyGraph,
    after: DependencyGraph,
    edge_filter: EdgeFilter,
    *,
    most_impacts: int = 100,
    min_confidence: float = 0.0,
    confidences: Mapping[Hashable, float] | None = None,
    work: int | None = None,
) -> GraphChanges:
    """
    Compare two graphs by the dependencies that pass the filter.

    For cycles, these also need ``min_confidence``. ``confidences`` are those of dependencies of
    ``after``, by key, which count instead of the graph's. A service is the same if its key is,
    whatever its name; names are those in ``after``, or in ``before`` if it is gone. O(V + E log E),
    and ``impact_changes``, which ``work`` bounds. May run beside readers of both.
    """
    numbers = _Numbers(before, after, confidences or {})
    allowed = budget(MOST_WORDS) if work is None else work
    pair = _CallPair.of(numbers, edge_filter)
    impacts = impact_changes(
        numbers.numbering,
        pair.before,
        pair.after,
        pair.lost,
        pair.gained,
        most=most_impacts,
        work=allowed,
    )
    if min_confidence > edge_filter.min_confidence:
        pair = _CallPair.of(numbers, replace(edge_filter, min_confidence=min_confidence))
    cycles = cycle_changes(numbers.numbering, pair.before, pair.after, pair.lost, pair.gained)
    return GraphChanges(tuple(cycles), impacts)


class _Numbers:
    """Numbers the services of two graphs alike: as the nodes of ``after``, then those it lacks."""

    def __init__(
        self, before: DependencyGraph, after: DependencyGraph, confidences: Mapping[Hashable, float]
    ) -> None:
        self.before = before
        self.after = after
        self.confidences = confidences
        self.numbering = Numbering(after)
        self.after_nodes = np.arange(self.numbering.held, dtype=np.int32)
        self.before_nodes = np.full(len(before.index.nodes), -1, np.int32)
        nodes = before.nodes_by_key()
        place = after.nodes_by_key()
        found = np.fromiter((place.get(key, -1) for key in nodes), np.int32, len(nodes))
        of = np.fromiter(nodes.values(), np.int32, len(nodes))
        # A service of ``after`` may have the name of one that it lacks.
        gone = of[found < 0]
        found[found < 0] = self.numbering.held + np.arange(len(gone), dtype=np.int32)
        self.numbering.new = {
            before.digraph[node].name: self.numbering.held + place for place, node in enumerate(gone.tolist())
        }
        self.before_nodes[of] = found


@dataclass(frozen=True, slots=True)
class _CallPair:
    """The calls in both graphs, and the pairs of services that call in one of them only."""

    before: CallGraph
    after: CallGraph
    lost: Numbers
    gained: Numbers

    @classmethod
    def of(cls, numbers: _Numbers, edge_filter: EdgeFilter) -> "_CallPair":
        """Compare. O(V + E log E)."""
        count = len(numbers.numbering)
        former = _pairs(
            numbers.before, passing_edges(numbers.before, edge_filter), numbers.before_nodes, count
        )
        mask = passing_edges(numbers.after, edge_filter)
        if edge_filter.min_confidence > 0.0:
            _judge_anew(numbers.after, mask, edge_filter, numbers.confidences)
        present = _pairs(numbers.after, mask, numbers.after_nodes, count)
        lost = _split(np.setdiff1d(former, present, assume_unique=True), count)
        gained = _split(np.setdiff1d(present, former, assume_unique=True), count)
        before = CallGraph.of(_rows(former, count))
        return cls(before, before.changed(lost, gained), lost, gained)


def _judge_anew(
    graph: DependencyGraph,
    mask: NDArray[np.uint8],
    edge_filter: EdgeFilter,
    confidences: Mapping[Hashable, float],
) -> None:
    """Mark edges by confidences other than the graph's. O(V + E)."""
    found = [(edge, value) for key, value in confidences.items() if (edge := graph.edge(key)) is not None]
    if found:
        edges, values = zip(*found, strict=True)
        others = passing_edges(graph, replace(edge_filter, min_confidence=0.0))
        chosen = np.array(edges)
        mask[chosen] = np.where(np.array(values) >= edge_filter.min_confidence, others[chosen], 0)


def _pairs(
    graph: DependencyGraph, mask: NDArray[np.uint8], numbers: Numbers, count: int
) -> NDArray[np.int64]:
    """List the pairs of services that call, sorted, each as one number. O(V + E log E)."""
    index = graph.index
    start = np.empty(len(index.nodes) + 1, np.int32)
    slots = np.empty(int(np.count_nonzero(mask)), np.int32)
    everywhere: NDArray[np.uint8] = np.ones(len(index.nodes), np.uint8)
    found = audits.gather_slots.run(index.nodes, index.pool, mask, everywhere, start, slots)
    targets = numbers[index.pool[NEIGHBOUR].take(slots[:found])]
    # np.unique takes a hundred times as long.
    pairs = np.sort(numbers[sources(start)] * np.int64(count) + targets)
    return pairs[np.diff(pairs, prepend=-1) > 0]


def _split(pairs: NDArray[np.int64], count: int) -> Numbers:
    """Return pairs as columns: row 0 sources, row 1 targets."""
    return np.ascontiguousarray(np.stack(np.divmod(pairs, max(count, 1))).astype(np.int32))


def _rows(pairs: NDArray[np.int64], count: int) -> CallRows:
    source, target = _split(pairs, count)
    start = np.searchsorted(source, np.arange(count + 1)).astype(np.int32)
    return CallRows(start, np.ascontiguousarray(target))
