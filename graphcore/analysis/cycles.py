"""Witnesses of circular dependencies: shortest cycles."""

from collections.abc import Sequence

import numpy as np

from graphcore.analysis.call_graph import Numbers, callers, calls_between
from graphcore.compiling import budget
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.name_order import places_by_name
from graphcore.graph.records import UnknownServiceError
from graphcore.kernels import cycles as kernels

MOST_LOOKS = 20_000_000
"""How many edges may be looked at for a cycle that is shorter than the one known: a tenth of a second or two."""


def shortest_cycle(
    graph: DependencyGraph,
    members: Sequence[str],
    *,
    min_confidence: float = 0.0,
    shorter_than: int | None = None,
) -> tuple[str, ...] | None:
    """
    Find a shortest cycle among services, over dependencies that are not stale and have ``min_confidence``; None = there is none.

    In call order, from its smallest name on, and of several that whose names come first: the same for the same members and dependencies, however they came to be.
    ``shorter_than`` looks for cycles with fewer services only. Raises ``UnknownServiceError``.

    ``members`` are meant to be those of a strongly connected component, or of a part of one. O(V + E) for rings and where two services call each other,
    O(V E) at worst: when ``MOST_LOOKS`` edges were looked at, the shortest one so far is returned, which is still a cycle and still the same each time;
    None, with ``shorter_than``, then means that none was found. May run in a thread beside readers of a graph that stands still.
    """
    nodes = np.array([graph.node(name) for name in sorted(members)], np.int32)
    return _shortest_of_sorted(graph, nodes, min_confidence, shorter_than)


def shortest_cycle_of_nodes(
    graph: DependencyGraph, nodes: Numbers, *, min_confidence: float = 0.0, shorter_than: int | None = None
) -> tuple[str, ...] | None:
    """Find the same cycle as ``shortest_cycle`` among services given by their nodes, which for very many is quicker, and lets other threads run."""
    names = [graph.digraph[node].name for node in nodes.tolist()]
    return _shortest_of_sorted(graph, nodes[places_by_name(names)], min_confidence, shorter_than)


def _shortest_of_sorted(
    graph: DependencyGraph, nodes: Numbers, min_confidence: float, shorter_than: int | None
) -> tuple[str, ...] | None:
    calls = calls_between(graph.index, nodes, min_confidence=min_confidence)
    found = shortest_cycle_of(calls.start, calls.target, shorter_than=shorter_than)
    return None if found is None else tuple([graph.digraph[int(nodes[number])].name for number in found])


def shortest_cycle_of(
    start: Numbers, target: Numbers, *, shorter_than: int | None = None, share: int = 1
) -> list[int] | None:
    """
    Find a shortest cycle of numbered nodes, in rows as of ``Calls``, as ``shortest_cycle`` does: the numbers are the order of the names.

    ``share``: how many searches have one budget between them.
    """
    count = len(start) - 1
    longest = count if shorter_than is None else min(count, shorter_than - 1)
    back = callers(start, target)
    cycle = np.empty(count, np.int32)
    length = kernels.find_shortest_cycle.run(
        start,
        target,
        back.start,
        back.caller,
        np.empty((kernels.WORK_ROWS, count), np.int32),
        cycle,
        longest,
        budget(MOST_LOOKS) // share,
    )
    return cycle[:length].tolist() if length else None


def is_cycle(graph: DependencyGraph, path: Sequence[str], *, min_confidence: float = 0.0) -> bool:
    """
    Tell whether two or more different services call each other in this order, the last the first, as ``shortest_cycle`` counts dependencies.

    A name that no service has makes it no cycle. O(the smaller degree of each pair's ends).
    """
    if len(path) < kernels.SHORTEST or len(set(path)) != len(path):
        return False
    try:
        nodes = np.array([graph.node(name) for name in path], np.int32)
    except UnknownServiceError:
        return False
    index = graph.index
    return bool(kernels.closes.run(index.nodes, index.pool, index.confidence, min_confidence, nodes))
