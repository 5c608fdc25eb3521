"""
Cuts that are not needed are put back, the most expensive first.

All pairs that are not cut lead forward in the order, and this stays so. A cut pair from a to b
leads back. It closes a cycle if b reaches a, and such a path uses only services between the two.
Two searches, from b forward and from a backward, alternate until they meet. If one of them runs out
of services instead, what it found moves past the other end, and the pair leads forward. That is the
incremental topological order of D. Pearce and P. Kelly, 2006.

``way_back`` finds for a cut a shortest cycle that it alone breaks: the cut, and a shortest path
from its callee to its caller over pairs that are kept.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel
from graphcore.kernels.cuts import ORDER, PAIRS, PREVIOUS, WORK
from graphcore.kernels.cuts.sequence import shift

FORWARD, BACKWARD, MARK = 0, 1, 2
SEARCH_ROWS = 3
"""
Rows of ``search``: the queues of both sides, and marks (the stamp of a search for its forward
side, one less for the other).
"""

QUEUE, HOPS = 0, 1
"""
The same for a search backward from a caller, whose marks are its stamp; HOPS: how far a service is
from the caller.
"""

REACHES, RAN_DRY = 0, 1
"""What ``reaches`` returns: yes; no is RAN_DRY + the side whose search ended."""


@kernel(
    f"int64({PAIRS}, int8[::1], float64[::1], int32[:, ::1], int64[::1], int64, int64, int64, int64[::1])"
)
def reaches(  # noqa: C901 - two searches that take turns
    pairs: Any, kept: Any, key: Any, search: Any, counters: Any, stamp: int, first: int, last: int, found: Any
) -> int:
    """
    Whether one service reaches a later one over pairs that are kept.

    ``found`` holds how many each side found.
    """
    start, target, source, _, back_start, back = pairs
    mark, low, high = search[MARK], key[first], key[last]
    search[FORWARD, 0], search[BACKWARD, 0] = first, last
    mark[first], mark[last] = stamp, stamp - 1
    taken_forward = taken_backward = spent_forward = spent_backward = 0
    found[FORWARD] = found[BACKWARD] = 1
    while True:
        if taken_forward == found[FORWARD]:
            return RAN_DRY + FORWARD
        if taken_backward == found[BACKWARD]:
            return RAN_DRY + BACKWARD
        if spent_forward <= spent_backward:
            node = search[FORWARD, taken_forward]
            taken_forward += 1
            spent_forward += 1 + start[node + 1] - start[node]
            for place in range(start[node], start[node + 1]):
                other = target[place]
                if kept[place] == 0 or mark[other] == stamp or key[other] > high:
                    continue
                if mark[other] == stamp - 1:
                    counters[WORK] -= spent_forward + spent_backward
                    return REACHES
                mark[other] = stamp
                search[FORWARD, found[FORWARD]] = other
                found[FORWARD] += 1
        else:
            node = search[BACKWARD, taken_backward]
            taken_backward += 1
            spent_backward += 1 + back_start[node + 1] - back_start[node]
            for position in range(back_start[node], back_start[node + 1]):
                other = source[back[position]]
                if kept[back[position]] == 0 or mark[other] == stamp - 1 or key[other] < low:
                    continue
                if mark[other] == stamp:
                    counters[WORK] -= spent_forward + spent_backward
                    return REACHES
                mark[other] = stamp - 1
                search[BACKWARD, found[BACKWARD]] = other
                found[BACKWARD] += 1


@kernel(f"int64({PAIRS}, int8[::1], {ORDER}, int32[:, ::1], int64[::1], int32[::1])")
def put_back(pairs: Any, kept: Any, link: Any, key: Any, search: Any, counters: Any, cuts: Any) -> int:
    """
    Keep each of ``cuts``, one after the other, that closes no cycle.

    Returns how many were looked at before WORK was used up.
    """
    _, target, source, _, _, _ = pairs
    found = np.zeros(2, np.int64)
    for number in range(len(cuts)):
        if counters[WORK] <= 0:
            return number
        caller, callee = source[cuts[number]], target[cuts[number]]
        if key[caller] > key[callee]:
            answer = reaches(pairs, kept, key, search, counters, 2 * number + 2, callee, caller, found)
            if answer == REACHES:
                continue
            side = answer - RAN_DRY
            counters[WORK] -= 2 * found[side]
            place = caller if side == FORWARD else link[PREVIOUS, callee]
            shift(link, key, search[side, : found[side]], place)
        kept[cuts[number]] = 1
    return len(cuts)


@kernel(f"int64({PAIRS}, int8[::1], float64[::1], int32[:, ::1], int64[::1], int64, int64, int32[::1])")
def way_back(
    pairs: Any, kept: Any, key: Any, search: Any, counters: Any, stamp: int, cut: int, path: Any
) -> int:
    """
    Fill ``path`` with a shortest path from the callee of a cut to its caller; returns its length.

    Of several, it is the one with the smallest numbers. 0 = there is none.

    The search runs breadth-first backward from the caller, over services behind the callee.
    Marks in ``search`` below ``stamp`` are of former searches.
    """
    start, target, source, _, back_start, back = pairs
    caller, callee = source[cut], target[cut]
    queue, mark, hops, low = search[QUEUE], search[MARK], search[HOPS], key[callee]
    queue[0], mark[caller], hops[caller] = caller, stamp, 0
    head, tail = 0, 1
    while head < tail and mark[callee] != stamp:
        node = queue[head]
        head += 1
        counters[WORK] -= 1 + back_start[node + 1] - back_start[node]
        for position in range(back_start[node], back_start[node + 1]):
            other = source[back[position]]
            if kept[back[position]] != 0 and mark[other] != stamp and key[other] >= low:
                mark[other], hops[other], queue[tail] = stamp, hops[node] + 1, other
                tail += 1
    if mark[callee] != stamp:
        return 0
    length, node = hops[callee] + 1, callee
    path[0] = callee
    for position in range(1, length):
        nearest = -1
        for place in range(start[node], start[node + 1]):
            other = target[place]
            is_next = kept[place] != 0 and mark[other] == stamp and hops[other] == length - 1 - position
            if is_next and nearest < 0:
                nearest = other
        path[position] = nearest
        node = nearest
    return int(length)
