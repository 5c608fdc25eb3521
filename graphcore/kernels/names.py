"""
Sorts names that lie one behind the other in UTF-8, in which bytes sort as code points do.

Each ends with a NUL, which no name holds.

Names are compared by words of seven bytes, kept beside the order, so that the names themselves are
read once a word and not at every comparison. Source: J. Bentley and R. Sedgewick, "Fast algorithms
for sorting and searching strings", 1997: quicksort in three parts, the middle one going on with the
next word.
"""

from typing import Any

import numpy as np

from graphcore.compiling import kernel

WORD = 7
STACK_ROWS = 128
"""The largest part waits longest: at most two parts wait for each halving, of at most 2³¹ names."""

_FEW = 12
_LOW, _HIGH, _DEPTH = 0, 1, 2
_BYTE = 255
# A pivot that follows no pattern of the names; the numbers are those of the C standard's example.
_FACTOR, _STEP, _MASK = 1_103_515_245, 12_345, 2**31 - 1


@kernel("int64(Array(uint8, 1, 'C', readonly=True), int64)")
def word_at(content: Any, at: int) -> int:
    """Read the next seven bytes of a name as one number, with zeros behind its end."""
    word, left = np.int64(0), WORD
    while left > 0 and content[at] != 0:
        word = word << 8 | np.int64(content[at])
        at += 1
        left -= 1
    return int(word << 8 * left)


@kernel("boolean(Array(uint8, 1, 'C', readonly=True), int64, int64)")
def comes_before(content: Any, one: int, other: int) -> bool:
    """Tell whether the rest of a name comes before that of another."""
    while content[one] == content[other] and content[one] != 0:
        one += 1
        other += 1
    return bool(content[one] < content[other])


@kernel("void(Array(uint8, 1, 'C', readonly=True), int64[::1], int32[::1], int64, int64, int64)")
def sort_few(content: Any, starts: Any, order: Any, low: int, high: int, depth: int) -> None:
    """Sort some names whose first ``depth`` bytes are equal, by insertion."""
    for place in range(low + 1, high):
        number, free = order[place], place
        while free > low and comes_before(content, starts[number] + depth, starts[order[free - 1]] + depth):
            order[free] = order[free - 1]
            free -= 1
        order[free] = number


@kernel("void(int64[::1], int32[::1], int64, int64)")
def swap(words: Any, order: Any, one: int, other: int) -> None:
    """Let two names change places."""
    words[one], words[other] = words[other], words[one]
    order[one], order[other] = order[other], order[one]


@kernel("int64(int64[:, ::1], int64, int64, int64, int64)")
def push(stack: Any, top: int, low: int, high: int, depth: int) -> int:
    """Note a part that is still to be sorted."""
    stack[top, _LOW], stack[top, _HIGH], stack[top, _DEPTH] = low, high, depth
    return top + 1


@kernel("void(Array(uint8, 1, 'C', readonly=True), int64[::1], int32[::1], int64[::1], int64[:, ::1])")
def sort_names(content: Any, starts: Any, order: Any, words: Any, stack: Any) -> None:
    """
    Put the numbers of names, whose beginnings are ``starts``, into the order of the names.

    ``words`` and ``stack`` are scratch. O(V log V + bytes), expected.
    """
    for number in range(len(starts)):
        order[number] = number
        words[number] = word_at(content, starts[number])
    dice = 1
    top = push(stack, 0, 0, len(starts), 0)
    while top > 0:
        top -= 1
        low, high, depth = stack[top, _LOW], stack[top, _HIGH], stack[top, _DEPTH]
        if high - low <= _FEW:
            sort_few(content, starts, order, low, high, depth)
            continue
        dice = (dice * _FACTOR + _STEP) & _MASK
        pivot = words[low + dice % (high - low)]
        less, place, more = low, low, high
        while place < more:
            word = words[place]
            if word < pivot:
                swap(words, order, less, place)
                less += 1
                place += 1
            elif word > pivot:
                more -= 1
                swap(words, order, place, more)
            else:
                place += 1
        # Names that end within the word are equal in all of it: there is but one.
        following = depth + WORD if pivot & _BYTE else depth
        middle = more if pivot & _BYTE else less
        for number in range(less, middle):
            words[number] = word_at(content, starts[order[number]] + following)
        if middle - less >= max(less - low, high - more):
            top = push(stack, top, less, middle, following)
            top = push(stack, top, low, less, depth)
            top = push(stack, top, more, high, depth)
        elif less - low >= high - more:
            top = push(stack, top, low, less, depth)
            top = push(stack, top, less, middle, following)
            top = push(stack, top, more, high, depth)
        else:
            top = push(stack, top, more, high, depth)
            top = push(stack, top, less, middle, following)
            top = push(stack, top, low, less, depth)
