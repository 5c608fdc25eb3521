"""
Kernels that bound how much attempts multiply along paths, and follow the best walks.

Calls stand in rows: those of a node are the places ``start[node]`` to before ``start[node + 1]``,
``target`` and ``attempts`` stand beside them, one call for each pair of services, in the order of
the callees' names. Attempts are at least 1. A product that passes MOST counts as MOST.

A walk may come to a service twice, a path may not; a walk here never goes straight back to where it
came from. ``bounds`` and ``ways`` say for each number of hops (first index) and node (second) what
the best walk of at most so many hops achieves:

- ``bounds[h, node, BEST]``: the product of the best one, 1 if none is worth more than staying;
  ``ways[h, node, FIRST]`` is the place of its first call, -1 = it stays; ``ways[h, node, CALLEE]``
  is where that leads.
- ``bounds[h, node, SECOND]``: the product of the best one that begins otherwise; ``ways[h, node,
  OTHER]`` the place of its first call.

So the best walk from a node that does not return to a certain caller is known without a search, and
no path is better than that walk. ``retry_search`` searches where it is not a path.
"""

from typing import Any

from graphcore.compiling import kernel

MOST = 2**63 - 1
_ROOT = 2**31

BEST, SECOND = 0, 1
FIRST, OTHER, CALLEE = 0, 1, 2
NONE = -1

NODE, CURSOR, PRODUCT = 0, 1, 2
"""The stack of a search, a column for each hop."""


@kernel("int64(int64, int64)", nogil=False)
def times(first: int, second: int) -> int:
    """Multiply two positive numbers; at most MOST."""
    if first < _ROOT and second < _ROOT:
        return first * second
    if first > MOST // second:
        return MOST
    return first * second


@kernel("int64(int32[::1], int32[::1], int64[::1], int32[::1], int32[::1], int32[::1], int32[::1])")
def strongest_calls(
    start: Any, target: Any, attempts: Any, origin: Any, latest: Any, kept_start: Any, kept: Any
) -> int:
    """
    Keep one of the calls between two services; returns how many.

    The one with most attempts; of equal ones that of the least origin.

    ``latest`` is -1 everywhere before. Kept are places, in rows of their own. O(V + E).
    """
    count = 0
    for node in range(len(start) - 1):
        begin = count
        kept_start[node] = begin
        for place in range(start[node], start[node + 1]):
            callee = target[place]
            at = latest[callee]
            if at < begin:
                latest[callee] = count
                kept[count] = place
                count += 1
                continue
            former = kept[at]
            if attempts[place] > attempts[former] or (
                attempts[place] == attempts[former] and origin[place] < origin[former]
            ):
                kept[at] = place
    kept_start[len(start) - 1] = count
    return count


@kernel("int64(int64[:, :, ::1], int32[:, :, ::1], int64, int64, int64)", nogil=False)
def onward(bounds: Any, ways: Any, hops: int, node: int, caller: int) -> int:
    """Return what the best walk on from a node achieves without going back to its caller."""
    if ways[hops, node, CALLEE] == caller:
        return int(bounds[hops, node, SECOND])
    return int(bounds[hops, node, BEST])


@kernel("void(int32[::1], int32[::1], int64[::1], int64[:, :, ::1], int32[:, :, ::1])")
def bound_walks(start: Any, target: Any, attempts: Any, bounds: Any, ways: Any) -> None:
    """Fill ``bounds`` and ``ways``. O(hops (V + E))."""
    count = len(start) - 1
    for hops in range(bounds.shape[0]):
        for node in range(count):
            best, second = 1, 1
            first, other, callee = NONE, NONE, NONE
            if hops > 0:
                for place in range(start[node], start[node + 1]):
                    product = times(attempts[place], onward(bounds, ways, hops - 1, target[place], node))
                    if product > best:
                        second, other = best, first
                        best, first, callee = product, place, target[place]
                    elif product > second:
                        second, other = product, place
            bounds[hops, node, BEST], bounds[hops, node, SECOND] = best, second
            ways[hops, node, FIRST], ways[hops, node, OTHER] = first, other
            ways[hops, node, CALLEE] = callee


@kernel("boolean(int64[:, ::1], int64, int64)", nogil=False)
def is_on_path(stack: Any, depth: int, node: int) -> bool:
    """
    Return whether a node is one of those up to a depth.

    Paths are so short that looking is quicker than marking.
    """
    step = 0
    while step <= depth and stack[NODE, step] != node:
        step += 1
    return step <= depth


@kernel(
    "void(int32[::1], int64[::1], int64[:, :, ::1], int32[:, :, ::1], int32[::1], int64[:, ::1], "
    "int64[::1], int32[:, ::1], int32[::1])"
)
def follow_walks(
    target: Any,
    attempts: Any,
    bounds: Any,
    ways: Any,
    begins: Any,
    stack: Any,
    products: Any,
    paths: Any,
    lengths: Any,
) -> None:
    """
    Follow the best walk from each of some nodes as long as it is a path.

    Goes round where one step suffices. Fills products, and the places of the calls.

    A product as large as the bound is that of the worst path. O(hops²) each.
    """
    for number in range(len(begins)):
        node, product, depth = begins[number], 1, 0
        stack[NODE, 0] = node
        for hops in range(bounds.shape[0] - 1, 0, -1):
            place = ways[hops, node, FIRST]
            if place < 0 or is_on_path(stack, depth, target[place]):
                place = ways[hops, node, OTHER]
            if place < 0 or is_on_path(stack, depth, target[place]):
                break
            product = times(product, attempts[place])
            paths[number, depth] = place
            node = target[place]
            depth += 1
            stack[NODE, depth] = node
        products[number], lengths[number] = product, depth
