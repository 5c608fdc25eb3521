"""
Which services a service calls, or is called by, directly and through others: as indices.

A service's depth is its smallest number of hops from the start. The start is never among the services found, even on a
cycle. The dependencies of a traversal are those that pass the filter and whose near end lies less than the greatest depth from
the start, once each, those that close a cycle included. Both directions are the union of the upstream and the
downstream walk from the start (not a walk that turns around), each service with its smaller depth, equal
depths downstream first.
"""

import enum
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import SOURCES, EdgeFilter
from graphcore.kernels import effective_walking, walking
from graphcore.kernels.layout import BOTH, COUNTS, DOWN, EDGE_COUNT, TRUNCATED, UP

FRESH = EdgeFilter()
"""The filter that lets everything pass but stale dependencies."""

_NO_EDGES: NDArray[np.int32] = np.empty(0, np.int32)
_NO_EDGES.flags.writeable = False


class Direction(enum.Enum):
    """Which way to walk: to callers, to what is called, or each of the two separately."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
    BOTH = "both"

    def __init__(self, word: str) -> None:
        # Kept on the member, because looking a member up in a dict runs Python code for its hash.
        self.walk = {"downstream": DOWN, "upstream": UP, "both": BOTH}[word]


@dataclass(slots=True)  # Not frozen, for that would cost a short walk a tenth of its time.
class Reach:
    """
    What a walk found, as indices into ``graph.digraph`` and the graph's columns.

    ``nodes`` are in breadth-first order without the start; ``depth_counts`` say how many of them lie 1, 2, … hops from it, up to the
    deepest; ``edges`` are empty unless asked for; ``truncated`` says that ``max_services`` cut services off. The arrays are the
    caller's own, but what their indices mean is lost once the graph moves on.
    """

    nodes: NDArray[np.int32]
    depth_counts: tuple[int, ...]
    edges: NDArray[np.int32]
    truncated: bool


def reach(
    graph: DependencyGraph,
    start: str,
    direction: Direction,
    max_depth: int,
    edge_filter: EdgeFilter = FRESH,
    *,
    max_services: int = 0,
    with_dependencies: bool = True,
) -> Reach:
    """
    Walk breadth-first from the service named ``start`` over the dependencies that pass the filter.

    ``max_depth`` counts hops, at least 1. ``max_services`` (0 = no limit) keeps the first services found, and the
    dependencies that lie between those and the start. Services of one depth come in no particular order, but in
    the same one until the graph changes.

    Raises ``UnknownServiceError``, and ``ValueError`` for a bound out of range. O(edges of the services walked
    over); with ``max_services`` a walk ends with the service at which that is passed, except for both directions with dependencies,
    where only whole walks tell which dependencies belong.
    """
    if max_depth < 1 or max_services < 0:
        raise ValueError(
            f"max_depth must be at least 1, max_services at least 0, not {max_depth}, {max_services}"
        )
    index, walk = graph.index, direction.walk
    walks = index.walks
    deepest = walking.reach.run(
        index.nodes,
        index.pool,
        index.confidence,
        walks.rows,
        walks.crossed,
        graph.node(start),
        walk,
        max_depth,
        max_services,
        with_dependencies,
        edge_filter.blocked,
        edge_filter.reads_stale,
        edge_filter.min_confidence,
    )
    answer = walks.answer
    counts = tuple(answer[COUNTS : COUNTS + deepest].tolist())
    nodes = walks.queues[walk][1 : sum(counts) + 1].copy()
    edges = walks.crossed[: answer[EDGE_COUNT]].copy() if with_dependencies else _NO_EDGES
    return Reach(nodes, counts, edges, answer[TRUNCATED] == 1)


def effective_reach(
    graph: DependencyGraph,
    start: str,
    direction: Direction,
    max_depth: int,
    edge_filter: EdgeFilter = FRESH,
    *,
    max_services: int = 0,
    with_dependencies: bool = True,
) -> Reach:
    """
    Walk as ``reach`` does, crossing each pair of services once, where its leading edge passes; ``edges`` are these leading edges.

    Arguments, errors, bounds and complexity are those of ``reach``; about twice the time, since every edge is looked at twice.
    """
    if max_depth < 1 or max_services < 0:
        raise ValueError(
            f"max_depth must be at least 1, max_services at least 0, not {max_depth}, {max_services}"
        )
    index, walk = graph.index, direction.walk
    walks = index.walks
    deepest = effective_walking.reach_pairs.run(
        index.nodes,
        index.pool,
        index.confidence,
        walks.rows,
        walks.crossed,
        graph.node(start),
        walk,
        max_depth,
        max_services,
        with_dependencies,
        edge_filter.blocked & SOURCES,
        edge_filter.blocked & ~SOURCES,
        edge_filter.reads_stale,
        edge_filter.min_confidence,
    )
    answer = walks.answer
    counts = tuple(answer[COUNTS : COUNTS + deepest].tolist())
    nodes = walks.queues[walk][1 : sum(counts) + 1].copy()
    return Reach(nodes, counts, walks.crossed[: answer[EDGE_COUNT]].copy(), answer[TRUNCATED] == 1)
