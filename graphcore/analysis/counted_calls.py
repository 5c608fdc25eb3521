"""Pairs of services that call each other, and such pairs counted between groups of services."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.edge_selection import effective_edges
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import STALE, EdgeFilter, EdgeFlag
from graphcore.kernels import FLAGS, IN, OUT, OUT_SLOT, SOURCE, TARGET, neighbours

Numbers = NDArray[np.int32]
Longs = NDArray[np.int64]

PAIRS, SYNC, ASYNC, UNKNOWN, STALE_PAIRS = range(5)
"""Columns of ``CountedCalls.counts``."""


class CallPairs(NamedTuple):
    """
    Pairs of services of which the first calls the second, each once.

    ``edge`` is the leading edge (see ``edge_selection``), ``kinds`` has a row for each column of
    ``CountedCalls.counts``: whether the pair counts there. A pair is stale if all its edges are.
    """

    edge: Numbers
    source: Numbers
    target: Numbers
    kinds: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        graph: DependencyGraph,
        edge_filter: EdgeFilter,
        named: Sequence[int] = (),
        edges: Numbers | None = None,
    ) -> "CallPairs":
        """
        Find all pairs that pass a filter, or describe those of given leading ``edges``.

        ``named`` are nodes that may be of an excluded kind. O(V + E); it lets other threads run
        most of the time.
        """
        index = graph.index
        mask = effective_edges(graph, edge_filter, named)
        if edges is None:
            edges = np.flatnonzero(mask).astype(np.int32)
        words, ends = mask[edges], index.edges[edges]
        flags = index.pool[FLAGS].take(ends[:, OUT_SLOT])
        kinds = np.ones((5, len(edges)), np.bool_)
        for row, bit in ((SYNC, EdgeFlag.SYNC), (ASYNC, EdgeFlag.ASYNC), (UNKNOWN, EdgeFlag.UNKNOWN_MODE)):
            kinds[row] = words & int(bit) != 0
        kinds[STALE_PAIRS] = flags & STALE != 0
        return cls(edges, ends[:, SOURCE], ends[:, TARGET], kinds)

    def chosen(self, which: "NDArray[np.bool_] | Longs") -> "CallPairs":
        """Return some of the pairs, by mask or by position."""
        return CallPairs(self.edge[which], self.source[which], self.target[which], self.kinds[:, which])


class CountedCalls(NamedTuple):
    """How many pairs lead from group ``source[i]`` to group ``target[i]``: row i of ``counts``."""

    source: Longs
    target: Longs
    counts: Longs


def count_calls(pairs: CallPairs, group: Numbers, groups: int) -> CountedCalls:
    """
    Count pairs by the groups of their ends, sorted by these; ``group`` has one for each node.

    O(pairs log pairs).
    """
    code = group[pairs.source].astype(np.int64) * groups + group[pairs.target]
    found, which = np.unique(code, return_inverse=True)
    counts = [np.bincount(which[kind], minlength=len(found)) for kind in pairs.kinds]
    return CountedCalls(found // groups, found % groups, np.stack(counts, axis=1))


def caller_counts(graph: DependencyGraph, nodes: Numbers) -> Numbers:
    """
    Count the services that call each of some nodes, over dependencies that are not stale.

    O(V + their edges); compiled, it lets other threads run.
    """
    return _counted(graph, nodes, IN)


def callee_counts(graph: DependencyGraph, nodes: Numbers) -> Numbers:
    """Count the services that each of some nodes calls, as ``caller_counts`` does."""
    return _counted(graph, nodes, OUT)


def _counted(graph: DependencyGraph, nodes: Numbers, side: int) -> Numbers:
    index = graph.index
    mark, counts = np.full(len(index.nodes), -1, np.int32), np.empty(len(nodes), np.int32)
    neighbours.count_neighbours.run(index.nodes, index.pool, nodes, side, mark, counts)
    return counts
