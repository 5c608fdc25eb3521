"""
Orders of components: numbers that rise along every edge that joins two components.

Such numbers exist because edges that count form no cycle of components. Orders are doubles, so a
component can move between any two others, and no other has to move with it. Components that do not
reach each other may have equal orders. When no double is left between two orders, a search of the
whole graph assigns new ones.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel
from graphcore.kernels.components import DONE, FORWARD, OVER

NARROW = 32
"""
A split-off part takes at most one part in NARROW of the interval between two orders.

A double has room for some 1,000 parts split off one after the other, or for nine splits of the part
just split off. A larger NARROW allows more of the former and fewer of the latter.
"""


@kernel("float64(float64, float64, int64, int64, int64)", nogil=False)
def part_order(low: float, high: float, side: int, height: int, greatest: int) -> float:
    """
    Place a part by its height in the open interval between two orders.

    Heights are 0 to ``greatest``; higher parts get lower orders.

    Parts are put near the bound that is not the order of their former component, since the next
    parts will come between.
    """
    if high == np.inf:
        return low + (greatest - height + 1)
    if low == -np.inf:
        return high - (height + 1)
    step = (high - low) / max(greatest + 2, NARROW)
    return high - step * (height + 1) if side == FORWARD else low + step * (greatest - height + 1)


@kernel("boolean(float64, float64, int64, int64)", nogil=False)
def orders_fit(low: float, high: float, side: int, greatest: int) -> bool:
    """Whether the open interval has room for a different order for each height."""
    above = high
    for height in range(greatest + 1):
        place = part_order(low, high, side, height, greatest)
        if not low < place < above:
            return False
        above = place
    return True


@kernel("void(int32[::1], float64[::1])", nogil=False)
def sort_by_order(labels: Any, order: Any) -> None:
    """Sort labels by their order, in place. Shellsort, because there are usually few."""
    count = len(labels)
    gap = count // 2
    while gap > 0:
        for position in range(gap, count):
            label, place = labels[position], position
            while place >= gap and order[labels[place - gap]] > order[label]:
                labels[place] = labels[place - gap]
                place -= gap
            labels[place] = label
        gap = 1 if gap == 2 else gap * 5 // 11  # noqa: PLR2004 - ratios that are known to do well


@kernel("int64(int32[::1], float64[::1], float64, float64)", nogil=False)
def move_between(labels: Any, order: Any, low: float, high: float) -> int:
    """
    Move labels into the open interval between two orders; OVER if there is no room.

    At least one of the orders is finite. The labels keep their relative order.
    """
    sort_by_order(labels, order)
    count = len(labels)
    below, step = low, (high - low) / (count + 1)
    for position in range(count):
        if high == np.inf:
            place = low + (position + 1)
        elif low == -np.inf:
            place = high - (count - position)
        else:
            place = low + step * (position + 1)
        if not below < place < high:
            return OVER
        order[labels[position]] = place
        below = place
    return DONE
