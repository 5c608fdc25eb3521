"""Arrays that grow: what stands beside the nodes and edges of a graph, found by their index."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Element = TypeVar("Element", bound=np.generic)

_LEAST_LENGTH = 64
# Objects copied at a time: half a millisecond, most of it for counting references to objects all over memory.
_BLOCK = 32_768


def grown(column: NDArray[Element], length: int) -> NDArray[Element]:
    """Copy an array to one of at least ``length`` rows, and of twice as many as it has; what the new rows hold is unspecified."""
    longer = np.empty((max(length, 2 * len(column)), *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer


class ObjectColumn:
    """
    One object an index, ``None`` where there is none; grown by doubling.

    ``values`` is replaced as it grows, so look it up at every use.
    """

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: NDArray[np.object_] = np.empty(_LEAST_LENGTH, object)

    def put(self, places: NDArray[np.int32], objects: Sequence[object], room: int) -> None:
        """Put one object at each place; ``room`` is more than any of these and what to grow to at least. Amortised O(1) each."""
        if room > len(self.values):
            self.values = grown(self.values, room)
        # By fromiter, because assigning a list of tuples would make a row of each of them.
        self.values[places] = np.fromiter(objects, object, len(objects))

    def growing(self, length: int) -> Iterator[None]:
        """Make room for so many objects a block at a time, while nothing is put; O(objects)."""
        if length > len(self.values):
            yield from self.copy_into(self, max(length, 2 * len(self.values)))

    def copy_into(self, other: "ObjectColumn", length: int) -> Iterator[None]:
        """Give ``other`` a column of this length that is equal to this one, a block at a time, while neither changes; O(objects)."""
        copy = np.empty(0, object)
        for start in range(0, length, _BLOCK):
            # Longer step by step: to allocate ten megabytes at once takes twenty milliseconds, since all of it is written to.
            copy.resize(min(start + _BLOCK, length), refcheck=False)
            some = self.values[start : start + _BLOCK][: length - start]
            copy[start : start + len(some)] = some
            copy[start + len(some) :] = None
            yield
        other.values = copy

    def emptying(self) -> Iterator[None]:
        """Let go of all objects a block at a time."""
        for start in range(0, len(self.values), _BLOCK):
            self.values[start : start + _BLOCK] = None
            yield

    def clear(self, places: NDArray[np.int32]) -> None:
        """Let go of the objects at these places."""
        self.values[places] = None
