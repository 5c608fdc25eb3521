"""The services around one, each on the side where it is nearer, and the calls that lead there."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter
from graphcore.traversal import Direction, reach

UPSTREAM, DOWNSTREAM = 0, 1
"""The sides, in the order of answers."""
_WAYS = (Direction.UPSTREAM, Direction.DOWNSTREAM)

Numbers = NDArray[np.int32]


class Sides(NamedTuple):
    """
    The services of the walks upstream and downstream from a start, without the start.

    ``depth`` is the smaller of the depths on both sides, ``other_depth`` the depth on the side that
    is not ``side``, 0 = not reached there. ``edges`` are leading edges, one for each pair of
    services that the walks cross or come upon: their near end is less than the greatest depth from
    the start. All but ``counts`` are nodes and edges of the graph, valid until it changes.
    """

    nodes: Numbers
    side: NDArray[np.int8]
    depth: NDArray[np.int8]
    other_depth: NDArray[np.int8]
    edges: Numbers
    counts: tuple[int, int]
    """Services upstream and downstream; those on both sides count twice."""


def sides_of(
    graph: DependencyGraph, start: str, direction: Direction, max_depth: int, edge_filter: EdgeFilter
) -> Sides:
    """
    Walk over effective dependencies to both sides of a service, or to one of them.

    A service that is as near on both sides is upstream. Raises ``UnknownServiceError``. O(V + edges
    of the services walked over).
    """
    depths: NDArray[np.int8] = np.zeros((2, len(graph.index.nodes)), np.int8)
    edges = []
    counts = [0, 0]
    for side, way in enumerate(_WAYS):
        if direction in (way, Direction.BOTH):
            found = reach(graph, start, way, max_depth, edge_filter, effective=True)
            hops = np.arange(1, len(found.depth_counts) + 1, dtype=np.int8)
            depths[side, found.nodes] = np.repeat(hops, found.depth_counts)
            counts[side] = len(found.nodes)
            edges.append(found.edges)
    nodes = np.flatnonzero(depths.any(axis=0)).astype(np.int32)
    up, down = depths[:, nodes]
    sides = np.where((up > 0) & ((down == 0) | (up <= down)), UPSTREAM, DOWNSTREAM).astype(np.int8)
    near, far = np.where(sides == UPSTREAM, (up, down), (down, up))
    return Sides(nodes, sides, near, far, _each_once(edges), (counts[0], counts[1]))


def _each_once(edges: list[Numbers]) -> Numbers:
    # The walks may come upon the same pairs, on cycles.
    return edges[0].copy() if len(edges) == 1 else np.unique(np.concatenate(edges))
