"""Applying a change set: which records become nodes and edges, replace others, or dangle."""

from collections.abc import Hashable, Iterable
from itertools import chain, islice

from graphcore.graph.aliases import Aliases
from graphcore.graph.records import ChangeSet, DependencyRecord, DuplicateNameError, ServiceRecord
from graphcore.graph.topology import Topology


class DanglingDependencies:
    """
    Dependencies that can't be edges because a service is missing. O(1) per dependency.

    Each is filed under one missing key. When that service appears, ``release`` returns it to be
    linked; if its other end is missing too, it is filed again under that key.
    """

    def __init__(self) -> None:
        self._places: dict[Hashable, tuple[DependencyRecord, Hashable | None]] = {}
        # The inner dict is an ordered set, so that a replay links edges in the same order.
        self._keys_by_missing: dict[Hashable, dict[Hashable, None]] = {}

    def __len__(self) -> int:
        return len(self._places)

    def records(self) -> list[DependencyRecord]:
        """List all of them. O(n)."""
        return [record for record, _ in self._places.values()]

    def lacking(self, missing: Hashable) -> list[DependencyRecord]:
        """List those that are filed under this service. O(their number)."""
        return [self._places[key][0] for key in self._keys_by_missing.get(missing, ())]

    def copy(self) -> "DanglingDependencies":
        """Copy everything. O(n)."""
        copy = DanglingDependencies()
        copy._places = self._places.copy()
        copy._keys_by_missing = {missing: keys.copy() for missing, keys in self._keys_by_missing.items()}
        return copy

    def add(self, record: DependencyRecord, missing: Hashable | None) -> None:
        """File a dependency under a missing service; None if no service can make it an edge."""
        if self._places.get(record.key) == (record, missing):
            return
        self.discard(record.key)
        self._places[record.key] = (record, missing)
        if missing is not None:
            self._keys_by_missing.setdefault(missing, {})[record.key] = None

    def discard(self, key: Hashable) -> None:
        """Remove a dependency if it is here."""
        place = self._places.pop(key, None)
        if place is None:
            return
        _, missing = place
        siblings = self._keys_by_missing.get(missing)
        if siblings is not None:
            siblings.pop(key, None)
            if not siblings:
                del self._keys_by_missing[missing]

    def discard_all(self, keys: Iterable[Hashable]) -> None:
        """Remove those of these dependencies that are here."""
        if self._places:
            for key in keys:
                self.discard(key)

    def discard_newest(self, count: int) -> None:
        """Remove the newest ``count``, or all if there are fewer."""
        for key in list(islice(reversed(self._places), count)):
            self.discard(key)

    def release(self, appeared: Iterable[Hashable]) -> list[DependencyRecord]:
        """Remove and return those that are filed under one of these services. O(their number)."""
        keys = [key for service in appeared for key in self._keys_by_missing.pop(service, ())]
        return [self._places.pop(key)[0] for key in keys]


def apply_changes(
    topology: Topology, dangling: DanglingDependencies, aliases: Aliases, changes: ChangeSet
) -> None:
    """Apply a change set by the rules of ``DependencyGraph.apply``, which says what it raises."""
    services = {record.key: record for record in changes.upserted_services}
    _refuse_duplicate_names(topology, services, changes.removed_services)
    aliases.refuse_duplicates(changes.upserted_aliases, changes.removed_aliases)
    topology.unlink(changes.removed_dependencies)
    dangling.discard_all(changes.removed_dependencies)
    for orphan, missing in topology.remove_services(changes.removed_services):
        dangling.add(orphan, missing)
    appeared = _upsert_services(topology, services)
    released = dangling.release(appeared)
    _upsert_dependencies(topology, dangling, chain(released, changes.upserted_dependencies))
    aliases.apply(changes.upserted_aliases, changes.removed_aliases)


def _refuse_duplicate_names(
    topology: Topology, upserted: dict[Hashable, ServiceRecord], removed: Iterable[Hashable]
) -> None:
    node_by_name = topology.node_by_name
    claimed = {record.name for record in upserted.values()}
    if len(claimed) == len(upserted) and node_by_name.keys().isdisjoint(claimed):
        return
    freed = upserted.keys() | removed
    claimed.clear()
    for record in upserted.values():
        holder = node_by_name.get(record.name)
        held = holder is not None and topology.digraph[holder].key not in freed
        if held or record.name in claimed:
            raise DuplicateNameError(record.name)
        claimed.add(record.name)


def _upsert_services(topology: Topology, upserted: dict[Hashable, ServiceRecord]) -> list[Hashable]:
    """Add and replace services; returns the keys that are new."""
    present = topology.node_by_service.keys()
    known = [record for key, record in upserted.items() if key in present]
    new = [record for key, record in upserted.items() if key not in present]
    for record in known:
        topology.detach_name(record)
    for record in known:
        topology.replace_service(record)
    topology.add_services(new)
    return [record.key for record in new]


def _upsert_dependencies(
    topology: Topology, dangling: DanglingDependencies, records: Iterable[DependencyRecord]
) -> None:
    """Link or replace each record, or leave it dangling; of one key the last record counts."""
    latest = {record.key: record for record in records}
    arriving = topology.replace_dependencies(latest)
    for record in topology.link(arriving):
        dangling.add(record, _missing_end(topology, record))
    if dangling:
        dangling.discard_all([record.key for record in arriving if record.key in topology.edge_by_dependency])


def _missing_end(topology: Topology, record: DependencyRecord) -> Hashable | None:
    """Return a missing end of a dependency; None for a dependency of a service on itself."""
    present = topology.node_by_service
    if record.source not in present:
        return record.source
    return None if record.target in present else record.target
