"""
An order of services as a linked list; moving a service and comparing two take O(1).

Keys rise along the list. A service that moves gets a key between those of its new neighbours. When
there is no double between these, all keys are renumbered.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel
from graphcore.kernels.cuts import NEXT, ORDER, PREVIOUS


@kernel(f"void({ORDER})")
def renumber(link: Any, key: Any) -> None:
    """Give all services new keys, from 0 on."""
    ends = len(key)
    node, number = link[NEXT, ends], 0
    while node != ends:
        key[node] = number
        number += 1
        node = link[NEXT, node]


@kernel(f"void({ORDER}, int32[::1])")
def arrange(link: Any, key: Any, order: Any) -> None:
    """Make the list hold this order."""
    ends = len(key)
    former = ends
    for position in range(ends):
        node = order[position]
        link[PREVIOUS, node] = former
        link[NEXT, former] = node
        key[node] = position
        former = node
    link[NEXT, former] = ends
    link[PREVIOUS, ends] = former


@kernel(f"void({ORDER}, int32[::1])")
def write_down(link: Any, key: Any, order: Any) -> None:
    """Fill ``order`` with the list."""
    ends = len(key)
    node = link[NEXT, ends]
    for position in range(ends):
        order[position] = node
        node = link[NEXT, node]


@kernel(f"void({ORDER}, int32[::1], int64)")
def move_behind(link: Any, key: Any, moving: Any, place: int) -> None:
    """
    Move services, in the given order, behind ``place``, a service that is not among them.

    ``place`` = ``len(key)`` moves them to the front.
    """
    ends = len(key)
    for node in moving:
        before, after = link[PREVIOUS, node], link[NEXT, node]
        link[NEXT, before] = after
        link[PREVIOUS, after] = before
    following, former = link[NEXT, place], place
    for node in moving:
        link[PREVIOUS, node] = former
        link[NEXT, former] = node
        former = node
    link[NEXT, former] = following
    link[PREVIOUS, following] = former
    span = float(len(moving) + 1)
    low, high = 0.0, span
    if place != ends:
        low, high = key[place], key[place] + span
        if following != ends:
            high = key[following]
    elif following != ends:
        low, high = key[following] - span, key[following]
    step, former_key, fits = (high - low) / span, low, True
    for position in range(len(moving)):
        here = low + (position + 1) * step
        fits = fits and former_key < here < high
        key[moving[position]] = here
        former_key = here
    if not fits:
        renumber(link, key)


@kernel(f"void({ORDER}, int32[::1], int64)")
def shift(link: Any, key: Any, nodes: Any, place: int) -> None:
    """Move services behind another one; they keep their relative order."""
    keys = np.empty(len(nodes), np.float64)
    for position in range(len(nodes)):
        keys[position] = key[nodes[position]]
    along = np.argsort(keys)
    moving = np.empty(len(nodes), np.int32)
    for position in range(len(nodes)):
        moving[position] = nodes[along[position]]
    move_behind(link, key, moving, place)
