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
one. It is all zero between any two segments: ``choose`` fills it for one, ``take_lead`` clears the
entry when the slot's turn comes. So every edge is looked at twice and nothing has to be cleared.
Where a pair has several edges and one of them does not know a word, the entry is negative, and the
words are in ``scratch[MODES, node]`` and ``scratch[CRITICALITIES, node]``, which mean nothing
elsewhere. They hold *claims*: a word below the place of the edge that says it, so that the smallest
claim is right.
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

CLAIM_SHIFT, NO_CLAIM = 8, 1 << 20
"""Where the place stands in a claim, and that of an edge that does not know the word."""

NO_LEAD, LEADS_ALONE, LEADS_WITH_CLAIMS = 0, 1, 2
"""What ``take_lead`` finds; alone: the words of the pair are those of the edge."""


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


@kernel("int32(int64, int64, int64)", nogil=False)
def claim_of(flags: int, bits: int, unknown: int) -> int:
    """Return the claim of an edge with these flags: one of ``bits`` below its place."""
    place = NO_CLAIM if flags & unknown else precedence(flags) << CLAIM_SHIFT
    return place | (flags & bits)


@kernel("void(int32[:, ::1], int64, int64, int64, boolean)", nogil=False)
def note_claims(scratch: Any, neighbour: int, flags: int, its_flags: int, is_noted: bool) -> None:
    """Note the claims of an edge with ``flags``; and those of ``its_flags``, if none are noted."""
    if not is_noted:
        scratch[MODES, neighbour] = claim_of(its_flags, MODE_BITS, UNKNOWN_MODE_BIT)
        scratch[CRITICALITIES, neighbour] = claim_of(its_flags, CRITICALITY_BITS, UNKNOWN_CRITICALITY_BIT)
    mode = claim_of(flags, MODE_BITS, UNKNOWN_MODE_BIT)
    criticality = claim_of(flags, CRITICALITY_BITS, UNKNOWN_CRITICALITY_BIT)
    scratch[MODES, neighbour] = min(mode, scratch[MODES, neighbour])
    scratch[CRITICALITIES, neighbour] = min(criticality, scratch[CRITICALITIES, neighbour])


@kernel(f"void(int32[:, ::1], float64[::1], int32[:, ::1], int64, int64, {EDGES_ASKED})", nogil=False)
def choose(
    pool: Any, confidence: Any, scratch: Any, first: int, last: int, asked: tuple[int, int, float]
) -> None:
    """Note the leading edge to each neighbour in ``pool[:, first:last]``, in one segment."""
    for slot in range(first, last):
        if not passes(pool, confidence, slot, asked):
            continue
        neighbour = pool[NEIGHBOUR, slot]
        noted = scratch[LEADS, neighbour]
        if noted == 0:
            scratch[LEADS, neighbour] = slot + 1
            continue
        lead = abs(noted) - 1
        flags, its_flags = pool[FLAGS, slot], pool[FLAGS, lead]
        has_claims = noted < 0 or (flags | its_flags) & UNKNOWN_BITS != 0
        if has_claims:
            note_claims(scratch, neighbour, flags, its_flags, noted < 0)
        if precedes(pool, confidence, slot, lead):
            lead = slot
        scratch[LEADS, neighbour] = -lead - 1 if has_claims else lead + 1


@kernel("int64(int32[:, ::1], int64, int64)", nogil=False)
def take_lead(scratch: Any, neighbour: int, slot: int) -> int:
    """Return how the edge at a slot leads its pair; clears the pair's entry if it does."""
    noted = scratch[LEADS, neighbour]
    if noted == slot + 1:
        scratch[LEADS, neighbour] = 0
        return LEADS_ALONE
    if noted == -slot - 1:
        scratch[LEADS, neighbour] = 0
        return LEADS_WITH_CLAIMS
    return NO_LEAD


@kernel("int64(int32[:, ::1], int32[:, ::1], int64, int64, int64)", nogil=False)
def words_of(pool: Any, scratch: Any, neighbour: int, slot: int, taken: int) -> int:
    """Return the words of the pair that the edge at a slot leads, as ``take_lead`` found."""
    if taken == LEADS_ALONE:
        return int(pool[FLAGS, slot] & WORD_BITS)
    return int(scratch[MODES, neighbour] & MODE_BITS | scratch[CRITICALITIES, neighbour] & CRITICALITY_BITS)


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
            neighbour = pool[NEIGHBOUR, slot]
            taken = take_lead(scratch, neighbour, slot)
            if taken != NO_LEAD:
                words = words_of(pool, scratch, neighbour, slot, taken)
                if not words & unwanted:
                    mask[pool[EDGE, slot]] = words | COUNTS_BIT
                    count += 1
    return count


@kernel("void(int32[:, ::1], uint8[::1], uint8[::1])")
def leave_out(edges: Any, mask: Any, shut: Any) -> None:
    """Set ``mask[edge]`` to 0 for every edge from or to a node whose ``shut`` is not 0. O(E)."""
    for edge in range(len(mask)):
        if mask[edge] != 0 and shut[edges[edge, SOURCE]] | shut[edges[edge, TARGET]] != 0:
            mask[edge] = 0
