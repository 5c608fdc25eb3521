"""
Kernels that say which edges a question is about, for walks, and mark them all, for analyses.

A question about *edges* is ``blocked`` (the flags that keep an edge out, staleness aside),
``floor`` (the least confidence; ``level`` is the same in levels) and ``whole`` (whether stale edges
count).

A question about *pairs* of services looks at one edge for each pair: the *leading* one of those
that take part. Several edges between two services come from several discovery sources. An edge
takes part when it passes the question about edges; there ``blocked`` holds the flags of the sources
that don't count. The leading edge comes first of these: fresh before stale, then by source, then by
higher confidence, then by lower index (the database has one edge for each pair and source, so that
the last two decide nothing there).

The *words* of a pair are its mode and its criticality: each is that of the first edge in this order
that knows it, and unknown if none does. ``unwanted`` are the words that keep a pair out: what the
filter says of modes and criticalities.

``scratch[LEADS, node]`` is the slot, + 1, of the leading edge between the node at hand and this
one. Where that edge does not know the mode, ``scratch[MODES, node]`` is the slot, + 1, of the first
one that does, 0 if there is none; so is ``scratch[CRITICALITIES, node]``. The rows are all zero
between any two segments: ``choose`` fills them for one, ``take_lead`` clears the entries when the
slot's turn comes. So every edge is looked at twice and nothing has to be cleared.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels import (
    COUNT,
    COUNTS_BIT,
    CRITICALITIES,
    CRITICALITY_BITS,
    EDGE,
    FLAGS,
    FRESH,
    LEADS,
    LEVEL_SHIFT,
    LEVELS,
    MODE_BITS,
    MODES,
    NEIGHBOUR,
    OUT,
    SOURCE,
    STALE_BIT,
    START,
    TARGET,
    UNKNOWN_BITS,
    UNKNOWN_CRITICALITY_BIT,
    UNKNOWN_MODE_BIT,
    WORD_BITS,
)

EDGES_ASKED = "Tuple((int64, int64, float64))"
"""Type of ``(blocked, level, floor)``, a question about edges, for signatures."""

MANUAL_BIT, OTEL_BIT, MESH_BIT, CATALOG_BIT, SOURCE_BITS = 128, 256, 1024, 2048, 3968
"""
``EdgeFlag.MANUAL``, ``OTEL_SERVICE_GRAPH``, ``SERVICE_MESH`` and ``CATALOG``, and
``flags.SOURCES``, as plain numbers.
"""


@kernel(f"{EDGES_ASKED}(int64, boolean, float64)", nogil=False)
def edges_asked(blocked: int, by_pair: bool, floor: float) -> tuple[int, int, float]:
    """Return the question about edges; which of these lead a pair depends on sources only."""
    return blocked & SOURCE_BITS if by_pair else blocked, level_of(floor), floor


@kernel("int64(float64)", nogil=False)
def level_of(floor: float) -> int:
    """Return the least confidence in levels, rounded up."""
    level = int(floor * LEVELS)
    return level + 1 if level < floor * LEVELS else level


@kernel(f"boolean(int32[:, ::1], float64[::1], int64, {EDGES_ASKED})", nogil=False)
def passes(pool: Any, confidence: Any, slot: int, asked: tuple[int, int, float]) -> bool:
    """Return whether the edge at a slot passes a question about edges; stale ones may, too."""
    blocked, level, floor = asked
    flags = pool[FLAGS, slot]
    if flags & blocked:
        return False
    above = (flags >> LEVEL_SHIFT) - level
    # Only an edge whose confidence lies in the same level as the floor has to be looked at in full.
    return bool(above >= 0 or (above == -1 and confidence[pool[EDGE, slot]] >= floor))


@kernel("int64(int64)", nogil=False)
def precedence(flags: int) -> int:
    """Return the place of an edge with these flags in the order: lower ones come first."""
    place = 4
    if flags & MANUAL_BIT:
        place = 0
    elif flags & CATALOG_BIT:
        place = 1
    elif flags & MESH_BIT:
        place = 2
    elif flags & OTEL_BIT:
        place = 3
    return place + 5 if flags & STALE_BIT else place


@kernel("boolean(int32[:, ::1], float64[::1], int64, int64)", nogil=False)
def precedes(pool: Any, confidence: Any, slot: int, other: int) -> bool:
    """Return whether the edge at one slot comes before the edge at another."""
    place, its_place = precedence(pool[FLAGS, slot]), precedence(pool[FLAGS, other])
    if place != its_place:
        return bool(place < its_place)
    edge, its_edge = pool[EDGE, slot], pool[EDGE, other]
    if confidence[edge] != confidence[its_edge]:
        return bool(confidence[edge] > confidence[its_edge])
    return bool(edge < its_edge)


@kernel("void(int32[:, ::1], float64[::1], int32[:, ::1], int64, int64, int64)", nogil=False)
def note_words(pool: Any, confidence: Any, scratch: Any, neighbour: int, lead: int, behind: int) -> None:
    """Note which edge of a pair knows what the leading one does not; ``behind``: another one."""
    for row, unknown in ((MODES, UNKNOWN_MODE_BIT), (CRITICALITIES, UNKNOWN_CRITICALITY_BIT)):
        if not pool[FLAGS, lead] & unknown:
            scratch[row, neighbour] = 0
        elif not pool[FLAGS, behind] & unknown:
            noted = scratch[row, neighbour] - 1
            if noted < 0 or precedes(pool, confidence, behind, noted):
                scratch[row, neighbour] = behind + 1


@kernel(f"void(int32[:, ::1], float64[::1], int32[:, ::1], int64, int64, {EDGES_ASKED})", nogil=False)
def choose(
    pool: Any, confidence: Any, scratch: Any, first: int, last: int, asked: tuple[int, int, float]
) -> None:
    """Note the leading edge to each neighbour in ``pool[:, first:last]``, in one segment."""
    for slot in range(first, last):
        if not passes(pool, confidence, slot, asked):
            continue
        neighbour = pool[NEIGHBOUR, slot]
        lead, behind = scratch[LEADS, neighbour] - 1, slot
        if lead < 0 or precedes(pool, confidence, slot, lead):
            scratch[LEADS, neighbour] = slot + 1
            lead, behind = slot, lead
        if behind >= 0 and (pool[FLAGS, lead] | pool[FLAGS, behind]) & UNKNOWN_BITS:
            note_words(pool, confidence, scratch, neighbour, lead, behind)


@kernel("int64(int32[:, ::1], int32[:, ::1], int64, int64)", nogil=False)
def take_lead(pool: Any, scratch: Any, neighbour: int, slot: int) -> int:
    """
    Return the words of the pair that the edge at a slot leads; -1 if it leads none.

    Clears the pair's entries if it leads.
    """
    if scratch[LEADS, neighbour] != slot + 1:
        return -1
    scratch[LEADS, neighbour] = 0
    words = pool[FLAGS, slot] & WORD_BITS
    if words & UNKNOWN_MODE_BIT and scratch[MODES, neighbour] > 0:
        words = words & ~MODE_BITS | pool[FLAGS, scratch[MODES, neighbour] - 1] & MODE_BITS
        scratch[MODES, neighbour] = 0
    if words & UNKNOWN_CRITICALITY_BIT and scratch[CRITICALITIES, neighbour] > 0:
        knows = pool[FLAGS, scratch[CRITICALITIES, neighbour] - 1]
        words = words & ~CRITICALITY_BITS | knows & CRITICALITY_BITS
        scratch[CRITICALITIES, neighbour] = 0
    return int(words)


@kernel("int64(int32[:, ::1], int32[:, ::1], float64[::1], uint8[::1], int64, boolean, float64)")
def mark_passing(
    nodes: Any, pool: Any, confidence: Any, mask: Any, blocked: int, whole: bool, floor: float
) -> int:
    """
    Set ``mask[edge]`` for every edge that passes the filter; returns how many do.

    To its words and COUNTS_BIT.

    Each edge stands once in a segment of its source, so that going over these reads the pool in the
    order in which it lies.
    """
    part = COUNT if whole else FRESH
    asked = edges_asked(blocked, False, floor)
    checked = asked[0] != 0 or asked[1] > 0
    count = 0
    for node in range(len(nodes)):
        first = nodes[node, OUT + START]
        for slot in range(first, first + nodes[node, OUT + part]):
            if checked and not passes(pool, confidence, slot, asked):
                continue
            mask[pool[EDGE, slot]] = pool[FLAGS, slot] & WORD_BITS | COUNTS_BIT
            count += 1
    return count


@kernel(
    "int64(int32[:, ::1], int32[:, ::1], float64[::1], int32[:, ::1], uint8[::1], int64, boolean, float64)"
)
def mark_effective(
    nodes: Any,
    pool: Any,
    confidence: Any,
    scratch: Any,
    mask: Any,
    blocked: int,
    whole: bool,
    floor: float,
) -> int:
    """
    Set ``mask[edge]`` for the leading edge of every pair, unless the pair is unwanted.

    To the words of the pair and COUNTS_BIT. Returns how many. Uses the rows LEADS, MODES and
    CRITICALITIES of ``scratch``.
    """
    part = COUNT if whole else FRESH
    asked = edges_asked(blocked, True, floor)
    unwanted = blocked - asked[0]
    count = 0
    for node in range(len(nodes)):
        first = nodes[node, OUT + START]
        last = first + nodes[node, OUT + part]
        choose(pool, confidence, scratch, first, last, asked)
        for slot in range(first, last):
            words = take_lead(pool, scratch, pool[NEIGHBOUR, slot], slot)
            if words >= 0 and not words & unwanted:
                mask[pool[EDGE, slot]] = words | COUNTS_BIT
                count += 1
    return count


@kernel("void(int32[:, ::1], uint8[::1], uint8[::1])")
def leave_out(edges: Any, mask: Any, shut: Any) -> None:
    """Set ``mask[edge]`` to 0 for every edge from or to a node whose ``shut`` is not 0. O(E)."""
    for edge in range(len(mask)):
        if mask[edge] != 0 and shut[edges[edge, SOURCE]] | shut[edges[edge, TARGET]] != 0:
            mask[edge] = 0
