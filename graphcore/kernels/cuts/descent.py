"""
Descent: single services move to where they cost least, until no move saves anything.

A service whose neighbour moved is looked at again. Services to look at wait in a ring, each at most
once.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel
from graphcore.kernels.cuts import HEAD, HELD, ORDER, PAIRS, PREVIOUS, QUEUE, QUEUED, WORK
from graphcore.kernels.cuts.sequence import move_behind


@kernel("void(int32[:, ::1], int64[::1], int64)")
def wait(waiting: Any, counters: Any, node: int) -> None:
    """Put a service into the queue, unless it is there."""
    if waiting[QUEUED, node] == 0:
        waiting[QUEUED, node] = 1
        waiting[QUEUE, (counters[HEAD] + counters[HELD]) % waiting.shape[1]] = node
        counters[HELD] += 1


@kernel(f"void({PAIRS}, int64, int32[:, ::1], int64[::1])")
def wait_around(pairs: Any, node: int, waiting: Any, counters: Any) -> None:
    """Put the neighbours of a service into the queue."""
    start, target, source, _, back_start, back = pairs
    for place in range(start[node], start[node + 1]):
        wait(waiting, counters, target[place])
    for position in range(back_start[node], back_start[node + 1]):
        wait(waiting, counters, source[back[position]])


@kernel(f"int64({PAIRS}, int64, int64)")
def neighbour(pairs: Any, node: int, number: int) -> int:
    """Return a neighbour of a service by number: first its callees, then its callers."""
    start, target, source, _, back_start, back = pairs
    calls = start[node + 1] - start[node]
    if number < calls:
        return int(target[start[node] + number])
    return int(source[back[back_start[node] + number - calls]])


@kernel(f"int64({PAIRS}, float64[::1], int64)")
def cost_at(pairs: Any, key: Any, node: int) -> int:
    """Sum up the costs of a service's pairs that lead back in the present order."""
    start, target, source, cost, back_start, back = pairs
    total = 0
    for place in range(start[node], start[node + 1]):
        if key[target[place]] < key[node]:
            total += cost[place]
    for position in range(back_start[node], back_start[node + 1]):
        if key[source[back[position]]] > key[node]:
            total += cost[back[position]]
    return total


@kernel(f"int64({PAIRS}, {ORDER}, int64, int32[::1])")
def best_place(pairs: Any, link: Any, key: Any, node: int, goal: Any) -> int:
    """
    Find the place where a service costs least: right behind ``goal[0]``.

    Returns what moving there saves, 0 = nothing.

    The service is moved in thought from the front past one neighbour after the other: behind a
    callee its call leads back, and behind a caller the call to it no longer does.
    """
    start, target, source, cost, back_start, back = pairs
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
    saved = cost_at(pairs, key, node) - best
    if saved <= 0 or len(along) == 0:
        return 0
    number = nearest if nearest >= 0 else along[0]
    beside = neighbour(pairs, node, number)
    goal[0] = beside if nearest >= 0 else link[PREVIOUS, beside]
    return int(saved)


@kernel(f"int64({PAIRS}, {ORDER}, int32[:, ::1], int64[::1])")
def descend(pairs: Any, link: Any, key: Any, waiting: Any, counters: Any) -> int:
    """Look at the waiting services until none waits or WORK is used up; returns what is saved."""
    start, _, _, _, back_start, _ = pairs
    saved, moving, goal = 0, np.empty(1, np.int32), np.empty(1, np.int32)
    while counters[HELD] > 0:
        node = waiting[QUEUE, counters[HEAD]]
        counters[HEAD] = (counters[HEAD] + 1) % waiting.shape[1]
        counters[HELD] -= 1
        waiting[QUEUED, node] = 0
        if counters[WORK] <= 0:
            continue
        counters[WORK] -= 2 + start[node + 1] - start[node] + back_start[node + 1] - back_start[node]
        less = best_place(pairs, link, key, node, goal)
        if less > 0:
            saved += less
            moving[0] = node
            move_behind(link, key, moving, goal[0])
            wait_around(pairs, node, waiting, counters)
    return saved
