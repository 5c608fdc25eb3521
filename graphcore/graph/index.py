"""The adjacency of a digraph as arrays, and the scratch arrays that walks over it use."""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from graphcore import kernels as at
from graphcore.graph.columns import grown
from graphcore.kernels import adjacency

Nodes: TypeAlias = NDArray[np.int64]
# Nodes and edges of answers that share a queue, so that there are few allocations: 256 KB. The last
# answer may be longer, and each of them keeps the whole queue alive.
_ANSWERS = 1 << 16


class WalkScratch:
    """
    Arrays that walks use and leave their answer in, so that none has to allocate and clear them.

    ``graphcore.kernels.walking`` describes ``rows`` and ``queue``; ``answer`` is the ANSWER row.
    Only one walk may run at a time. What it found stays in ``queue``, where its answer refers to
    it: the next walk begins at ``used``, behind that. If ``used`` is more than ``last``, call
    ``renew`` first.
    """

    __slots__ = ("_edge_count", "answer", "last", "queue", "rows", "used")

    def __init__(self, node_count: int, edge_count: int) -> None:
        # Fast: zeroed memory is not touched before its first use.
        self.rows: NDArray[np.int32] = np.zeros((at.SCRATCH_ROWS, node_count + at.COUNTS + 1), np.int32)
        # To read a few numbers from a memoryview takes half as long as from an array.
        self.answer = memoryview(self.rows[at.ANSWER])
        self.last = _ANSWERS
        self._edge_count = edge_count
        self.renew()

    def shut(self, nodes: Nodes, start: int) -> None:
        """Let the next walk, from ``start``, reach none of these nodes. O(their number)."""
        self.rows[at.MARKS + at.DOWN, nodes] = self.rows[at.MARKS + at.UP, nodes] = at.SHUT
        self.rows[at.MARKS + at.DOWN, start] = self.rows[at.MARKS + at.UP, start] = 0
        self.answer[at.SHUTS] = 1

    def open(self, nodes: Nodes) -> None:
        """Let walks reach these nodes again, the start of the last one, too."""
        self.rows[at.MARKS + at.DOWN, nodes] = self.rows[at.MARKS + at.UP, nodes] = 0
        self.answer[at.SHUTS] = 0

    def renew(self) -> None:
        """Begin a new queue; behind ``last`` is room for all nodes, thrice, and all edges."""
        length = self.last + 3 * self.rows.shape[1] + self._edge_count
        self.queue: NDArray[np.int32] = np.empty(length, np.int32)
        self.used = 0


Numbers: TypeAlias = NDArray[np.int32]
Indices: TypeAlias = Sequence[int] | Numbers | NDArray[np.int64]
Reals: TypeAlias = Sequence[float] | NDArray[np.float64]

# Pool entries that an edge takes at most, but for hubs; these need less than a 2**_ROOM_SHIFT-th.
_ROOM_AN_EDGE, _ROOM_SHIFT = 16, 4
# Edges that ``edge_bound`` reads at a time.
_LOOK = 16_384
_LEAST_NODES, _LEAST_EDGES, _LEAST_POOL = 64, 64, 256


class TraversalIndex:
    """
    The adjacency of a rustworkx digraph in both directions, by its indices.

    ``graphcore.kernels`` describes the arrays, its ``adjacency`` their
    invariants. All are C-contiguous. They are replaced when they grow, so look them up at every
    call. Trusts its caller that indices, ends and flags fit. Change it from one thread only.
    """

    __slots__ = ("confidence", "edges", "ledger", "nodes", "pool", "walks")

    def __init__(self) -> None:
        self.nodes: NDArray[np.int32] = np.zeros((_LEAST_NODES, at.NODE_COLUMNS), np.int32)
        self.pool: NDArray[np.int32] = np.empty((at.POOL_ROWS, _LEAST_POOL), np.int32)
        self.edges: NDArray[np.int32] = np.full((_LEAST_EDGES, at.EDGE_COLUMNS), at.NO_EDGE, np.int32)
        self.confidence: NDArray[np.float64] = np.empty(_LEAST_EDGES, np.float64)
        self.ledger: NDArray[np.int64] = np.zeros(2, np.int64)
        self.walks = WalkScratch(_LEAST_NODES, _LEAST_EDGES)

    @classmethod
    def built(
        cls, node_count: int, ends: Numbers, flags: Numbers, confidences: NDArray[np.float64]
    ) -> "TraversalIndex":
        """
        Build the index of a graph with edges 0, 1, …, whose ``ends`` are (source, target) rows.

        O(V + E), a tenth of the time that linking takes. Compiled, it lets other threads run.
        """
        index, edge_count = cls(), len(flags)
        index.cover(node_count)
        index._cover_edges(edge_count)
        index.edges[:edge_count, : at.OUT_SLOT] = ends
        index.confidence[:edge_count] = confidences
        used = adjacency.plan.run(index.nodes, index.edges, edge_count)
        index.pool = np.empty((at.POOL_ROWS, _roomy(used, 0)), np.int32)
        index.ledger[at.USED] = used
        adjacency.fill.run(index.nodes, index.pool, index.edges, index.confidence, flags)
        return index

    @property
    def arrays(self) -> tuple[Numbers, Numbers, NDArray[np.float64]]:
        """``nodes``, ``pool`` and ``confidence``, with which most kernels begin."""
        return self.nodes, self.pool, self.confidence

    @property
    def edge_bound(self) -> int:
        """One more than the highest index of an edge. O(unused indices above it)."""
        for end in range(len(self.edges), 0, -_LOOK):
            start = max(end - _LOOK, 0)
            used = np.flatnonzero(self.edges[start:end, at.SOURCE] != at.NO_EDGE)
            if len(used):
                return start + int(used[-1]) + 1
        return 0

    def is_cramped(self, edge_count: int, more: int) -> bool:
        """Whether ``more`` edges may make an array grow, which takes long if it is large."""
        length = self.pool.shape[1]
        wanted = max(_ROOM_AN_EDGE * more, length >> _ROOM_SHIFT)
        return edge_count + more > len(self.edges) or int(self.ledger[at.USED]) + wanted > length

    def roomier(self, edge_count: int, more: int) -> "TraversalIndex":
        """
        Copy the index, compacted, with room for ``more`` edges in addition to ``edge_count``.

        Nothing may change meanwhile. O(V + E); compiled, it lets other threads run.
        """
        copy = TraversalIndex()
        live = int(self.ledger[at.USED] - self.ledger[at.GARBAGE])
        end = self.edge_bound
        copy.cover(len(self.nodes))
        copy._cover_edges(_with_spare(max(end, edge_count + more)))
        copy.nodes[: len(self.nodes)] = self.nodes
        copy.edges[:end] = self.edges[:end]
        copy.confidence[:end] = self.confidence[:end]
        copy.pool = np.empty((at.POOL_ROWS, _roomy(live, more)), np.int32)
        copy.ledger[:] = self.ledger
        adjacency.compact.run(copy.nodes, self.pool, copy.edges, copy.ledger, copy.pool)
        return copy

    def become(self, roomier: "TraversalIndex") -> None:
        """Take over the arrays of a copy. O(1)."""
        for name in TraversalIndex.__slots__:
            setattr(self, name, getattr(roomier, name))

    def cover(self, node_count: int) -> None:
        """Make room for nodes with indices below ``node_count``. Amortised O(1) a node."""
        if node_count > len(self.nodes):
            former = len(self.nodes)
            self.nodes = grown(self.nodes, node_count)
            self.nodes[former:] = 0
            self.walks = WalkScratch(len(self.nodes), len(self.edges))

    def link(
        self, edges: Indices, sources: Indices, targets: Indices, flags: Indices, confidences: Reals
    ) -> None:
        """Add edges; their indices must be free. Amortised O(1) each."""
        if not len(edges):
            return
        batch = np.array((edges, sources, targets, flags), np.int32)
        batch_confidences = np.ascontiguousarray(confidences, np.float64)
        done = 0
        while done < len(edges):
            kept = self.nodes, self.pool, self.edges, self.confidence, self.ledger
            done = adjacency.link.run(*kept, batch, batch_confidences, done)
            if done < len(edges):
                self._make_room(batch)

    def unlink(self, edges: Indices) -> None:
        """Remove edges, which must exist. O(1) each."""
        adjacency.unlink.run(self.nodes, self.pool, self.edges, np.ascontiguousarray(edges, np.int32))

    def reflag(self, edges: Indices, flags: Indices, confidences: Reals) -> None:
        """Set the flags and confidences of edges. O(1) each."""
        batch = np.array((edges, flags), np.int32)
        batch_confidences = np.ascontiguousarray(confidences, np.float64)
        adjacency.reflag.run(self.nodes, self.pool, self.edges, self.confidence, batch, batch_confidences)

    def forget_node(self, node: int) -> None:
        """Free the segments of a node without edges, so that its index can be reused. O(1)."""
        row = self.nodes[node]
        self.ledger[at.GARBAGE] += row[at.OUT + at.CAPACITY] + row[at.IN + at.CAPACITY]
        row[:] = 0

    def _make_room(self, batch: NDArray[np.int32]) -> None:
        """Lengthen the arrays that are too short to link a batch of edges."""
        self.cover(int(batch[1:3].max()) + 1)
        edge_count = int(batch[0].max()) + 1
        if edge_count > len(self.edges):
            self._cover_edges(edge_count)
        else:
            self._make_pool_room()

    def _cover_edges(self, edge_count: int) -> None:
        """Make room for edges with indices below ``edge_count``."""
        former = len(self.edges)
        if edge_count > former:
            self.edges = grown(self.edges, edge_count)
            self.edges[former:, at.SOURCE] = at.NO_EDGE
            self.confidence = grown(self.confidence, edge_count)
            self.walks = WalkScratch(len(self.nodes), len(self.edges))

    def _make_pool_room(self) -> None:
        """Compact the pool if more than half of it is garbage, else double it. O(V + E)."""
        length = self.pool.shape[1]
        if 2 * self.ledger[at.GARBAGE] > length:
            room = np.empty_like(self.pool)
            adjacency.compact.run(self.nodes, self.pool, self.edges, self.ledger, room)
        else:
            used = int(self.ledger[at.USED])
            room = np.empty((at.POOL_ROWS, 2 * length), np.int32)
            room[:, :used] = self.pool[:, :used]
        self.pool = room


def _roomy(live: int, more: int) -> int:
    """Length of a pool with ``live`` used entries and room for ``more`` edges."""
    return max(_LEAST_POOL, _with_spare(live) + 2 * _ROOM_AN_EDGE * more)


def _with_spare(length: int) -> int:
    return length + length // 4
