"""Other names of services: which service each stands for."""

from collections.abc import Generator, Hashable, Iterable, Iterator, Sequence

from graphcore.graph.columns import batches
from graphcore.graph.records import AliasRecord, DuplicateNameError

# Records copied or released at a time.
_STEP = 1_000


class Aliases:
    """
    Aliases by key, by name and by service. O(1) per alias.

    An alias knows its service by key only, so one whose service is missing needs no second place:
    it resolves to nothing until that service appears.
    """

    def __init__(self) -> None:
        self._records: dict[Hashable, AliasRecord] = {}
        self._by_name: dict[str, AliasRecord] = {}
        # The inner dict is a set.
        self._by_service: dict[Hashable, dict[Hashable, None]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def find(self, key: Hashable) -> AliasRecord | None:
        """Look up an alias by key; None if it is not here."""
        return self._records.get(key)

    def named(self, name: str) -> AliasRecord | None:
        """Look up an alias by its name; None if there is none."""
        return self._by_name.get(name)

    def of_service(self, service: Hashable) -> list[AliasRecord]:
        """List the aliases of the service with this key, in no particular order. O(n) of them."""
        return [self._records[key] for key in self._by_service.get(service, ())]

    def records(self) -> dict[Hashable, AliasRecord]:
        """Return all of them by key, as a copy. O(n), 1 ms for 100,000."""
        return self._records.copy()

    def refuse_duplicates(self, upserted: Iterable[AliasRecord], removed: Iterable[Hashable]) -> None:
        """Raise ``DuplicateNameError`` if such a change left two aliases with one name."""
        latest = {record.key: record for record in upserted}
        freed = latest.keys() | removed
        claimed: set[str] = set()
        for record in latest.values():
            holder = self._by_name.get(record.name)
            if record.name in claimed or (holder is not None and holder.key not in freed):
                raise DuplicateNameError(record.name, "aliases")
            claimed.add(record.name)

    def apply(self, upserted: Sequence[AliasRecord], removed: Iterable[Hashable]) -> None:
        """Remove, then add and replace; names must not repeat. O(their number)."""
        for key in removed:
            self._remove(key)
        for record in upserted:
            self._remove(record.key)
        for record in upserted:
            # Of two records with one key the later counts.
            self._remove(record.key)
            self._records[record.key] = self._by_name[record.name] = record
            self._by_service.setdefault(record.service, {})[record.key] = None

    def _remove(self, key: Hashable) -> None:
        former = self._records.pop(key, None)
        if former is None:
            return
        del self._by_name[former.name]
        siblings = self._by_service[former.service]
        del siblings[key]
        if not siblings:
            del self._by_service[former.service]

    def copying(self) -> Generator[None, None, "Aliases"]:
        """Copy in steps of about 1 ms and return the copy; nothing may change meanwhile. O(n)."""
        copy = Aliases()
        copy._records = self._records.copy()
        yield
        copy._by_name = self._by_name.copy()
        for services in batches(self._by_service.items(), _STEP):
            yield
            copy._by_service.update((service, keys.copy()) for service, keys in services)
        return copy

    def emptying(self) -> Iterator[None]:
        """Release all records, some a step."""
        for table in (self._by_service, self._by_name, self._records):
            while table:
                for _ in range(min(_STEP, len(table))):
                    table.popitem()
                yield
