"""Arrays and dicts that grow without long pauses: what stands beside the nodes and edges of a graph."""

from collections.abc import Generator, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Generic, TypeVar

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


Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")

SHARDS = 32


class ShardedDict(Mapping[Key, Value], Generic[Key, Value]):
    """
    A mapping spread over dicts by the hash of the key; what it has of a dict's methods is called as there.

    A dict of a million entries takes 30 ms to grow, all of it in the middle of one insertion; each of these takes one.
    A look-up costs 0.2 µs more. The order of keys means nothing.
    """

    __slots__ = ("_shards",)

    def __init__(self, shards: Sequence[dict[Key, Value]] = ()) -> None:
        self._shards = shards or [{} for _ in range(SHARDS)]

    def __getitem__(self, key: Key) -> Value:
        return self._shards[hash(key) % SHARDS][key]

    def __contains__(self, key: object) -> bool:
        return key in self._shards[hash(key) % SHARDS]

    def __iter__(self) -> Iterator[Key]:
        for shard in self._shards:
            yield from shard

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    # The one of Mapping goes by exceptions, several times as slowly.
    def get(self, key: Key, default: None = None) -> Value | None:  # type: ignore[override]
        """Look a key up; None = it is not here. O(1)."""
        return self._shards[hash(key) % SHARDS].get(key, default)

    def pop(self, key: Key, default: None = None) -> Value | None:
        """Take a key out; None = it was not here. O(1)."""
        return self._shards[hash(key) % SHARDS].pop(key, default)

    def update(self, entries: Iterable[tuple[Key, Value]]) -> None:
        """Add or replace entries. O(1) each."""
        shards = self._shards
        for key, value in entries:
            shards[hash(key) % SHARDS][key] = value

    def shards(self) -> Iterator[dict[Key, Value]]:
        """Go through the dicts themselves."""
        return iter(self._shards)

    def copying(self) -> Generator[None, None, "ShardedDict[Key, Value]"]:
        """Copy it dict by dict, while it does not change; returns the copy. O(n)."""
        copies: list[dict[Key, Value]] = []
        for shard in self._shards:
            copies.append(shard.copy())
            yield
        return ShardedDict(copies)
