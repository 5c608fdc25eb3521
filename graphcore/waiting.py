"""Dependencies that can't be edges yet, because a service at one of their ends is not there."""

from collections.abc import Hashable, Iterable
from itertools import islice

from graphcore.changes import DependencyRecord


class WaitingDependencies:
    """
    Dependencies kept aside until the service they lack appears.

    Each one waits under a single missing key; when that service appears it is handed back to be placed again, and
    waits on under its other end if that one is missing too. Every operation is O(1) per dependency.
    """

    __slots__ = ("_keys_by_missing", "_places", "edits")

    def __init__(self) -> None:
        self._places: dict[Hashable, tuple[DependencyRecord, Hashable | None]] = {}
        # The inner dict is an ordered set, so that a replay of the same changes links edges in the same order.
        self._keys_by_missing: dict[Hashable, dict[Hashable, None]] = {}
        self.edits = 0

    def __len__(self) -> int:
        return len(self._places)

    def records(self) -> list[DependencyRecord]:
        """All of them; O(their number)."""
        return [record for record, _ in self._places.values()]

    def held_for(self, missing: Hashable) -> list[DependencyRecord]:
        """Those that wait for this service; O(their number)."""
        return [self._places[key][0] for key in self._keys_by_missing.get(missing, ())]

    def copy(self) -> "WaitingDependencies":
        """Copy it; O(those that wait)."""
        copy = WaitingDependencies()
        copy._places = self._places.copy()
        copy._keys_by_missing = {missing: keys.copy() for missing, keys in self._keys_by_missing.items()}
        copy.edits = self.edits
        return copy

    def hold(self, record: DependencyRecord, missing: Hashable | None) -> None:
        """Keep a dependency until the service with key ``missing`` appears; None = no service can help it."""
        if self._places.get(record.key) == (record, missing):
            return
        self.discard(record.key)
        self._places[record.key] = (record, missing)
        if missing is not None:
            self._keys_by_missing.setdefault(missing, {})[record.key] = None
        self.edits += 1

    def discard(self, key: Hashable) -> None:
        """Forget a dependency if it waits here."""
        place = self._places.pop(key, None)
        if place is None:
            return
        self.edits += 1
        _, missing = place
        siblings = self._keys_by_missing.get(missing)
        if siblings is not None:
            siblings.pop(key, None)
            if not siblings:
                del self._keys_by_missing[missing]

    def discard_all(self, keys: Iterable[Hashable]) -> None:
        """Forget those of these dependencies that wait here; next to nothing while none waits at all."""
        if self._places:
            for key in keys:
                self.discard(key)

    def forget_newest(self, count: int) -> None:
        """Forget the ``count`` that came last, or all if there are no more."""
        for key in list(islice(reversed(self._places), count)):
            self.discard(key)

    def release(self, appeared: Iterable[Hashable]) -> list[DependencyRecord]:
        """Hand back, and forget, those that waited for one of these services; O(those handed back)."""
        keys = [key for service in appeared for key in self._keys_by_missing.pop(service, ())]
        self.edits += len(keys)
        return [self._places.pop(key)[0] for key in keys]
