"""
Blast radius: the services that the failure of one service reaches upstream.

A service is reached if a path of calls leads from it to the failed one; its hops are those of a
shortest path. A path is as strong as its weakest dependency (HARD > unknown > DEGRADED > SOFT). The
strength of the best path is HARD if a path of hard dependencies exists, and so on; hence one search
for each strength; and one along synchronous dependencies, one along those that may be synchronous.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphcore.analysis.call_graph import Numbers
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFlag
from graphcore.graph.name_order import NameOrder
from graphcore.kernels import COUNTS_BIT, UNKNOWN_CRITICALITY_BIT, UNKNOWN_MODE_BIT, upstream
from graphcore.kernels.upstream import NOT_FOUND

HARD = int(EdgeFlag.HARD)
UNKNOWN = HARD | int(EdgeFlag.UNKNOWN_CRITICALITY)
DEGRADED = UNKNOWN | int(EdgeFlag.DEGRADED)
SYNC = int(EdgeFlag.SYNC)
MAYBE_SYNC = SYNC | int(EdgeFlag.UNKNOWN_MODE)
_NO_NODE = -1
# To sort this many names takes 1 ms; for more, ``NameOrder`` lets other threads run.
_FEW = 4_096


@dataclass(frozen=True, slots=True)
class Impact:
    """
    The services that a failure reaches, by hops and then by name; all arrays are in that order.

    ``nodes`` are valid until the graph changes. ``hops`` are those of a shortest path; the other
    hops those of a shortest path over certain dependencies only, 0 if there is none: ``hard_hops``
    over hard ones, ``unknown_hops`` over hard ones and those of unknown criticality,
    ``degraded_hops`` over these and degraded ones, ``sync_hops`` over synchronous ones,
    ``maybe_sync_hops`` over synchronous ones and those of unknown mode. ``steps``: the position of
    the next service on a shortest path, -1 for the failed service. Of several shortest paths, the
    one whose next service has the smallest name, and so on.
    """

    nodes: Numbers
    hops: Numbers
    hard_hops: Numbers
    unknown_hops: Numbers
    degraded_hops: Numbers
    sync_hops: Numbers
    maybe_sync_hops: Numbers
    steps: Numbers


def impact_of(
    graph: DependencyGraph, name: str, mask: NDArray[np.uint8], max_hops: int = 0, *, ordered: bool = True
) -> Impact:
    """
    Find what the failure of a service reaches over the edges in ``mask`` (``passing_edges``).

    ``max_hops`` 0: no limit. Without ``ordered``, services of one distance come in no particular
    order and ``steps`` is empty, which saves half of the time. Raises ``UnknownServiceError``, and
    ``ValueError`` for a negative bound. O(V + E) and sorting of names; compiled, it lets other
    threads run.
    """
    if max_hops < 0:
        raise ValueError(f"max_hops must be at least 0, not {max_hops}")
    start, bound = graph.node(name), max_hops or len(graph.index.nodes)
    hops, found = _search(graph, mask, COUNTS_BIT, start, bound)
    nodes = _by_hops_and_name(graph, found, hops) if ordered else found

    def over(wanted: int) -> Numbers:
        return np.maximum(_search(graph, mask, wanted, start, bound)[0][nodes], 0)

    hard, degraded, sync = over(HARD), over(DEGRADED), over(SYNC)
    # Where everything is known, a search less for each.
    words = int(np.bitwise_or.reduce(mask, initial=0))
    unknown = over(UNKNOWN) if words & UNKNOWN_CRITICALITY_BIT else hard
    maybe_sync = over(MAYBE_SYNC) if words & UNKNOWN_MODE_BIT else sync
    steps = _steps(graph, mask, hops, nodes) if ordered else np.empty(0, np.int32)
    return Impact(nodes, hops[nodes], hard, unknown, degraded, sync, maybe_sync, steps)


def _search(
    graph: DependencyGraph, mask: NDArray[np.uint8], wanted: int, start: int, max_hops: int
) -> tuple[Numbers, Numbers]:
    """Search upstream over edges with a wanted word; returns hops by node, and the nodes found."""
    index, count = graph.index, len(graph.index.nodes)
    hops, queue = np.full(count, NOT_FOUND, np.int32), np.empty(count, np.int32)
    found = upstream.search_callers.run(
        index.nodes, index.pool, mask, wanted, start, _NO_NODE, max_hops, hops, queue
    )
    return hops, queue[1:found]


def _steps(graph: DependencyGraph, mask: NDArray[np.uint8], hops: Numbers, nodes: Numbers) -> Numbers:
    index = graph.index
    place = np.full(len(index.nodes), _NO_NODE, np.int32)
    place[nodes] = np.arange(len(nodes), dtype=np.int32)
    steps = np.empty(len(nodes), np.int32)
    upstream.choose_steps.run(index.nodes, index.pool, mask, hops, np.ascontiguousarray(nodes), place, steps)
    return steps


def _by_hops_and_name(graph: DependencyGraph, nodes: Numbers, hops: Numbers) -> Numbers:
    if len(nodes) <= _FEW:
        records = graph.digraph
        by_name = np.array(sorted(nodes.tolist(), key=lambda node: records[node].name), np.int32)
    else:
        by_name = nodes[np.argsort(NameOrder.of(graph).rank[nodes])]
    return by_name[np.argsort(hops[by_name], kind="stable")]
