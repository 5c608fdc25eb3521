"""How far services are from one, whichever way calls go."""

from collections.abc import Collection, Hashable, Iterable

import numpy as np

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.kernels import NO_EDGE, SOURCE, TARGET


def distances(
    graph: DependencyGraph,
    start: Hashable,
    most_hops: int,
    *,
    more: Collection[tuple[Hashable, Hashable]] = (),
    without: Iterable[Hashable] = (),
) -> dict[Hashable, int]:
    """
    Map the keys of services within ``most_hops`` of one, itself included, to their distances.

    All dependencies count, stale ones, too, but those ``without``; ``more`` are pairs of services
    that count as connected, whether the graph has them or not. O(E) for each hop.
    """
    nodes = graph.nodes_by_key()
    keys = dict.fromkeys([start, *(key for pair in more for key in pair)])
    missing = [key for key in keys if key not in nodes]
    count = len(graph.index.nodes)
    number_of = {key: nodes[key] for key in keys if key in nodes}
    number_of |= {key: count + place for place, key in enumerate(missing)}
    ends = graph.index.edges[: graph.index.edge_bound, [SOURCE, TARGET]]
    ends[[edge for key in without if (edge := graph.edge(key)) is not None]] = NO_EDGE
    ends = ends[ends[:, SOURCE] != NO_EDGE]
    added = np.array([(number_of[a], number_of[b]) for a, b in more], np.int32).reshape(-1, 2)
    source, target = np.ascontiguousarray(np.concatenate((ends, added)).T)
    hops = np.full(count + len(missing), -1, np.int8)
    hops[number_of[start]] = 0
    for hop in range(most_hops):
        found = [
            there[(hops[here] == hop) & (hops[there] < 0)]
            for here, there in ((source, target), (target, source))
        ]
        reached = np.concatenate(found)
        if not len(reached):
            break
        hops[reached] = hop + 1
    near = np.flatnonzero(hops >= 0).tolist()
    digraph = graph.digraph
    return {
        digraph[node].key if node < count else missing[node - count]: hop
        for node, hop in zip(near, hops[near].tolist(), strict=True)
    }
