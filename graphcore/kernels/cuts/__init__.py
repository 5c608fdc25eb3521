"""
Kernels that break all cycles of a component at little cost.

This is the *minimum feedback arc set*, which is NP-hard.

A caller and a callee are a *pair*, with one cost for all dependencies between them. An order of the
services determines the cuts: the pairs that lead back, to a service that comes before its caller.
Without these pairs there is no cycle, and some order has the cheapest set of cuts.

``ordering`` finds that order for few services. For many it makes some order, ``descent`` moves
single services, ``exchange`` moves several, ``improve`` repeats both after random moves, and
``needed`` keeps the pairs that need not be cut. ``exchange`` also says whether the cuts are known
to be the cheapest, and ``needed`` finds for each a cycle that it alone breaks. ``sequence`` is the
order as a list.

The arrays hold the pairs of one component. Services have numbers. Pairs are sorted by caller, then
callee: those of caller ``n`` are ``start[n]`` to ``start[n + 1]``, with ``source``, ``target`` and
``cost`` beside each other. The pairs of callee ``n`` are
``back[back_start[n] : back_start[n + 1]]``. Costs are whole numbers, so that sums are the same in
any order.
"""

PAIRS = "Tuple((int32[::1], int32[::1], int32[::1], int64[::1], int32[::1], int32[::1]))"
"""Type of ``pairs``: start, target, source, cost, back_start and back, for signatures."""

ORDER = "int32[:, ::1], float64[::1]"
"""Types of link and key, for signatures."""

NEXT, PREVIOUS = 0, 1
"""
Rows of ``link``: the neighbours of a service in the order.

The column after the last service stands for both ends of the order, which is a ring.
"""

QUEUE, QUEUED = 0, 1
"""
Rows of ``waiting``.

QUEUE: services to look at, a ring buffer of HELD entries from HEAD on. QUEUED: whether a service is
in it.
"""

HEAD, HELD, WORK, CHANCE = 0, 1, 2, 3
COUNTERS = 4
"""
``counters``.

HEAD and HELD: the ring buffer in ``waiting``; WORK: how many visits of pairs may still be made;
CHANCE: the state of the random numbers.
"""

CHANCE_FACTOR, CHANCE_MODULUS = 48_271, 2**31 - 1
"""
The minimal standard generator of random numbers, which stays within 64 bits.

Source: S. Park, K. Miller and P. Stockmeyer, 1993.
"""
