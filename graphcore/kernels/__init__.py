"""
Kernels over the arrays of the traversal index.

See ``graphcore.compiling`` for what a kernel may be written in.

Where things stand in these arrays:

``nodes[node, side + …]``: a node has two segments of the pool, one a side: OUT for the edges it is
the source of, IN for those it is the target of. ``pool[…, slot]``: one entry of a segment.
``edges[edge, …]``: an edge and the two entries that stand for it.
"""

OUT, IN = 0, 4
START, FRESH, COUNT, CAPACITY = 0, 1, 2, 3
NODE_COLUMNS = 8

NEIGHBOUR, EDGE, FLAGS = 0, 1, 2
POOL_ROWS = 3

SOURCE, TARGET, OUT_SLOT, IN_SLOT = 0, 1, 2, 3
EDGE_COLUMNS = 4
NO_EDGE = -1
"""The SOURCE of an index that no edge has."""

STALE_BIT = 4096
"""``EdgeFlag.STALE`` as a plain number, which is what kernels can read."""

MODE_BITS, UNKNOWN_MODE_BIT = 7, 4
CRITICALITY_BITS, UNKNOWN_CRITICALITY_BIT = 120, 64
WORD_BITS, UNKNOWN_BITS = 127, 68
"""``EdgeFlag`` of modes, of criticalities, and of both: the *words* of an edge or a pair."""

COUNTS_BIT = 128
"""In the byte that a mask has for an edge: the edge counts; its words stand beside."""

LEVEL_SHIFT = 14
LEVELS = 1 << 16
"""
In the FLAGS of an entry, the edge's confidence stands above its flags: in 65,536ths, rounded down.
So a walk hardly ever reads ``confidence``, which would be a wait for memory at every edge.
"""

USED, GARBAGE = 0, 1
"""The ledger of the pool: how far it is given out, and how much of that belongs to no segment."""

LEAST_CAPACITY = 4

# The walks, and their rows of the scratch array: ``scratch[MARKS + walk, node]`` and so on.
DOWN, UP, BOTH = 0, 1, 2
LEADS, MODES, CRITICALITIES, MARKS, ENDS, ANSWER = 0, 1, 2, 3, 6, 9
SCRATCH_ROWS = 10

SHUT = 2**31 - 1
"""In the MARKS of a node: no walk reaches it. The caller sets it before a walk, and clears it."""

FETCHED, TICK, DEPTHS, NODE_COUNT, EDGE_COUNT, TRUNCATED, SHUTS, COUNTS = 0, 1, 2, 4, 5, 6, 7, 8
"""
Columns of ``scratch[ANSWER]``.

A number of no meaning; then of the last walk: its tick; how deep it went down and up; how many
nodes it found, the start included; how many edges it crossed; whether a limit left any nodes out;
whether any marks are SHUT, which the caller says.
From COUNTS on, how many nodes are at depth 1, 2, …
"""
