"""
Whether cuts can be proved to be the cheapest.

For each cut, find a flow from its callee back to its caller of as much as the cut costs; all flows
together may send through a pair at most what the pair costs. If all flows exist, they are a
*packing of cycles*, each of which goes through one cut. Any set of cuts that breaks all these
cycles costs at least as much as these cuts. Cuts may be the cheapest although no packing proves it.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.cuts.exchange import CLEARED_AT_ONCE, MARK, let_flow, search_residue
from graphcore.kernels.cuts.layout import PAIRS, WORK


@kernel(f"boolean({PAIRS}, float64[::1], int64[::1], int64[::1], int32[:, ::1], int64[::1], int32[::1])")
def are_packed(
    start: Any,
    target: Any,
    source: Any,
    cost: Any,
    back_start: Any,
    back: Any,
    key: Any,
    flow: Any,
    spare: Any,
    search: Any,
    counters: Any,
    cuts: Any,
) -> bool:
    """
    Whether a packing is found for all of ``cuts``, the pairs that lead back.

    False also when WORK is used up.
    """
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
                start,
                target,
                source,
                spare,
                back_start,
                back,
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
