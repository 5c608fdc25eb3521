"""What memory held at one moment, to be compared with the tables as they were at that moment."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


class HeldRecords(Protocol):
    """Records by key, taken out one by one as they are found in a table."""

    def take(self, key: bytes) -> object:
        """Take the record of a key; None = there is none. O(1)."""

    def rest(self) -> Iterator[object]:
        """Keys that nobody took."""


@dataclass(frozen=True, slots=True)
class HeldGraph:
    """All records of a graph, those of dependencies that wait included."""

    services: HeldRecords
    dependencies: HeldRecords
