"""The services that dependencies are between: their names, found by key."""

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from server.wire.fields import field_length
from server.wire.kernels.layout import FIXED
from server.wire.kernels.names import EMPTY, add_keys

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)

_FIRST_ROWS = 1_024
_FIRST_BYTES = 32 * _FIRST_ROWS
_WORDS_A_KEY = 4


class NameTable:
    """
    Names of services by position, as briefs one behind the other, and a hash table from keys to positions.

    Kernels write into its arrays; ``grow`` before, ``took`` afterwards. O(1) amortised for each service.
    """

    def __init__(self) -> None:
        self.count = 0
        self.keys: NDArray[np.uint32] = np.empty((_FIRST_ROWS, _WORDS_A_KEY), np.uint32)
        self.starts: NDArray[np.int64] = np.zeros(_FIRST_ROWS + 1, np.int64)
        self.names: NDArray[np.uint8] = np.empty(_FIRST_BYTES, np.uint8)
        self.slots: NDArray[np.int32] = np.full(2 * _FIRST_ROWS, EMPTY, np.int32)

    def grow(self, rows: int, text: int) -> None:
        """Make room for so many services with names of so many bytes together."""
        needed = self.count + rows
        if needed > len(self.keys):
            capacity = max(needed, 2 * len(self.keys))
            self.keys = _longer(self.keys, capacity)
            self.starts = _longer(self.starts, capacity + 1)
        needed = int(self.starts[self.count]) + text + rows * FIXED
        if needed > len(self.names):
            self.names = _longer(self.names, max(needed, 2 * len(self.names)))

    def name(self, position: int) -> str:
        """Return the name of a service; "" for a position below 0."""
        if position < 0:
            return ""
        begin, end = int(self.starts[position]), int(self.starts[position + 1])
        brief = self.names[begin:end].tobytes()
        return brief[field_length(brief, 1)[1] :].decode()

    def took(self, rows: int) -> None:
        """Enter the services that a kernel wrote behind the last one."""
        first, self.count = self.count, self.count + rows
        if 2 * self.count > len(self.slots):
            first = 0
            self.slots = np.full(1 << (4 * self.count - 1).bit_length(), EMPTY, np.int32)
        add_keys.run(self.slots, self.keys, first, self.count)


def _longer(array: "NDArray[Scalar]", length: int) -> "NDArray[Scalar]":
    longer = np.empty((length, *array.shape[1:]), array.dtype)
    longer[: len(array)] = array
    return longer
