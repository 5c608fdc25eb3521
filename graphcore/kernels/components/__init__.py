"""
Kernels that keep strongly connected components while edges come and go.

Start reading at ``update``. A lost edge can only split its component (``split``, with ``reach`` and
``parts``). A gained edge can only merge components, and only if it leads back in their order
(``merge``, with ``chain`` and ``orders``). ``full`` finds all components of a graph.

The constants are the rows and columns of the arrays. A component has a number, its *label*; labels
of components that are gone are used again. ``state`` has a column for every node and for every
possible label, and a row for each property. ``lists`` has a column for each unit of work that one
update may do.
"""

LABEL, NEXT, PREVIOUS = 0, 1, 2
"""By node: the component it is in, and its neighbours in the ring of that component's members."""

HEAD, SIZE, EDGES = 3, 4, 5
"""
By label: any member; the number of members (0: the label is free); the number of edges between
members that count, parallel edges included.
"""

FREE = 6
"""The first FREE_COUNT entries are the labels that no component has."""

QUEUE, MARK, CHAIN, CHAINED, LOCAL = 7, 9, 11, 13, 14
"""
Scratch rows of searches.

QUEUE, MARK and CHAIN have two rows each, one a side: FORWARD along the edges, BACKWARD against
them. A node or label counts as marked while its mark equals the stamp of the search. LOCAL is -1
everywhere between two calls.
"""

STATE_ROWS = 15
NO_LABEL, NO_NODE = -1, -1
"""The LABEL of an index that no node has; no node at all."""

FORWARD, BACKWARD = 0, 1
SIDE_COLUMNS = 4
"""How far the columns of the two sides of a node lie apart in ``nodes``."""

FREE_COUNT, STAMP, WORK, MOVED, PENDING, LISTED = 0, 1, 2, 3, 4, 5
"""
``counters``.

STAMP: the greatest mark given so far; WORK: how many visits of nodes and edges may still be made;
MOVED and PENDING: how many columns of these rows of ``lists`` are in use; LISTED: how many nodes
the last search left in its queue.
"""

TAIL, TAKEN, SPENT, MEMBER, GOAL, NEAREST, LINKED = 6, 8, 10, 12, 14, 16, 18
COUNTERS = 20
"""
Counters of a search, two each, one a side.

TAIL and TAKEN: the ends of its queue; SPENT: its visits; MEMBER: the node that is next; GOAL: the
label it looks for; NEAREST: the label of the nearest order beyond its limit; LINKED: the length of
its CHAIN.
"""

MOVED_NODE, MOVED_FROM, PENDING_SOURCE, PENDING_TARGET = 0, 1, 2, 3
"""
Rows of ``lists``.

MOVED_NODE, MOVED_FROM: nodes that changed their component, with the label that they had.
PENDING_SOURCE, PENDING_TARGET: pairs that are still to be processed.
"""

LOCAL_START, LOCAL_TARGET, LOCAL_WORK = 4, 5, 6
"""
Rows of ``lists`` for a search of a part of the graph.

LOCAL_START, LOCAL_TARGET: its compressed rows. From LOCAL_WORK on: the rows of ``work``.
"""

SEQUENCE, ENDS, GROUP, PATH, CURSOR, ENTERED, INSIDE, HEIGHT = 0, 1, 2, 3, 4, 5, 6, 7
WORK_ROWS = 8
LIST_ROWS = LOCAL_WORK + WORK_ROWS
"""
Rows of ``work``, which ``full`` uses.

Its results: SEQUENCE has all nodes, component by component, and no component calls a later one. By
component: where it ENDS in SEQUENCE, the number of edges INSIDE it, and its HEIGHT. By node: its
GROUP, the number of its component. PATH, CURSOR and ENTERED are scratch rows of the search.
"""

DONE, OVER = 0, 1
"""
What kernels return.

OVER: the kernel gave up, because it takes more work than allowed or orders lie too close. Then
``state`` is invalid.
"""

GRAPH = "int32[:, ::1], int32[:, ::1], float64[::1], float64"
"""Types of nodes, pool, confidence and the least confidence that counts, for signatures."""

KEPT = "int32[:, ::1], float64[::1], int64[::1], int32[:, ::1]"
"""Types of state, order, counters and lists, for signatures."""
