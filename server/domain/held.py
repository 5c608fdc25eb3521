"""What memory held at one moment, to be compared with the tables as they were at that moment."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain

# A dict of a million keys takes 30 ms to grow, in one go; each of so many small ones takes a fraction of one.
_SHARDS = 64


class HeldRecords:
    """Records by key, taken out one by one as they are found in a table."""

    __slots__ = ("_shards",)

    def __init__(self) -> None:
        self._shards: tuple[dict[bytes, bytes], ...] = tuple({} for _ in range(_SHARDS))

    def add(self, records: Iterable[tuple[bytes, bytes]]) -> None:
        """Note keys with their records. O(records)."""
        shards = self._shards
        for key, record in records:
            shards[key[0] % _SHARDS][key] = record

    def take(self, key: bytes) -> bytes | None:
        """Take the record of a key; None = there is none. O(1)."""
        return self._shards[key[0] % _SHARDS].pop(key, None)

    def rest(self) -> Iterator[bytes]:
        """Keys that nobody took."""
        return chain.from_iterable(self._shards)


@dataclass(frozen=True, slots=True)
class HeldGraph:
    """All records of a graph, those of dependencies that wait included."""

    services: HeldRecords = field(default_factory=HeldRecords)
    dependencies: HeldRecords = field(default_factory=HeldRecords)
