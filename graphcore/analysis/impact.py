"""
Blast radius: what the failure of one service reaches upstream.

A service is reached when a path of calls over dependencies that count leads from it to the one that fails; its hops are those of a
shortest one. A path is as strong as its weakest dependency, HARD before DEGRADED before SOFT; the best path is the strongest there is, of any length
within the bound. So the strength of the best path is HARD where one of hard dependencies alone exists, and so on: a search
for each, and one along synchronous dependencies.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFlag
from graphcore.graph.name_order import NameOrder
from graphcore.kernels import upstream
from graphcore.kernels.upstream import NOT_FOUND

HARD = int(EdgeFlag.HARD)
DEGRADED = int(EdgeFlag.HARD | EdgeFlag.DEGRADED)
SYNC = int(EdgeFlag.SYNC)
_ANY = 0
_NO_NODE = -1
# So many names are sorted by themselves in a millisecond; of more, the order of all services is made, which lets other threads run.
_FEW = 4_096


@dataclass(frozen=True, slots=True)
class Impact:
    """
    The services that a failure reaches, by hops and then by name; all arrays in that order.

    ``nodes`` are indices, whose meaning is lost once the graph moves on. ``hops`` are those of a shortest path; ``hard_hops``, ``degraded_hops`` and
    ``sync_hops`` those of the shortest one over hard dependencies alone, over hard and degraded ones, over synchronous ones; 0 = there is none.
    ``steps`` are positions in these arrays: where a shortest path goes on, -1 = with the service that fails. Of several shortest
    paths it is the one whose next service has the smallest name, and so on from there.
    """

    nodes: NDArray[np.int32]
    hops: NDArray[np.int32]
    hard_hops: NDArray[np.int32]
    degraded_hops: NDArray[np.int32]
    sync_hops: NDArray[np.int32]
    steps: NDArray[np.int32]


def impact_of(
    graph: DependencyGraph, name: str, mask: NDArray[np.uint8], max_hops: int = 0, *, ordered: bool = True
) -> Impact:
    """
    Find what the failure of a service reaches over the edges in ``mask`` (``counting_edges``), at most ``max_hops`` away (0 = no limit).

    Without ``ordered`` services of one distance come in no particular order, and no path is told (``steps`` is empty), which saves
    half of the time. Raises ``UnknownServiceError``, and ``ValueError`` for a negative bound. O(V + E) and sorting names; compiled kernels
    and sorting let other threads run.
    """
    if max_hops < 0:
        raise ValueError(f"max_hops must be at least 0, not {max_hops}")
    start, bound = graph.node(name), max_hops or len(graph.index.nodes)
    hops, found = _search(graph, mask, _ANY, start, bound)
    nodes = _by_hops_and_name(graph, found, hops) if ordered else found
    variants = [_search(graph, mask, wanted, start, bound)[0][nodes] for wanted in (HARD, DEGRADED, SYNC)]
    hard, degraded, sync = (np.maximum(variant, 0) for variant in variants)
    steps = _steps(graph, mask, hops, nodes) if ordered else np.empty(0, np.int32)
    return Impact(nodes, hops[nodes], hard, degraded, sync, steps)


def _search(
    graph: DependencyGraph, mask: NDArray[np.uint8], wanted: int, start: int, max_hops: int
) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Search upstream over edges with one of the wanted flags; returns hops by node, and the nodes found without the start."""
    index = graph.index
    hops: NDArray[np.int32] = np.full(len(index.nodes), NOT_FOUND, np.int32)
    queue: NDArray[np.int32] = np.empty(len(index.nodes), np.int32)
    found = upstream.search_callers.run(
        index.nodes, index.pool, mask, wanted, start, _NO_NODE, max_hops, hops, queue
    )
    return hops, queue[1:found]


def _steps(
    graph: DependencyGraph, mask: NDArray[np.uint8], hops: NDArray[np.int32], nodes: NDArray[np.int32]
) -> NDArray[np.int32]:
    index = graph.index
    place: NDArray[np.int32] = np.full(len(index.nodes), _NO_NODE, np.int32)
    place[nodes] = np.arange(len(nodes), dtype=np.int32)
    steps: NDArray[np.int32] = np.empty(len(nodes), np.int32)
    upstream.choose_steps.run(index.nodes, index.pool, mask, hops, np.ascontiguousarray(nodes), place, steps)
    return steps


def _by_hops_and_name(
    graph: DependencyGraph, nodes: NDArray[np.int32], hops: NDArray[np.int32]
) -> NDArray[np.int32]:
    """Sort nodes by hops, and by name within each distance."""
    if len(nodes) <= _FEW:
        records = graph.digraph
        names = sorted(nodes.tolist(), key=lambda node: records[node].name)
        by_name = np.array(names, np.int32)
    else:
        by_name = nodes[np.argsort(NameOrder.of(graph).rank[nodes])]
    return by_name[np.argsort(hops[by_name], kind="stable")]
