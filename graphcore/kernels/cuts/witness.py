"""
For a cut, a shortest cycle that it alone breaks.

It is the cut and a shortest path from its callee to its caller over pairs that are kept.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.cuts.layout import WAYS, WORK

QUEUE, MARK, HOPS = 0, 1, 2
SEARCH_ROWS = 3
"""
Rows of ``search``.

MARK: the stamp of the search that found a service; HOPS: how far it is from the caller.
"""


@kernel(f"int64({WAYS}, int8[::1], float64[::1], int32[:, ::1], int64[::1], int64, int64, int32[::1])")
def way_back(
    start: Any,
    target: Any,
    source: Any,
    back_start: Any,
    back: Any,
    kept: Any,
    key: Any,
    search: Any,
    counters: Any,
    stamp: int,
    cut: int,
    path: Any,
) -> int:
    """
    Fill ``path`` with a shortest path from the callee of a cut to its caller; returns its length.

    Of several, it is the one with the smallest numbers. 0 = there is none.

    The search runs breadth-first backward from the caller, over services behind the callee.
    Marks in ``search`` below ``stamp`` are of former searches.
    """
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
