"""
Kernels that search for the path along which attempts multiply most.

``retries`` describes the calls and the bounds. A ledger limits how many calls a search looks at.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.retries import BEST, CALLEE, CURSOR, NODE, PRODUCT, SECOND, is_on_path, times

LEFT, TRIED, LENGTH = 0, 1, 2
"""
The ledger of a search: how many calls it may still look at; 1 if it left nothing untried; the
length of the path that it found.
"""

GRAPH = "int32[::1], int32[::1], int64[::1], int64[:, :, ::1], int32[:, :, ::1]"
"""Types of start, target, attempts, bounds and ways, for signatures."""


@kernel(f"int64({GRAPH}, int64, int64, int64, int64, int64[::1], int64[:, ::1], int32[::1])")
def search_path(
    start: Any,
    target: Any,
    attempts: Any,
    bounds: Any,
    ways: Any,
    begin: int,
    hops: int,
    known: int,
    enough: int,
    ledger: Any,
    stack: Any,
    path: Any,
) -> int:
    """
    Search for a path of at most ``hops`` calls from a node that achieves more than ``known``.

    Stops when one achieves ``enough``; returns the best product, or ``known``.

    Goes depth first, callees in the order of their names, and leaves out what can't be better than
    the best so far. ``path`` gets the places of its calls. Source: branch and bound, A. Land and A.
    Doig, "An automatic method of solving discrete programming problems", 1960.
    """
    best, depth = known, 0
    stack[NODE, 0], stack[CURSOR, 0], stack[PRODUCT, 0] = begin, start[begin], 1
    ledger[TRIED], ledger[LENGTH] = 0, 0
    while depth >= 0:
        node, place = stack[NODE, depth], stack[CURSOR, depth]
        if depth == hops or place == start[node + 1]:
            depth -= 1
            continue
        if ledger[LEFT] <= 0:
            return int(best)
        ledger[LEFT] -= 1
        stack[CURSOR, depth] = place + 1
        callee = target[place]
        product = times(stack[PRODUCT, depth], attempts[place])
        left = hops - depth - 1
        if times(product, bounds[left, callee, BEST]) <= best or is_on_path(stack, depth, callee):
            continue
        # Where the best way on leads back into the path, only the second best is left.
        is_blocked = is_on_path(stack, depth, ways[left, callee, CALLEE])
        if is_blocked and times(product, bounds[left, callee, SECOND]) <= best:
            continue
        depth += 1
        stack[NODE, depth], stack[CURSOR, depth], stack[PRODUCT, depth] = callee, start[callee], product
        if product > best:
            best = product
            ledger[LENGTH] = depth
            for step in range(depth):
                path[step] = stack[CURSOR, step] - 1
            if best >= enough:
                break
    ledger[TRIED] = 1
    return int(best)


@kernel(
    f"void({GRAPH}, int32[::1], int32[::1], int64, int64, int64[::1], int64[::1], int32[:, ::1], "
    "int32[::1], uint8[::1], int64[::1], int64[:, ::1], int32[::1])"
)
def search_paths(
    start: Any,
    target: Any,
    attempts: Any,
    bounds: Any,
    ways: Any,
    begins: Any,
    chosen: Any,
    enough: int,
    share: int,
    products: Any,
    limits: Any,
    paths: Any,
    lengths: Any,
    given_up: Any,
    ledger: Any,
    stack: Any,
    path: Any,
) -> None:
    """
    Search from the chosen ones of ``begins`` for paths better than ``products``.

    Stops when these are ``enough``; a search that tried everything lowers the limit.

    Each may look at one in ``share`` of the calls that are left in the ledger; GIVEN_UP is set to 1
    where that was not enough.
    """
    for at in range(len(chosen)):
        number = chosen[at]
        whole = ledger[LEFT]
        ledger[LEFT] = whole // share
        allowed = ledger[LEFT]
        product = search_path(
            start,
            target,
            attempts,
            bounds,
            ways,
            begins[number],
            bounds.shape[0] - 1,
            products[number],
            min(enough, limits[number]),
            ledger,
            stack,
            path,
        )
        ledger[LEFT] = whole - allowed + ledger[LEFT]
        if product > products[number]:
            products[number], lengths[number] = product, ledger[LENGTH]
            for step in range(ledger[LENGTH]):
                paths[number, step] = path[step]
        if ledger[TRIED] == 0:
            given_up[number] = 1
        elif product < min(enough, limits[number]):
            limits[number] = product


@kernel(
    f"void({GRAPH}, int32[::1], int32[::1], int64, int64[::1], int32[:, ::1], int32[::1], "
    "uint8[::1], int64[::1], int64[:, ::1], int32[::1])"
)
def shorten_paths(
    start: Any,
    target: Any,
    attempts: Any,
    bounds: Any,
    ways: Any,
    begins: Any,
    chosen: Any,
    share: int,
    products: Any,
    paths: Any,
    lengths: Any,
    given_up: Any,
    ledger: Any,
    stack: Any,
    path: Any,
) -> None:
    """
    Put the shortest path with the product known in the place of each chosen one's.

    Of equal ones the first by names, which is the first that the search comes to.
    """
    for at in range(len(chosen)):
        number = chosen[at]
        begin, product = begins[number], products[number]
        whole = ledger[LEFT]
        ledger[LEFT] = whole // share
        allowed = ledger[LEFT]
        for hops in range(1, lengths[number] + 1):
            if bounds[hops, begin, BEST] < product:
                continue
            found = search_path(
                start,
                target,
                attempts,
                bounds,
                ways,
                begin,
                hops,
                product - 1,
                product,
                ledger,
                stack,
                path,
            )
            if ledger[TRIED] == 0:
                given_up[number] = 1
                break
            if found >= product:
                # More only where the search for the product was given up.
                products[number], lengths[number] = found, ledger[LENGTH]
                for step in range(ledger[LENGTH]):
                    paths[number, step] = path[step]
                break
        ledger[LEFT] = whole - allowed + ledger[LEFT]
