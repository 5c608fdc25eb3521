"""
Orders of all services: the cheapest for few, a first one for many.

Few: O(2^V V) time and memory. Source: E. Lawler, "A comment on minimum feedback arc sets", 1964:
the cheapest order of a set of services ends with some service, preceded by the cheapest order of
the others.

Many: O(E log V) by a heap whose entries can be found by service. Source: P. Eades, X. Lin and
W. Smyth, "A fast and effective heuristic for the feedback arc set problem", 1993, with costs
instead of counts. Services are placed one by one. A service without calls to unplaced services
goes to the end of the order, and one without unplaced callers to the front. If there is neither,
the service whose calls cost most, minus the calls to it, goes to the front.
"""

from typing import Any

from graphcore.compiling import kernel
from graphcore.kernels.cuts import PAIRS

HEAP, SLOT, CALLS_LEFT, CALLERS_LEFT, PLACED, ENDS = 0, 1, 2, 3, 4, 5
ROOM_ROWS = 6
"""
Rows of ``room``.

HEAP: services, the next one to place first; SLOT: the place of each service in HEAP. CALLS_LEFT
and CALLERS_LEFT: how many callees and callers are not placed. PLACED: 1 for services that are
placed or in ENDS. ENDS: a stack of services without calls or callers left.
"""


@kernel("void(int32[:, ::1], int64[::1], int64)")
def rise(room: Any, value: Any, slot: int) -> None:
    """Move an entry of the heap up to its place."""
    heap, slot_of = room[HEAP], room[SLOT]
    node = heap[slot]
    while slot > 0:
        above = heap[(slot - 1) // 2]
        if value[above] > value[node] or (value[above] == value[node] and above < node):
            break
        heap[slot] = above
        slot_of[above] = slot
        slot = (slot - 1) // 2
    heap[slot] = node
    slot_of[node] = slot


@kernel("void(int32[:, ::1], int64[::1], int64, int64)")
def sink(room: Any, value: Any, slot: int, size: int) -> None:
    """Move an entry of the heap down to its place."""
    heap, slot_of = room[HEAP], room[SLOT]
    node = heap[slot]
    while 2 * slot + 1 < size:
        below = 2 * slot + 1
        one = heap[below]
        if below + 1 < size:
            other = heap[below + 1]
            if value[other] > value[one] or (value[other] == value[one] and other < one):
                below, one = below + 1, other
        if value[node] > value[one] or (value[node] == value[one] and node < one):
            break
        heap[slot] = one
        slot_of[one] = slot
        slot = below
    heap[slot] = node
    slot_of[node] = slot


@kernel("int64(int32[:, ::1], int64, int64)")
def note_end(room: Any, node: int, ends: int) -> int:
    """
    Put a service on the stack of those without calls or callers when it has become one.

    Returns the height of the stack.
    """
    if room[PLACED, node] == 0 and (room[CALLS_LEFT, node] == 0 or room[CALLERS_LEFT, node] == 0):
        # Marked, so that it is not pushed twice.
        room[PLACED, node] = 1
        room[ENDS, ends] = node
        return ends + 1
    return ends


@kernel(f"int64({PAIRS}, int64, int32[:, ::1], int64[::1], int64, int64)")
def take_away(pairs: Any, node: int, room: Any, value: Any, size: int, ends: int) -> int:
    """Update the neighbours of a service that was placed; returns the new height of the stack."""
    start, target, source, cost, back_start, back = pairs
    slot_of = room[SLOT]
    # Placed services stay in the heap, with an unchanged value, until they come to its top.
    for place in range(start[node], start[node + 1]):
        other = target[place]
        room[CALLERS_LEFT, other] -= 1
        if room[PLACED, other] == 0:
            value[other] += cost[place]
            rise(room, value, slot_of[other])
        ends = note_end(room, other, ends)
    for position in range(back_start[node], back_start[node + 1]):
        other = source[back[position]]
        room[CALLS_LEFT, other] -= 1
        if room[PLACED, other] == 0:
            value[other] -= cost[back[position]]
            sink(room, value, slot_of[other], size)
        ends = note_end(room, other, ends)
    return ends


@kernel(f"void({PAIRS}, int32[:, ::1], int64[::1], int32[::1])")
def order_greedily(pairs: Any, room: Any, value: Any, order: Any) -> None:
    """Fill ``order``; of equal services the one with the smallest number comes first."""
    start, target, source, cost, back_start, _ = pairs
    count = len(start) - 1
    size, ends, front, end = count, 0, 0, count - 1
    for node in range(count):
        room[CALLS_LEFT, node] = start[node + 1] - start[node]
        room[CALLERS_LEFT, node] = back_start[node + 1] - back_start[node]
        room[PLACED, node] = 0
        room[HEAP, node] = room[SLOT, node] = node
        value[node] = 0
    for place in range(len(target)):
        value[source[place]] += cost[place]
        value[target[place]] -= cost[place]
    for slot in range(count // 2 - 1, -1, -1):
        sink(room, value, slot, size)
    for node in range(count):
        ends = note_end(room, node, ends)
    while front <= end:
        if ends > 0:
            ends -= 1
            node = room[ENDS, ends]
        else:
            node = room[HEAP, 0]
            size -= 1
            if size > 0:
                room[HEAP, 0] = room[HEAP, size]
                room[SLOT, room[HEAP, 0]] = 0
                sink(room, value, 0, size)
            if room[PLACED, node] != 0:
                continue
            room[PLACED, node] = 1
        if room[CALLS_LEFT, node] == 0 and room[CALLERS_LEFT, node] > 0:
            order[end] = node
            end -= 1
        else:
            order[front] = node
            front += 1
        ends = take_away(pairs, node, room, value, size, ends)


@kernel("void(int32[::1], int32[::1], int64[::1], int64[:, ::1])")
def sum_costs(start: Any, target: Any, cost: Any, toward: Any) -> None:
    """
    Fill ``toward[service, set]`` with the cost of the pairs from a service to those of a set.

    The bits of a set are its services.
    """
    count = len(start) - 1
    for node in range(count):
        place = start[node]
        toward[node, 0] = 0
        for other in range(count):
            between = 0
            if place < start[node + 1] and target[place] == other:
                between = cost[place]
                place += 1
            bit = 1 << other
            for smaller in range(bit):
                toward[node, bit + smaller] = toward[node, smaller] + between


@kernel("int64(int32[::1], int32[::1], int64[::1], int64[:, ::1], int64[::1], int32[::1])")
def order_exactly(start: Any, target: Any, cost: Any, toward: Any, least: Any, order: Any) -> int:
    """
    Fill ``order`` with a cheapest order of all services; returns its cost.

    Among equally cheap orders, services with smaller numbers come last.
    """
    count = len(start) - 1
    sum_costs(start, target, cost, toward)
    all_services = (1 << count) - 1
    least[0] = 0
    for members in range(1, all_services + 1):
        cheapest = -1
        for node in range(count):
            if members >> node & 1:
                others = members - (1 << node)
                total = least[others] + toward[node, others]
                if cheapest < 0 or total < cheapest:
                    cheapest = total
        least[members] = cheapest
    members = all_services
    for position in range(count - 1, -1, -1):
        last = -1
        for node in range(count):
            if last < 0 and members >> node & 1:
                others = members - (1 << node)
                if least[others] + toward[node, others] == least[members]:
                    last = node
        order[position] = last
        members -= 1 << last
    return int(least[all_services])
