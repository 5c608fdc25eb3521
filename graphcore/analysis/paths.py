"""
The shortest simple paths of calls between two services, in a fixed order: fewer hops first, then by the names on them.

Yen's algorithm in the form of E. Lawler: the paths that are not known yet fall into classes, each "begins like this known path up to here, and then leaves
it"; the first of all is the first of some class. Classes stand in a queue by the fewest hops that a path of theirs could have, read off the distances to
the target, and are searched only when their turn comes, which for most is never. Sources: J. Yen, "Finding the k shortest loopless paths in a network", 1971;
E. Lawler, "A procedure for computing the k best solutions …", 1972.
"""

from dataclasses import dataclass
from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore.compiling import budget
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.kernels import paths as kernels
from graphcore.kernels import upstream
from graphcore.kernels.layout import COUNT, EDGE, NEIGHBOUR, OUT, START
from graphcore.kernels.paths import BEYOND, EFFORT, HOP, LEDGER, ON, STATE_ROWS
from graphcore.kernels.upstream import NOT_FOUND

USUAL_EFFORT = 20_000_000
"""Edges that a search looks at before it ends early: some tenths of a second."""
# What else takes time, in edges that could be looked at meanwhile: searching a class, putting one into the queue, choosing among names, a node
# of a path that was found.
_CLASS_EFFORT, _QUEUE_EFFORT, _CHOICE_EFFORT, _NODE_EFFORT = 1_000, 50, 1_000, 20

_Nodes = NDArray[np.int32]
_NOTHING: _Nodes = np.empty(0, np.int32)


@dataclass(frozen=True, slots=True)
class ShortestPaths:
    """
    Paths as nodes from source to target, in order; what the indices mean is lost once the graph moves on.

    ``truncated`` says that the search ended early: there may be further ones of those asked for. Those that are here are the first ones all the same.
    """

    paths: list[list[int]]
    truncated: bool


class _Class(NamedTuple):
    """Paths that begin with ``path[: spur + 1]`` and do not go on with a closed node; ``tries`` is how often it was searched."""

    path: _Nodes
    spur: int
    closed: _Nodes
    tries: int


class _Found(NamedTuple):
    """The first path of a class."""

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
    Find the first ``max_paths`` simple paths over the edges in ``mask`` (``counting_edges``), none longer than ``max_hops`` (0 = no limit).

    Several edges of a pair make one path. ``max_effort`` is how many edges may be looked at beside the first search, 0 = some tenths
    of a second's work. Raises ``UnknownServiceError``, and ``ValueError`` for bounds out of range or equal ends. At worst O(E) for each hop of each
    path; near O(E) altogether when detours are about as long as the distances say.
    """
    if max_paths < 1 or max_hops < 0 or source == target:
        raise ValueError(f"no paths to find: {source!r} to {target!r}, {max_paths} of {max_hops} hops")
    search = _Search(graph, graph.node(source), graph.node(target), mask, max_hops)
    return search.first(max_paths, max_effort or budget(USUAL_EFFORT))


class _Search:
    """One search: the distances to the target, room to search in, and the queue of classes and of paths found, by hops."""

    def __init__(
        self, graph: DependencyGraph, source: int, target: int, mask: NDArray[np.uint8], max_hops: int
    ) -> None:
        self._graph, self._index, self._mask = graph, graph.index, mask
        self._source, self._target = source, target
        count = len(self._index.nodes)
        self._max_hops = max_hops or count
        self._bound: _Nodes = np.full(count, NOT_FOUND, np.int32)
        self._state: NDArray[np.int32] = np.zeros((STATE_ROWS, count), np.int32)
        self._ledger: NDArray[np.int64] = np.zeros(LEDGER, np.int64)
        self._tick = self._effort = self._serial = 0
        # Classes come before paths of the same length: they may hold one that comes first. Then by serial, or by names.
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
        """Find how far it is to the target from everywhere, or from what is no farther than the source."""
        until = self._source if stop_at_source else NOT_FOUND
        queue: _Nodes = np.empty(len(self._bound), np.int32)
        index = self._index
        upstream.search_callers.run(
            index.nodes, index.pool, self._mask, 0, self._target, until, self._max_hops, self._bound, queue
        )

    def _search(self, among: _Class, least: int) -> None:
        """
        Put the first path of a class into the queue, or the class itself with what is known better now.

        The limit is ``least``, because most classes have such a path and finding it takes little then. It grows twice as far each time
        that there is none, so that a long way round costs a few searches and not one for each hop.
        """
        limit = min(least + (1 << among.tries) - 1, self._max_hops)
        given = np.ascontiguousarray(among.path[: among.spur + 1])
        index, self._tick = self._index, self._tick + 1
        hops = kernels.find_detour.run(
            index.nodes,
            index.pool,
            self._mask,
            self._bound,
            self._state,
            given,
            among.closed,
            self._target,
            limit - among.spur,
            self._tick,
            self._ledger,
        )
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
        """Of the shortest paths that were just marked, write the one whose names come first."""
        path = np.empty(len(given) + hops, np.int32)
        path[: len(given)] = given
        at, index = len(given) - 1, self._index
        while True:
            at = kernels.follow.run(
                index.nodes, index.pool, self._mask, self._state, path, at, len(path) - 1, self._tick
            )
            if at == len(path) - 1:
                return path
            path[at + 1] = self._smallest_step(int(path[at]))
            self._effort += _CHOICE_EFFORT
            at += 1

    def _smallest_step(self, node: int) -> int:
        row, pool, state = self._index.nodes[node], self._index.pool, self._state
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
        """Put what is left of the class of a path that was found into the queue, without that path: a class for each node where another may leave it."""
        path, spur, among = found.path, found.of.spur, found.of
        least: _Nodes = np.zeros(len(path), np.int32)
        index, self._tick = self._index, self._tick + 1
        self._effort += kernels.find_deviations.run(
            index.nodes,
            index.pool,
            self._mask,
            self._bound,
            self._state,
            path,
            among.closed,
            spur,
            self._tick,
            least,
        )
        for position in np.flatnonzero(least).tolist():
            closed = path[position + 1 : position + 2]
            if position == spur:
                closed = np.concatenate((among.closed, closed))
            self._put(_Class(path, position, np.ascontiguousarray(closed), 0), int(least[position]))
            self._effort += _QUEUE_EFFORT
