"""
The arrays that hold the pairs of a component.

Services have numbers. Pairs are sorted by caller, then callee: those of caller ``n`` are
``start[n]`` to ``start[n + 1]``, with ``source``, ``target`` and ``cost`` beside each other. The
pairs of callee ``n`` are ``back[back_start[n] : back_start[n + 1]]``. Costs are whole numbers, so
that sums are the same in any order.
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
