"""
The shortest simple paths of calls between two services: by hops, then by the names on them.

Yen's algorithm in the form of Lawler. The unknown paths fall into classes: "begins like this known
path up to here, then leaves it". The next path is the first of some class. A queue holds the
classes by the fewest hops that a path of theirs may have, from the distances to the target. A class
is searched only when it is first in the queue, which most never are.

Sources: J. Yen, "Finding the k shortest loopless paths in a network", 1971; E. Lawler, "A procedure
for computing the k best solutions …", 1972.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.compiling import budget
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.kernels import COUNT, COUNTS_BIT, EDGE, NEIGHBOUR, OUT, START, upstream
from graphcore.kernels import paths as kernels
from graphcore.kernels.paths import BEYOND, EFFORT, HOP, LEDGER, ON, STATE_ROWS
from graphcore.kernels.upstream import NOT_FOUND

USUAL_EFFORT = 20_000_000
"""Edges that a search reads before it ends early: some tenths of a second."""
# Other steps, in edges: search a class, queue it, choose among names, a node of a found path.
_CLASS_EFFORT, _QUEUE_EFFORT, _CHOICE_EFFORT, _NODE_EFFORT = 1_000, 50, 1_000, 20

_Nodes = NDArray[np.int32]
_NOTHING: _Nodes = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class ShortestPaths:
    """
    Paths in order, as nodes from source to target, valid until the graph changes.

    ``truncated``: the search ended early. The paths are the first ones, but more may exist.
    """

    paths: list[list[int]]
    truncated: bool


class _Class(NamedTuple):
    """Paths that begin with ``path[: spur + 1]``, not followed by a closed node."""

    path: _Nodes
    spur: int
    closed: _Nodes
    tries: int
    """Searches so far."""


class _Found(NamedTuple):
    path: _Nodes
    of: _Class


def shortest_paths(
    graph: DependencyGraph,
    source: str,
    target: str,
    mask: NDArray[np.uint8],
    *,
    max_paths: int = 1,
    max_hops: int = 0,
    max_effort: int = 0,
) -> ShortestPaths:
    """
    Find the first ``max_paths`` simple paths over the edges in ``mask`` (``passing_edges``).

    ``max_hops`` limits their length, 0: no limit. Parallel edges make one path. ``max_effort``
    limits the edges to read after the first search, 0: some tenths of a second. Raises
    ``UnknownServiceError``, and ``ValueError`` for bounds out of range or equal ends. O(E) for each
    hop of each path at worst; near O(E) in all if detours are about as long as the distances say.
    """
    if max_paths < 1 or max_hops < 0 or source == target:
        raise ValueError(f"no paths to find: {source!r} to {target!r}, {max_paths} of {max_hops} hops")
    search = _Search(graph, graph.node(source), graph.node(target), mask, max_hops)
    return search.first(max_paths, max_effort or budget(USUAL_EFFORT))


class _Search:
    """A search: distances to the target, scratch arrays, queue of classes and paths."""

    def __init__(
        self, graph: DependencyGraph, source: int, target: int, mask: NDArray[np.uint8], max_hops: int
    ) -> None:
        self._graph, self._mask = graph, mask
        self._edges = graph.index.nodes, graph.index.pool, mask
        self._source, self._target = source, target
        count = len(graph.index.nodes)
        self._max_hops = max_hops or count
        self._bound = np.full(count, NOT_FOUND, np.int32)
        self._state: NDArray[np.int32] = np.zeros((STATE_ROWS, count), np.int32)
        self._ledger: NDArray[np.int64] = np.zeros(LEDGER, np.int64)
        self._tick = self._effort = self._serial = 0
        # Classes before paths of equal length, as they may hold an earlier one.
        self._queue: list[tuple[int, int, int, tuple[str, ...], _Class | _Found]] = []

    def first(self, max_paths: int, max_effort: int) -> ShortestPaths:
        paths: list[list[int]] = []
        self._measure(stop_at_source=max_paths == 1)
        if self._bound[self._source] != NOT_FOUND:
            whole = _Class(np.array([self._source], np.int32), 0, _NOTHING, 0)
            self._search(whole, int(self._bound[self._source]))
        while self._queue and len(paths) < max_paths:
            if self._effort > max_effort:
                return ShortestPaths(paths, truncated=True)
            least, _, _, _, best = heappop(self._queue)
            if isinstance(best, _Class):
                self._search(best, least)
                continue
            paths.append(best.path.tolist())
            if len(paths) < max_paths:
                self._divide(best)
        return ShortestPaths(paths, truncated=False)

    def _measure(self, *, stop_at_source: bool) -> None:
        """Find the distances to the target, of all nodes or only up to the source."""
        until = self._source if stop_at_source else NOT_FOUND
        queue = np.empty_like(self._bound)
        wanted = COUNTS_BIT, self._target, until, self._max_hops
        upstream.search_callers.run(*self._edges, *wanted, self._bound, queue)

    def _search(self, among: _Class, least: int) -> None:
        """
        Queue the first path of a class, or the class again with a better lower bound.

        The limit is ``least`` hops first: most classes have such a path, which is quick to find. It
        grows exponentially with each try, so that a long detour costs a few searches.
        """
        limit = min(least + (1 << among.tries) - 1, self._max_hops) - among.spur
        given = np.ascontiguousarray(among.path[: among.spur + 1])
        self._tick += 1
        wanted = given, among.closed, self._target, limit, self._tick
        hops = kernels.find_detour.run(*self._edges, self._bound, self._state, *wanted, self._ledger)
        self._effort += int(self._ledger[EFFORT]) + _CLASS_EFFORT
        beyond = int(self._ledger[BEYOND])
        if hops:
            path = self._smallest(given, hops)
            names = tuple(self._graph.digraph[node].name for node in path.tolist())
            self._effort += _NODE_EFFORT * len(path)
            heappush(self._queue, (len(path) - 1, 1, 0, names, _Found(path, among)))
        elif beyond:
            self._put(among._replace(tries=among.tries + 1), among.spur + beyond)

    def _put(self, among: _Class, least: int) -> None:
        if least <= self._max_hops:
            self._serial += 1
            heappush(self._queue, (least, 0, self._serial, (), among))

    def _smallest(self, given: _Nodes, hops: int) -> _Nodes:
        """Of the shortest paths just marked, return the first by names."""
        path = np.empty(len(given) + hops, np.int32)
        path[: len(given)] = given
        at = len(given) - 1
        while True:
            at = kernels.follow.run(*self._edges, self._state, path, at, len(path) - 1, self._tick)
            if at == len(path) - 1:
                return path
            path[at + 1] = self._smallest_step(int(path[at]))
            self._effort += _CHOICE_EFFORT
            at += 1

    def _smallest_step(self, node: int) -> int:
        nodes, pool, _ = self._edges
        row, state = nodes[node], self._state
        segment = slice(int(row[OUT + START]), int(row[OUT + START] + row[OUT + COUNT]))
        callees = pool[NEIGHBOUR, segment]
        fits = (
            (self._mask[pool[EDGE, segment]] != 0)
            & (state[ON, callees] == self._tick)
            & (state[HOP, callees] == state[HOP, node] + 1)
        )
        records = self._graph.digraph
        choices: set[int] = set(callees[fits].tolist())
        return min(choices, key=lambda callee: records[callee].name)

    def _divide(self, found: _Found) -> None:
        """Queue the rest of a class: a class for each node where another path may branch off."""
        path, spur, among = found.path, found.of.spur, found.of
        least: _Nodes = np.zeros(len(path), np.int32)
        self._tick += 1
        self._effort += kernels.find_deviations.run(
            *self._edges, self._bound, self._state, path, among.closed, spur, self._tick, least
        )
        for position in np.flatnonzero(least).tolist():
            closed = path[position + 1 : position + 2]
            if position == spur:
                closed = np.concatenate((among.closed, closed))
            self._put(_Class(path, position, np.ascontiguousarray(closed), 0), int(least[position]))
            self._effort += _QUEUE_EFFORT
