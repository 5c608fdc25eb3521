"""
Kernels that build the arrays of the traversal index at once, for graphs read as a whole.

Invariants: those of ``adjacency``.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.adjacency import put_entry, with_level
from graphcore.kernels.layout import (
    CAPACITY,
    COUNT,
    FRESH,
    IN,
    LEAST_CAPACITY,
    NODE_COLUMNS,
    OUT,
    SOURCE,
    START,
    TARGET,
)


@kernel("int64(int32[:, ::1], int32[:, ::1], int64)")
def plan(nodes: Any, edges: Any, edge_count: int) -> int:
    """
    Give every node empty segments large enough for the first ``edge_count`` edges.

    All columns of the nodes must be 0. Returns how many entries the segments take.
    """
    for edge in range(edge_count):
        nodes[edges[edge, SOURCE], OUT + COUNT] += 1
        nodes[edges[edge, TARGET], IN + COUNT] += 1
    end = 0
    for node in range(nodes.shape[0]):
        for side in range(OUT, NODE_COLUMNS, IN - OUT):
            count = nodes[node, side + COUNT]
            capacity = 0
            if count:
                capacity = LEAST_CAPACITY
                while capacity < count:
                    capacity *= 2
            # Walks read the first entry even of a segment without room, see ``adjacency.compact``.
            nodes[node, side + START] = end if capacity else 0
            nodes[node, side + CAPACITY] = capacity
            nodes[node, side + FRESH] = 0
            nodes[node, side + COUNT] = 0
            end += capacity
    return end


@kernel("void(int32[:, ::1], int32[:, ::1], int32[:, ::1], float64[::1], int32[::1])")
def fill(nodes: Any, pool: Any, edges: Any, confidence: Any, flags: Any) -> None:
    """Put the first edges, one for each of ``flags``, into the segments planned for them."""
    for edge in range(flags.shape[0]):
        source, target = edges[edge, SOURCE], edges[edge, TARGET]
        word = with_level(flags[edge], confidence[edge])
        put_entry(nodes, pool, edges, source, OUT, edge, target, word)
        put_entry(nodes, pool, edges, target, IN, edge, source, word)
