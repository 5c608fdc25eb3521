"""
Whether cuts can be proved to be the cheapest there are.

Each cut is given ways from its callee back to its caller, as a flow of as much as the cut costs,
and no pair carries more for all cuts together than it costs itself. If that works out, it is a
*packing of cycles*, each of which goes through one cut: whoever breaks all cycles has to pay for
each of them, and so at least what these cuts cost. It need not work out for cuts that are the
cheapest all the same.
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
    Tell whether there is a packing that pays for all of ``cuts``, those that lead back.

    No also when WORK is used up.
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
