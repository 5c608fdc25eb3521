"""Shortest cycles, the witnesses of cyclic components."""

from collections.abc import Sequence

import numpy as np

from graphcore.analysis.call_graph import Numbers, calls_between, reversed_calls, sources
from graphcore.compiling import budget
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.name_order import name_order
from graphcore.graph.records import UnknownServiceError
from graphcore.kernels import cycles as kernels

MOST_LOOKS = 20_000_000
"""Edges to read in search of a shorter cycle: 0.1 to 0.2 s."""


def shortest_cycle(
    graph: DependencyGraph,
    members: Sequence[str],
    *,
    min_confidence: float = 0.0,
    shorter_than: int | None = None,
) -> tuple[str, ...] | None:
    """
    Find a shortest cycle over fresh dependencies with ``min_confidence``; None if there is none.

    In call order, from its smallest name on. Of several, the one with the first names, so the
    result depends on members and dependencies only. ``shorter_than``: only cycles with fewer
    services. Raises ``UnknownServiceError``.

    ``members`` should be a strongly connected component, or part of one. O(V + E) for rings and
    mutual calls, O(V E) at worst. After ``MOST_LOOKS`` edges the shortest cycle so far is
    returned, still deterministic; with ``shorter_than``, None then means not found. May run beside
    readers.
    """
    nodes = np.array([graph.node(name) for name in members], np.int32)
    return shortest_cycle_of_nodes(graph, nodes, min_confidence=min_confidence, shorter_than=shorter_than)


def shortest_cycle_of_nodes(
    graph: DependencyGraph, nodes: Numbers, *, min_confidence: float = 0.0, shorter_than: int | None = None
) -> tuple[str, ...] | None:
    """Find the cycle of ``shortest_cycle`` by nodes: faster for many, lets other threads run."""
    names = [graph.digraph[node].name for node in nodes.tolist()]
    order = name_order(names)
    calls = calls_between(graph.index, nodes[order], min_confidence=min_confidence)
    found = shortest_cycle_of(calls.start, calls.target, shorter_than=shorter_than)
    return None if found is None else tuple([names[order[number]] for number in found])


def shortest_cycle_of(
    start: Numbers, target: Numbers, *, shorter_than: int | None = None, share: int = 1
) -> list[int] | None:
    """Find that cycle in rows as of ``Calls``, by name; ``share`` searches share a budget."""
    count = len(start) - 1
    longest = count if shorter_than is None else min(count, shorter_than - 1)
    back_start, back = reversed_calls(start, target)
    work, cycle = np.empty((kernels.WORK_ROWS, count), np.int32), np.empty(count, np.int32)
    most_looks = budget(MOST_LOOKS) // share
    length = kernels.find_shortest_cycle.run(
        start, target, back_start, sources(start)[back], work, cycle, longest, most_looks
    )
    return cycle[:length].tolist() if length else None


def is_cycle(graph: DependencyGraph, path: Sequence[str], *, min_confidence: float = 0.0) -> bool:
    """
    Whether two or more distinct services form a cycle in this order.

    Dependencies count as for ``shortest_cycle``. False if a name is unknown.
    O(the smaller degree of each pair's ends).
    """
    if len(path) < kernels.SHORTEST or len(set(path)) != len(path):
        return False
    try:
        nodes = np.array([graph.node(name) for name in path], np.int32)
    except UnknownServiceError:
        return False
    return bool(kernels.closes.run(*graph.index.arrays, min_confidence, nodes))
