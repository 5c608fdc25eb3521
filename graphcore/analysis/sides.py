"""The services around one, each on the side where it is nearer, and the calls that lead there."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter
from graphcore.graph.index import WalkScratch
from graphcore.traversal import Direction, Reach, reach

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

    @classmethod
    def of(cls, walks: Mapping[int, Reach], node_count: int) -> "Sides":
        """
        Join walks, by their side; a service that is as near on both is upstream.

        O(V + E), a part of it to sort edges; lets other threads run most of the time.
        """
        depths: NDArray[np.int8] = np.zeros((2, node_count), np.int8)
        for side, found in walks.items():
            hops = np.arange(1, len(found.depth_counts) + 1, dtype=np.int8)
            depths[side, found.nodes] = np.repeat(hops, found.depth_counts)
        nodes = np.flatnonzero(depths.any(axis=0)).astype(np.int32)
        up, down = depths[:, nodes]
        sides = np.where((up > 0) & ((down == 0) | (up <= down)), UPSTREAM, DOWNSTREAM).astype(np.int8)
        near, far = np.where(sides == UPSTREAM, (up, down), (down, up))
        # The walks may come upon the same pairs, on cycles.
        edges = np.unique(np.concatenate([found.edges for found in walks.values()]))
        counts = [len(walks[side].nodes) if side in walks else 0 for side in (UPSTREAM, DOWNSTREAM)]
        return cls(nodes, sides, near, far, edges, (counts[0], counts[1]))


def sides_of(
    graph: DependencyGraph, start: str, direction: Direction, max_depth: int, edge_filter: EdgeFilter
) -> Sides:
    """
    Walk over effective dependencies to both sides of a service, or to one.

    Raises ``UnknownServiceError``. O(V + E). Has scratch arrays of its own, so that it may run in a
    thread, beside other walks.
    """
    index = graph.index
    scratch = WalkScratch(len(index.nodes), len(index.edges))
    walks = {
        side: reach(graph, start, way, max_depth, edge_filter, effective=True, scratch=scratch)
        for side, way in enumerate(_WAYS)
        if direction in (way, Direction.BOTH)
    }
    return Sides.of(walks, len(index.nodes))
