"""
The cheapest order of few services.

Source: E. Lawler, "A comment on minimum feedback arc sets", 1964: the cheapest order of a set of
services ends with some service, preceded by the cheapest order of the others. O(2^V V) time and
memory.
"""

from typing import Any

from graphcore.compiling import kernel


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
