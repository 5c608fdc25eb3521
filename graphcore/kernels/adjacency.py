"""
Kernels that keep the arrays of the traversal index right, edge by edge, or build them at once.

Invariants, between any two calls:

1. A node's segment is ``pool[:, START : START + CAPACITY]``; its first ``COUNT`` entries hold
   edges, the rest is room. Segments never overlap, and ``CAPACITY`` is 0 or a power of two, at
   least ``LEAST_CAPACITY``.
2. The first ``FRESH`` entries of a segment are the edges that are not stale, the others are stale:
   ``FLAGS`` says so too.
3. An edge stands in exactly two entries: one of its source's OUT segment, at ``OUT_SLOT``, whose
   NEIGHBOUR is its target, and one of its target's IN segment, at ``IN_SLOT``, whose NEIGHBOUR is
   its source. Both hold its index, and its flags with its confidence (see ``LEVEL_SHIFT``).
4. ``USED`` = the capacities of all segments + ``GARBAGE``, at most the length of the pool.
5. ``SOURCE`` is ``NO_EDGE`` for every index that is no edge.

Entries have no order but for (2): taking one out moves at most two others.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import (
    CAPACITY,
    COUNT,
    EDGE,
    FLAGS,
    FRESH,
    GARBAGE,
    IN,
    IN_SLOT,
    LEAST_CAPACITY,
    LEVEL_SHIFT,
    LEVELS,
    NEIGHBOUR,
    NO_EDGE,
    NODE_COLUMNS,
    OUT,
    OUT_SLOT,
    SOURCE,
    STALE_BIT,
    START,
    TARGET,
    USED,
)


@kernel("void(int32[:, ::1], int32[:, ::1], int64, int64, int64)")
def move_entry(pool: Any, edges: Any, slot: int, former: int, place: int) -> None:
    """
    Copy the entry at ``former`` to ``place``, and update its edge's slot.

    ``slot``: the column of the edge's slots of this side.
    """
    edge = pool[EDGE, former]
    pool[NEIGHBOUR, place] = pool[NEIGHBOUR, former]
    pool[EDGE, place] = edge
    pool[FLAGS, place] = pool[FLAGS, former]
    edges[edge, slot] = place


@kernel("boolean(int32[:, ::1], int32[:, ::1], int32[:, ::1], int64[::1], int64, int64)")
def make_room(nodes: Any, pool: Any, edges: Any, ledger: Any, node: int, side: int) -> bool:
    """
    Ensure that a segment has room for one more entry; False = the pool is full.

    Moves it to the end of the pool if it has none.
    """
    start, count = nodes[node, side + START], nodes[node, side + COUNT]
    capacity = nodes[node, side + CAPACITY]
    if count < capacity:
        return True
    wanted = max(2 * capacity, LEAST_CAPACITY)
    end = ledger[USED]
    if end + wanted > pool.shape[1]:
        return False
    slot = OUT_SLOT if side == OUT else IN_SLOT
    for entry in range(count):
        move_entry(pool, edges, slot, start + entry, end + entry)
    nodes[node, side + START] = end
    nodes[node, side + CAPACITY] = wanted
    ledger[USED] = end + wanted
    ledger[GARBAGE] += capacity
    return True


@kernel("void(int32[:, ::1], int32[:, ::1], int32[:, ::1], int64, int64, int64, int64, int64)")
def put_entry(
    nodes: Any, pool: Any, edges: Any, node: int, side: int, edge: int, neighbour: int, flags: int
) -> None:
    """
    Put an edge into a segment that has room.

    An edge that is not stale takes the place of the first stale one, which goes to the end.
    """
    slot = OUT_SLOT if side == OUT else IN_SLOT
    place = nodes[node, side + START] + nodes[node, side + COUNT]
    nodes[node, side + COUNT] += 1
    if not flags & STALE_BIT:
        first_stale = nodes[node, side + START] + nodes[node, side + FRESH]
        nodes[node, side + FRESH] += 1
        if first_stale != place:
            move_entry(pool, edges, slot, first_stale, place)
            place = first_stale
    pool[NEIGHBOUR, place] = neighbour
    pool[EDGE, place] = edge
    pool[FLAGS, place] = flags
    edges[edge, slot] = place


@kernel("void(int32[:, ::1], int32[:, ::1], int32[:, ::1], int64, int64, int64)")
def take_entry(nodes: Any, pool: Any, edges: Any, node: int, side: int, place: int) -> None:
    """
    Take the entry at ``place`` out of a segment.

    The last entry of its part fills the gap, and the last stale one the gap of that.
    """
    slot = OUT_SLOT if side == OUT else IN_SLOT
    start = nodes[node, side + START]
    if not pool[FLAGS, place] & STALE_BIT:
        nodes[node, side + FRESH] -= 1
        last_fresh = start + nodes[node, side + FRESH]
        if place != last_fresh:
            move_entry(pool, edges, slot, last_fresh, place)
        place = last_fresh
    nodes[node, side + COUNT] -= 1
    last = start + nodes[node, side + COUNT]
    if place != last:
        move_entry(pool, edges, slot, last, place)


@kernel("int64(int64, float64)")
def with_level(flags: int, confidence: float) -> int:
    """Put a confidence, rounded down, above flags."""
    level = 0
    if confidence >= 1.0:
        level = LEVELS
    elif confidence > 0.0:
        level = int(confidence * LEVELS)
    return flags + (level << LEVEL_SHIFT)


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], int32[:, ::1], float64[::1], int64[::1], int32[:, ::1], "
    "float64[::1], int64)"
)
def link(
    nodes: Any,
    pool: Any,
    edges: Any,
    confidence: Any,
    ledger: Any,
    batch: Any,
    batch_confidence: Any,
    begin: int,
) -> int:
    """
    Add the edges of ``batch`` (rows: edge, source, target, flags.

    A column an edge) from column ``begin`` on.

    Returns how many columns are done: fewer than there are when an array is too short, and then
    nothing of the next one is linked.
    """
    for column in range(begin, batch.shape[1]):
        edge, source, target = batch[0, column], batch[1, column], batch[2, column]
        if edge >= len(edges) or source >= len(nodes) or target >= len(nodes):
            return column
        if not make_room(nodes, pool, edges, ledger, source, OUT):
            return column
        if not make_room(nodes, pool, edges, ledger, target, IN):
            return column
        edges[edge, SOURCE] = source
        edges[edge, TARGET] = target
        confidence[edge] = batch_confidence[column]
        flags = with_level(batch[3, column], batch_confidence[column])
        put_entry(nodes, pool, edges, source, OUT, edge, target, flags)
        put_entry(nodes, pool, edges, target, IN, edge, source, flags)
    return int(batch.shape[1])


@kernel("void(int32[:, ::1], int32[:, ::1], int32[:, ::1], int32[::1])")
def unlink(nodes: Any, pool: Any, edges: Any, batch: Any) -> None:
    """Take the edges of ``batch`` out."""
    for edge in batch:
        take_entry(nodes, pool, edges, edges[edge, SOURCE], OUT, edges[edge, OUT_SLOT])
        take_entry(nodes, pool, edges, edges[edge, TARGET], IN, edges[edge, IN_SLOT])
        edges[edge, SOURCE] = NO_EDGE


@kernel("void(int32[:, ::1], int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], float64[::1])")
def reflag(nodes: Any, pool: Any, edges: Any, confidence: Any, batch: Any, batch_confidence: Any) -> None:
    """
    Give the edges of ``batch`` (rows: edge, flags) other flags and confidences.

    One that turns stale or fresh changes sides.
    """
    for column in range(batch.shape[1]):
        edge, flags = batch[0, column], with_level(batch[1, column], batch_confidence[column])
        source, target = edges[edge, SOURCE], edges[edge, TARGET]
        out_slot, in_slot = edges[edge, OUT_SLOT], edges[edge, IN_SLOT]
        confidence[edge] = batch_confidence[column]
        if (pool[FLAGS, out_slot] ^ flags) & STALE_BIT:
            take_entry(nodes, pool, edges, source, OUT, out_slot)
            take_entry(nodes, pool, edges, target, IN, in_slot)
            put_entry(nodes, pool, edges, source, OUT, edge, target, flags)
            put_entry(nodes, pool, edges, target, IN, edge, source, flags)
        else:
            pool[FLAGS, out_slot] = flags
            pool[FLAGS, in_slot] = flags


@kernel("void(int32[:, ::1], int32[:, ::1], int32[:, ::1], int64[::1], int32[:, ::1])")
def compact(nodes: Any, pool: Any, edges: Any, ledger: Any, room: Any) -> None:
    """
    Copy every segment to ``room``, one behind the other.

    ``room`` is a pool of at least as many entries. Leaves as little spare room as (1) allows.
    """
    end = 0
    for node in range(nodes.shape[0]):
        for side in range(OUT, NODE_COLUMNS, IN - OUT):
            slot = OUT_SLOT if side == OUT else IN_SLOT
            start, count = nodes[node, side + START], nodes[node, side + COUNT]
            for entry in range(count):
                edge = pool[EDGE, start + entry]
                room[NEIGHBOUR, end + entry] = pool[NEIGHBOUR, start + entry]
                room[EDGE, end + entry] = edge
                room[FLAGS, end + entry] = pool[FLAGS, start + entry]
                edges[edge, slot] = end + entry
            capacity = 0
            if count:
                capacity = LEAST_CAPACITY
                while capacity < count:
                    capacity *= 2
            # A segment without room starts somewhere inside of the pool too: walks fetch first
            # entries without asking for the count.
            nodes[node, side + START] = end if capacity else 0
            nodes[node, side + CAPACITY] = capacity
            end += capacity
    ledger[USED] = end
    ledger[GARBAGE] = 0


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
            # Walks read the first entry even of a segment without room, see ``compact``.
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
