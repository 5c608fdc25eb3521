"""Columns and dicts of nodes and edges that grow and are copied without long pauses."""

from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Item = TypeVar("Item")
Element = TypeVar("Element", bound=np.generic)
Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

SHARDS = 32

_LEAST_LENGTH = 64
# Objects copied at a time: half a millisecond, most of it to count references all over memory.
_BLOCK = 32_768


def batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Iterate over lists of ``size`` items; nothing may change meanwhile."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def grown(column: NDArray[Element], length: int) -> NDArray[Element]:
    """Copy an array into one of at least ``length`` and twice as many rows, new ones not set."""
    longer = np.empty((max(length, 2 * len(column)), *column.shape[1:]), column.dtype)
    longer[: len(column)] = column
    return longer


class ObjectColumn:
    """
    An array of objects by index, ``None`` where there is none; grows by doubling.

    ``values`` is replaced when it grows, so look it up at every use.
    """

    __slots__ = ("values",)

    def __init__(self) -> None:
        self.values: NDArray[np.object_] = np.empty(_LEAST_LENGTH, object)

    def put(self, places: NDArray[np.int32], objects: Sequence[object], room: int) -> None:
        """Put an object at each place; ``room`` is above all places. Amortised O(1) each."""
        if room > len(self.values):
            self.values = grown(self.values, room)
        # By fromiter: assigning a list of tuples would make each tuple a row.
        self.values[places] = np.fromiter(objects, object, len(objects))

    def growing(self, length: int) -> Iterator[None]:
        """Make room for ``length`` objects, a block a step; nothing may be put meanwhile."""
        if length > len(self.values):
            yield from self.copy_into(self, max(length, 2 * len(self.values)))

    def copy_into(self, other: "ObjectColumn", length: int) -> Iterator[None]:
        """Make ``other`` a copy of ``length``, a block a step; neither may change meanwhile."""
        copy = np.empty(0, object)
        for start in range(0, length, _BLOCK):
            # Block by block: to allocate 10 MB at once takes 20 ms, as all is written.
            copy.resize(min(start + _BLOCK, length), refcheck=False)
            some = self.values[start : start + _BLOCK][: length - start]
            copy[start : start + len(some)] = some
            copy[start + len(some) :] = None
            yield
        other.values = copy

    def emptying(self) -> Iterator[None]:
        """Release all objects, a block a step."""
        for start in range(0, len(self.values), _BLOCK):
            self.values[start : start + _BLOCK] = None
            yield

    def clear(self, places: NDArray[np.int32]) -> None:
        """Release the objects at these places."""
        self.values[places] = None


class ShardedDict(Mapping[Key, Value], Generic[Key, Value]):
    """
    A mapping spread over 32 dicts by the hash of the key, so that none takes long to grow or copy.

    A dict of a million entries takes 30 ms to grow, within a single insertion; a shard takes 1 ms.
    A look-up costs 0.2 µs more. The order of keys has no meaning.
    """

    __slots__ = ("shards",)

    def __init__(self, shards: Sequence[dict[Key, Value]] = ()) -> None:
        self.shards = shards or [{} for _ in range(SHARDS)]

    def __getitem__(self, key: Key) -> Value:
        return self.shards[hash(key) % SHARDS][key]

    def __contains__(self, key: object) -> bool:
        return key in self.shards[hash(key) % SHARDS]

    def __iter__(self) -> Iterator[Key]:
        return chain.from_iterable(self.shards)

    def __len__(self) -> int:
        return sum(map(len, self.shards))

    # Mapping.get relies on exceptions and is several times slower.
    def get(self, key: Key, default: None = None) -> Value | None:  # type: ignore[override]
        """Look up a key; None if it is absent. O(1)."""
        return self.shards[hash(key) % SHARDS].get(key, default)

    def pop(self, key: Key, default: None = None) -> Value | None:
        """Remove a key and return its value; None if it was absent. O(1)."""
        return self.shards[hash(key) % SHARDS].pop(key, default)

    def update(self, entries: Iterable[tuple[Key, Value]]) -> None:
        """Add or replace entries. O(1) each."""
        shards = self.shards
        for key, value in entries:
            shards[hash(key) % SHARDS][key] = value

    def copying(self) -> Generator[None, None, "ShardedDict[Key, Value]"]:
        """Copy a shard a step and return the copy; nothing may change meanwhile. O(n)."""
        copies: list[dict[Key, Value]] = []
        for shard in self.shards:
            copies.append(shard.copy())
            yield
        return ShardedDict(copies)
