"""
Flows between the ends of a cut: they exchange it for cheaper ones, or prove it the cheapest.

A cut from a to b breaks the paths from b to a. The cheapest pairs that break all these paths are a
minimum cut between b and a, over pairs that lead forward. If they cost less than the cut from a to
b, what b still reaches without them moves behind a. So a cycle is broken at its cheapest pair,
whatever the first order was; with moves of single services that would take many steps that save
nothing.

Source: L. Ford and D. Fulkerson, "Maximal flow through a network", 1956, by shortest paths (J.
Edmonds and R. Karp, 1972). The search ends as soon as the flow costs as much as the cut.

The same flows can prove that cuts are the cheapest. For each cut, find a flow from its callee back
to its caller of as much as the cut costs; all flows together may send through a pair at most what
the pair costs. If all flows exist, they are a *packing of cycles*, each of which goes through one
cut. Any set of cuts that breaks all these cycles costs at least as much as these cuts. Cuts may be
the cheapest although no packing proves it.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.cuts import ORDER, PAIRS, WORK
from graphcore.kernels.cuts.descent import wait
from graphcore.kernels.cuts.sequence import shift

QUEUE, MARK, VIA = 0, 1, 2
SEARCH_ROWS = 3
"""
Rows of ``search``.

QUEUE: the services found; MARK: the stamp of the search that found a service; VIA: the pair through
which it was found.
"""

CLEARED_AT_ONCE = 16
"""How many flows can be cleared in the time of one visit."""


@kernel(f"int64({PAIRS}, float64[::1], int64[::1], int32[:, ::1], int64[::1], int64, int64, int64)")
def search_residue(
    pairs: Any, key: Any, flow: Any, search: Any, counters: Any, stamp: int, first: int, last: int
) -> int:
    """
    Look for a path from one service to a later one on which more can flow.

    Returns how many services were found; the later one is among them only if there is a path.
    """
    start, target, source, cost, back_start, back = pairs
    queue, mark, via = search[QUEUE], search[MARK], search[VIA]
    high = key[last]
    queue[0], mark[first] = first, stamp
    head, tail = 0, 1
    while head < tail and mark[last] != stamp:
        node = queue[head]
        head += 1
        counters[WORK] -= 1 + start[node + 1] - start[node] + back_start[node + 1] - back_start[node]
        for place in range(start[node], start[node + 1]):
            other = target[place]
            if mark[other] != stamp and key[node] < key[other] <= high and flow[place] < cost[place]:
                mark[other], via[other], queue[tail] = stamp, place, other
                tail += 1
        for position in range(back_start[node], back_start[node + 1]):
            other = source[back[position]]
            if mark[other] != stamp and flow[back[position]] > 0:
                mark[other], via[other], queue[tail] = stamp, back[position], other
                tail += 1
    return tail


@kernel("int64(int32[::1], int32[::1], int64[::1], int64[::1], int32[:, ::1], int64, int64, int64)")
def let_flow(
    target: Any, source: Any, cost: Any, flow: Any, search: Any, first: int, last: int, most: int
) -> int:
    """Let as much flow along the path found as fits, at most ``most``; returns how much."""
    via = search[VIA]
    node = last
    while node != first:
        pair = via[node]
        forward = target[pair] == node
        most = min(most, cost[pair] - flow[pair] if forward else flow[pair])
        node = source[pair] if forward else target[pair]
    node = last
    while node != first:
        pair = via[node]
        forward = target[pair] == node
        flow[pair] += most if forward else -most
        node = source[pair] if forward else target[pair]
    return int(most)


@kernel(f"int64({PAIRS}, float64[::1], int32[:, ::1], int64, int64, int64)")
def saved_by_moving(pairs: Any, key: Any, search: Any, found: int, stamp: int, last: int) -> int:
    """Return what is saved by moving the services found behind a later one."""
    start, target, source, cost, back_start, back = pairs
    mark, high, saved = search[MARK], key[last], 0
    for position in range(found):
        node = search[QUEUE, position]
        for place in range(start[node], start[node + 1]):
            if mark[target[place]] != stamp and key[node] < key[target[place]] <= high:
                saved -= cost[place]
        for place in range(back_start[node], back_start[node + 1]):
            other = source[back[place]]
            if mark[other] != stamp and key[node] < key[other] <= high:
                saved += cost[back[place]]
    return saved


@kernel(f"int64({PAIRS}, {ORDER}, int64[::1], int32[:, ::1], int32[:, ::1], int64[::1], int64)")
def exchange(
    pairs: Any, link: Any, key: Any, flow: Any, search: Any, waiting: Any, counters: Any, spare: int
) -> int:
    """
    Try to exchange each cut once, until no more than ``spare`` is left of WORK.

    Returns what is saved. Puts services that moved into the queue ``waiting``.
    """
    _, target, source, cost, _, _ = pairs
    saved, stamp = 0, 0
    for place in range(len(key)):
        search[MARK, place] = 0
    for pair in range(len(target)):
        if counters[WORK] <= spare:
            break
        first, last = target[pair], source[pair]
        if key[first] > key[last]:
            continue
        flow[:] = 0
        counters[WORK] -= len(flow) // CLEARED_AT_ONCE
        left = cost[pair]
        while True:
            stamp += 1
            found = search_residue(pairs, key, flow, search, counters, stamp, first, last)
            if search[MARK, last] != stamp:
                break
            left -= let_flow(target, source, cost, flow, search, first, last, left)
            if left == 0:
                break
        if left == 0:
            continue
        saved += saved_by_moving(pairs, key, search, found, stamp, last)
        shift(link, key, search[QUEUE, :found], last)
        for position in range(found):
            wait(waiting, counters, search[QUEUE, position])
    return saved


@kernel(f"boolean({PAIRS}, float64[::1], int64[::1], int64[::1], int32[:, ::1], int64[::1], int32[::1])")
def are_packed(pairs: Any, key: Any, flow: Any, spare: Any, search: Any, counters: Any, cuts: Any) -> bool:
    """
    Whether a packing is found for all of ``cuts``, the pairs that lead back.

    False also when WORK is used up.
    """
    start, target, source, cost, back_start, back = pairs
    stamp = 0
    for place in range(len(cost)):
        spare[place] = cost[place]
    for node in range(len(key)):
        search[MARK, node] = 0
    for cut in cuts:
        first, last, wanted = target[cut], source[cut], cost[cut]
        flow[:] = 0
        counters[WORK] -= len(flow) // CLEARED_AT_ONCE
        while wanted > 0:
            stamp += 1
            search_residue(
                (start, target, source, spare, back_start, back),
                key,
                flow,
                search,
                counters,
                stamp,
                first,
                last,
            )
            if search[MARK, last] != stamp or counters[WORK] <= 0:
                return False
            wanted -= let_flow(target, source, spare, flow, search, first, last, wanted)
        for place in range(len(flow)):
            spare[place] -= flow[place]
    return True
