"""
Breadth-first walks, and the adjacency list: which services call which, directly or not.

A service's depth is its smallest number of hops from the start. The start is never in the result,
even on a cycle. The dependencies of a walk are those that pass the filter and whose near end is
less than the greatest depth from the start, each once, including those that close a cycle.

``Direction.BOTH`` is the union of the upstream and the downstream walk (it doesn't turn around):
each service with its smaller depth, at equal depths downstream first.
"""

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heapify, heappop

import numpy as np
from numpy.typing import NDArray

from graphcore import kernels as at
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter
from graphcore.graph.index import WalkScratch
from graphcore.kernels import BOTH, COUNTS, DOWN, EDGE_COUNT, NODE_COUNT, TRUNCATED, UP, walking

FRESH = EdgeFilter()
"""The filter that passes everything but stale dependencies."""

_NO_EDGES: NDArray[np.int32] = np.empty(0, np.int32)
_NO_EDGES.flags.writeable = False


class Direction(enum.Enum):
    """Where to walk: to callers, to callees, or both."""

    UPSTREAM = "upstream"
    DOWNSTREAM = "downstream"
    BOTH = "both"

    def __init__(self, word: str) -> None:
        # An attribute, because to look a member up in a dict calls its hash in Python.
        self.walk = {"downstream": DOWN, "upstream": UP, "both": BOTH}[word]


@dataclass(slots=True)  # Not frozen, which would cost a short walk a tenth of its time.
class Reach:
    """
    The result of a walk, as nodes and edges of the graph, valid until the graph changes.

    ``nodes`` are in breadth-first order without the start. ``depth_counts`` has the number of nodes
    at 1, 2, … hops. ``edges`` is empty unless requested. ``truncated``: ``max_services`` was
    reached. Both arrays are parts of a queue that other answers share, up to 4 bytes for each edge
    and 12 for each node of the graph: copy what is kept for long.
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
    effective: bool = False,
    scratch: WalkScratch | None = None,
) -> Reach:
    """
    Walk breadth-first from the service named ``start`` over the dependencies that pass the filter.

    ``max_depth`` is a number of hops, at least 1. ``max_services`` (0: no limit) keeps the first
    services found, and the dependencies between them and the start. Services of one depth come in
    no particular order, but always the same until the graph changes.

    Services of the filter's ``excluded_kinds`` are neither reached nor walked through, the start
    aside; to find them costs O(V).

    An ``effective`` walk crosses a pair of services if its leading edge passes, which
    ``graphcore.analysis.edge_selection`` defines; ``edges`` are leading edges. It takes about twice
    the time.

    Walks share scratch arrays, so only one may run at a time; one with a ``scratch`` of its own may
    run beside others.

    Raises ``UnknownServiceError``, and ``ValueError`` for a bound out of range. O(edges of the
    services walked over). With ``max_services`` the walk ends when that is exceeded, except in both
    directions with dependencies, which needs whole walks.
    """
    if max_depth < 1 or max_services < 0:
        raise ValueError(
            f"max_depth must be at least 1, max_services at least 0, not {max_depth}, {max_services}"
        )
    index, walk, node = graph.index, direction.walk, graph.node(start)
    walks, excluded = scratch or index.walks, edge_filter.excluded_kinds
    if walks.used > walks.last:
        walks.renew()
    if excluded:
        walks.shut(nodes := graph.nodes_of_kinds(excluded), node)
    queue, base, answer = walks.queue, walks.used, walks.answer
    deepest = walking.reach.run(
        index.nodes,
        index.pool,
        index.confidence,
        walks.rows,
        queue,
        base,
        node,
        walk,
        max_depth,
        max_services,
        with_dependencies,
        edge_filter.blocked,
        effective,
        edge_filter.reads_stale,
        edge_filter.min_confidence,
    )
    if excluded:
        walks.open(nodes)
    nodes_end = base + answer[NODE_COUNT]
    walks.used = edges_end = nodes_end + answer[EDGE_COUNT]
    counts = tuple(answer[COUNTS : COUNTS + deepest].tolist())
    edges = queue[nodes_end:edges_end] if with_dependencies else _NO_EDGES
    return Reach(queue[base + 1 : nodes_end], counts, edges, answer[TRUNCATED] == 1)


def adjacency(
    graph: DependencyGraph, *, include_stale: bool = False
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """
    List all services with the distinct names that each calls directly; both sorted by code point.

    The list shows the graph as of the call, even if it changes during the iteration. The call
    copies arrays, O(V + E), some milliseconds for a million edges. The first service takes O(V),
    each other O(log V) and its own targets.
    """
    index = graph.index
    part = at.COUNT if include_stale else at.FRESH
    segments = index.nodes[:, [at.OUT + at.START, at.OUT + part]]
    neighbours = index.pool[at.NEIGHBOUR, : index.ledger[at.USED]].copy()
    return _listed(graph.nodes_by_name(), segments, neighbours)


def _listed(
    node_of: dict[str, int], segments: NDArray[np.int32], neighbours: NDArray[np.int32]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    name_of = [""] * len(segments)
    for name, node in node_of.items():
        name_of[node] = name
    # A heap: to sort 100,000 names would delay the first service.
    names = list(node_of)
    heapify(names)
    while names:
        name = heappop(names)
        start, count = segments[node_of[name]].tolist()
        targets = {name_of[target] for target in neighbours[start : start + count].tolist()}
        yield name, tuple(sorted(targets))
