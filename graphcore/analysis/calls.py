"""Who calls whom among some services, as rows of numbers."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.kernels import calls as kernels
from graphcore.kernels.layout import FRESH, OUT
from graphcore.traversal_index import TraversalIndex

Numbers = NDArray[np.int32]


class Calls(NamedTuple):
    """
    Calls between nodes that are numbered from 0 on: number ``n`` calls ``target[start[n] : start[n + 1]]``, parallel calls each.

    ``edge`` stands beside ``target``: the index of the edge in the graph, where the calls come from one.
    """

    start: Numbers
    target: Numbers
    edge: Numbers


class Callers(NamedTuple):
    """The same the other way round: number ``n`` is called by ``caller[start[n] : start[n + 1]]``, smallest first."""

    start: Numbers
    caller: Numbers


def calls_between(
    index: TraversalIndex, chosen: Numbers, *, min_confidence: float = 0.0, blocked: int = 0
) -> Calls:
    """
    Copy the edges between nodes, numbered in the order of ``chosen``, that are not stale, have ``min_confidence`` and no flag of ``blocked``.

    O(V + their edges), a copy of its own; no scratch of the graph is used, and others may read it meanwhile.
    """
    number_of = np.full(len(index.nodes), -1, np.int32)
    number_of[chosen] = np.arange(len(chosen), dtype=np.int32)
    room = int(index.nodes[chosen, OUT + FRESH].sum())
    start = np.empty(len(chosen) + 1, np.int32)
    target, edge = np.empty(room, np.int32), np.empty(room, np.int32)
    count = kernels.gather_edges.run(
        index.nodes,
        index.pool,
        index.confidence,
        min_confidence,
        blocked,
        chosen,
        number_of,
        start,
        target,
        edge,
    )
    return Calls(start, target[:count], edge[:count])


def calls_of_pairs(count: int, sources: Numbers, targets: Numbers) -> Calls:
    """Make rows of plain pairs, of nodes below ``count``; ``edge`` is the place of each pair among them. O(V + E log E)."""
    order = np.argsort(sources, kind="stable").astype(np.int32)
    start = np.searchsorted(sources[order], np.arange(count + 1)).astype(np.int32)
    return Calls(start, np.ascontiguousarray(targets[order], np.int32), order)


def callers(start: Numbers, target: Numbers) -> Callers:
    """Turn rows of calls round. O(V + E)."""
    back_start, call = np.empty_like(start), np.empty_like(target)
    kernels.turn_round.run(start, target, back_start, call)
    return Callers(back_start, sources(start)[call])


def sources(start: Numbers) -> Numbers:
    """Name the caller of each call. O(V + E)."""
    return np.repeat(np.arange(len(start) - 1, dtype=np.int32), np.diff(start))


def component_around(
    index: TraversalIndex, node: int, *, min_confidence: float = 0.0, blocked: int = 0
) -> Numbers:
    """
    Find the nodes that reach a node and are reached by it, itself included, over the edges that ``calls_between`` would copy.

    In no particular order. O(V + E) at worst, without what the graph keeps of its components.
    """
    mark, queue = np.zeros(len(index.nodes), np.int32), np.empty(len(index.nodes), np.int32)
    size = kernels.component_around.run(
        index.nodes, index.pool, index.confidence, min_confidence, blocked, node, mark, queue
    )
    return queue[:size].copy()
