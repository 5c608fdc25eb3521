"""
Iterated local search for a cheap order.

After a descent, while WORK is left, some services are moved at random, and descent begins again
from the best order so far. Source: H. Lourenço, O. Martin and T. Stützle, "Iterated local search",
2003. The random numbers are the same in each run.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel
from graphcore.kernels.cuts import CHANCE, CHANCE_FACTOR, CHANCE_MODULUS, ORDER, PAIRS, PREVIOUS, WORK
from graphcore.kernels.cuts.descent import cost_at, descend, neighbour, wait, wait_around
from graphcore.kernels.cuts.exchange import exchange
from graphcore.kernels.cuts.sequence import arrange, move_behind, write_down

FEWEST_MOVED, MORE_MOVED = 2, 6
"""A disturbance moves FEWEST_MOVED services at random, and up to MORE_MOVED others."""

GRACE = 500
"""The search continues from an order that costs at most one part in GRACE more than the best."""

LEAST_PAUSE, PAIRS_A_TRY = 8, 8
"""
Cuts are exchanged after some disturbances without gain.

Their number is one for every PAIRS_A_TRY pairs, but at least LEAST_PAUSE.
"""


@kernel("int64(int64[::1], int64)")
def below(counters: Any, bound: int) -> int:
    """Draw a random number from 0 to bound - 1."""
    counters[CHANCE] = counters[CHANCE] * CHANCE_FACTOR % CHANCE_MODULUS
    return int(counters[CHANCE] % bound)


@kernel(f"int64({PAIRS}, {ORDER}, int32[:, ::1], int64[::1])")
def disturb(pairs: Any, link: Any, key: Any, waiting: Any, counters: Any) -> int:
    """
    Move a few services at random, each behind a neighbour or before it.

    Returns the added cost.
    """
    start, _, _, _, back_start, _ = pairs
    more, moving, count = 0, np.empty(1, np.int32), len(key)
    for _ in range(FEWEST_MOVED + below(counters, MORE_MOVED + 1)):
        node = below(counters, count)
        calls, callers = start[node + 1] - start[node], back_start[node + 1] - back_start[node]
        number = below(counters, calls + callers)
        beside = neighbour(pairs, node, number)
        place = beside if below(counters, 2) == 0 else link[PREVIOUS, beside]
        if place == node:
            continue
        more -= cost_at(pairs, key, node)
        moving[0] = node
        move_behind(link, key, moving, place)
        more += cost_at(pairs, key, node)
        counters[WORK] -= calls + callers
        wait(waiting, counters, node)
        wait_around(pairs, node, waiting, counters)
    return more


@kernel(f"int64({PAIRS}, {ORDER}, int64[::1], int32[:, ::1], int32[:, ::1], int64[::1], int64)")
def settle(
    pairs: Any, link: Any, key: Any, flow: Any, search: Any, waiting: Any, counters: Any, spare: int
) -> int:
    """
    Exchange cuts and descend in turn while that saves anything and leaves ``spare`` of WORK.

    Returns what is saved.
    """
    saved, less = 0, 1
    while less > 0 and counters[WORK] > spare:
        less = exchange(pairs, link, key, flow, search, waiting, counters, spare)
        less += descend(pairs, link, key, waiting, counters)
        saved += less
    return saved


@kernel(f"int64({PAIRS}, {ORDER}, int64[::1], int32[:, ::1], int32[:, ::1], int64[::1], int32[::1], int64)")
def improve(
    pairs: Any,
    link: Any,
    key: Any,
    flow: Any,
    search: Any,
    waiting: Any,
    counters: Any,
    order: Any,
    tries: int,
) -> int:
    """
    Improve an order; at the end both the list and ``order`` hold the best one found.

    Returns its cost.

    Ends when WORK is used up, or after ``tries`` disturbances in a row without gain. The last
    quarter of the work is left for exchanges at the end.
    """
    _, target, source, cost, _, _ = pairs
    count, total, work = len(key), 0, counters[WORK]
    pause = max(LEAST_PAUSE, len(target) // PAIRS_A_TRY)
    arrange(link, key, order)
    for place in range(len(target)):
        if key[target[place]] < key[source[place]]:
            total += cost[place]
    for position in range(count):
        wait(waiting, counters, order[position])
    total -= descend(pairs, link, key, waiting, counters)
    total -= settle(pairs, link, key, flow, search, waiting, counters, work // 2)
    write_down(link, key, order)
    best, current, failed = total, total, 0
    here = order.copy()
    while counters[WORK] > work // 4 and failed < tries and best > 0:
        counters[WORK] -= count
        total += disturb(pairs, link, key, waiting, counters)
        total -= descend(pairs, link, key, waiting, counters)
        failed += 1
        if failed % pause == 0:
            total -= settle(pairs, link, key, flow, search, waiting, counters, work // 4)
        if total < best:
            best, failed = total, 0
            write_down(link, key, order)
        if total <= best + best // GRACE:
            current = total
            write_down(link, key, here)
        else:
            total = current
            arrange(link, key, here)
    arrange(link, key, order)
    best -= settle(pairs, link, key, flow, search, waiting, counters, 0)
    write_down(link, key, order)
    return int(best)
