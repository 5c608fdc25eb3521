"""
Improves an order by moving single services to where they cost least.

*Descent*: while a service can be found that saves cost by moving, it moves, and its neighbours are
looked at again. Then, while WORK is left, some services are moved at random, and descent begins
again from the best order so far: *iterated local search*, as H. Lourenço, O. Martin and T. Stützle
describe it, 2003. The random numbers are the same in each run.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel
from graphcore.kernels.cuts.exchange import exchange
from graphcore.kernels.cuts.layout import (
    CHANCE,
    CHANCE_FACTOR,
    CHANCE_MODULUS,
    HEAD,
    HELD,
    ORDER,
    PAIRS,
    PREVIOUS,
    QUEUE,
    QUEUED,
    WAYS,
    WORK,
)
from graphcore.kernels.cuts.sequence import arrange, move_behind, write_down
from graphcore.kernels.cuts.waiting import wait, wait_around

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


@kernel(f"int64({WAYS}, int64, int64)")
def neighbour(
    start: Any, target: Any, source: Any, back_start: Any, back: Any, node: int, number: int
) -> int:
    """Return a neighbour of a service by number: first its callees, then its callers."""
    calls = start[node + 1] - start[node]
    if number < calls:
        return int(target[start[node] + number])
    return int(source[back[back_start[node] + number - calls]])


@kernel(f"int64({PAIRS}, float64[::1], int64)")
def cost_at(
    start: Any, target: Any, source: Any, cost: Any, back_start: Any, back: Any, key: Any, node: int
) -> int:
    """Sum up the costs of a service's pairs that lead back in the present order."""
    total = 0
    for place in range(start[node], start[node + 1]):
        if key[target[place]] < key[node]:
            total += cost[place]
    for position in range(back_start[node], back_start[node + 1]):
        if key[source[back[position]]] > key[node]:
            total += cost[back[position]]
    return total


@kernel(f"int64({PAIRS}, {ORDER}, int64, int32[::1])")
def best_place(
    start: Any,
    target: Any,
    source: Any,
    cost: Any,
    back_start: Any,
    back: Any,
    link: Any,
    key: Any,
    node: int,
    goal: Any,
) -> int:
    """
    Find the place where a service costs least: right behind ``goal[0]``.

    Returns what moving there saves, 0 = nothing.

    The service is moved in thought from the front past one neighbour after the other: behind a
    callee its call leads back, and behind a caller the call to it no longer does.
    """
    calls, callers = start[node + 1] - start[node], back_start[node + 1] - back_start[node]
    keys = np.empty(calls + callers, np.float64)
    here = 0
    for number in range(calls):
        keys[number] = key[target[start[node] + number]]
    for number in range(callers):
        pair = back[back_start[node] + number]
        keys[calls + number] = key[source[pair]]
        here += cost[pair]
    along = np.argsort(keys)
    best, nearest = here, -1
    for position in range(len(along)):
        number = along[position]
        if number < calls:
            here += cost[start[node] + number]
        else:
            here -= cost[back[back_start[node] + number - calls]]
        # A neighbour that is both callee and caller is passed once.
        is_passed = position + 1 == len(along) or keys[along[position + 1]] > keys[number]
        if is_passed and here < best:
            best, nearest = here, number
    saved = cost_at(start, target, source, cost, back_start, back, key, node) - best
    if saved <= 0 or len(along) == 0:
        return 0
    number = nearest if nearest >= 0 else along[0]
    beside = neighbour(start, target, source, back_start, back, node, number)
    goal[0] = beside if nearest >= 0 else link[PREVIOUS, beside]
    return int(saved)


@kernel(f"int64({PAIRS}, {ORDER}, int32[:, ::1], int64[::1])")
def descend(
    start: Any,
    target: Any,
    source: Any,
    cost: Any,
    back_start: Any,
    back: Any,
    link: Any,
    key: Any,
    waiting: Any,
    counters: Any,
) -> int:
    """Look at the waiting services until none waits or WORK is used up; returns what is saved."""
    saved, moving, goal = 0, np.empty(1, np.int32), np.empty(1, np.int32)
    while counters[HELD] > 0:
        node = waiting[QUEUE, counters[HEAD]]
        counters[HEAD] = (counters[HEAD] + 1) % waiting.shape[1]
        counters[HELD] -= 1
        waiting[QUEUED, node] = 0
        if counters[WORK] <= 0:
            continue
        counters[WORK] -= 2 + start[node + 1] - start[node] + back_start[node + 1] - back_start[node]
        less = best_place(start, target, source, cost, back_start, back, link, key, node, goal)
        if less > 0:
            saved += less
            moving[0] = node
            move_behind(link, key, moving, goal[0])
            wait_around(start, target, source, back_start, back, node, waiting, counters)
    return saved


@kernel(f"int64({PAIRS}, {ORDER}, int32[:, ::1], int64[::1])")
def disturb(
    start: Any,
    target: Any,
    source: Any,
    cost: Any,
    back_start: Any,
    back: Any,
    link: Any,
    key: Any,
    waiting: Any,
    counters: Any,
) -> int:
    """
    Move a few services at random, each behind a neighbour or before it.

    Returns the added cost.
    """
    more, moving, count = 0, np.empty(1, np.int32), len(key)
    for _ in range(FEWEST_MOVED + below(counters, MORE_MOVED + 1)):
        node = below(counters, count)
        calls, callers = start[node + 1] - start[node], back_start[node + 1] - back_start[node]
        number = below(counters, calls + callers)
        beside = neighbour(start, target, source, back_start, back, node, number)
        place = beside if below(counters, 2) == 0 else link[PREVIOUS, beside]
        if place == node:
            continue
        more -= cost_at(start, target, source, cost, back_start, back, key, node)
        moving[0] = node
        move_behind(link, key, moving, place)
        more += cost_at(start, target, source, cost, back_start, back, key, node)
        counters[WORK] -= calls + callers
        wait(waiting, counters, node)
        wait_around(start, target, source, back_start, back, node, waiting, counters)
    return more


@kernel(f"int64({PAIRS}, {ORDER}, int64[::1], int32[:, ::1], int32[:, ::1], int64[::1], int64)")
def settle(
    start: Any,
    target: Any,
    source: Any,
    cost: Any,
    back_start: Any,
    back: Any,
    link: Any,
    key: Any,
    flow: Any,
    search: Any,
    waiting: Any,
    counters: Any,
    spare: int,
) -> int:
    """
    Exchange cuts and descend in turn while that saves anything and leaves ``spare`` of WORK.

    Returns what is saved.
    """
    saved, less = 0, 1
    while less > 0 and counters[WORK] > spare:
        less = exchange(
            start, target, source, cost, back_start, back, link, key, flow, search, waiting, counters, spare
        )
        less += descend(start, target, source, cost, back_start, back, link, key, waiting, counters)
        saved += less
    return saved


@kernel(f"int64({PAIRS}, {ORDER}, int64[::1], int32[:, ::1], int32[:, ::1], int64[::1], int32[::1], int64)")
def improve(
    start: Any,
    target: Any,
    source: Any,
    cost: Any,
    back_start: Any,
    back: Any,
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
    count, total, work = len(key), 0, counters[WORK]
    pause = max(LEAST_PAUSE, len(target) // PAIRS_A_TRY)
    arrange(link, key, order)
    for place in range(len(target)):
        if key[target[place]] < key[source[place]]:
            total += cost[place]
    for position in range(count):
        wait(waiting, counters, order[position])
    total -= descend(start, target, source, cost, back_start, back, link, key, waiting, counters)
    total -= settle(
        start, target, source, cost, back_start, back, link, key, flow, search, waiting, counters, work // 2
    )
    write_down(link, key, order)
    best, current, failed = total, total, 0
    here = order.copy()
    while counters[WORK] > work // 4 and failed < tries and best > 0:
        counters[WORK] -= count
        total += disturb(start, target, source, cost, back_start, back, link, key, waiting, counters)
        total -= descend(start, target, source, cost, back_start, back, link, key, waiting, counters)
        failed += 1
        if failed % pause == 0:
            total -= settle(
                start,
                target,
                source,
                cost,
                back_start,
                back,
                link,
                key,
                flow,
                search,
                waiting,
                counters,
                work // 4,
            )
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
    best -= settle(
        start, target, source, cost, back_start, back, link, key, flow, search, waiting, counters, 0
    )
    write_down(link, key, order)
    return int(best)
