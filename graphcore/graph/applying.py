"""How a change set is applied: which records become nodes and edges, which replace others, which dangle."""

from collections.abc import Hashable, Iterable
from itertools import chain, islice

from graphcore.graph.records import ChangeSet, DependencyRecord, DuplicateNameError, ServiceRecord
from graphcore.graph.topology import Topology


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


def apply_changes(topology: Topology, waiting: WaitingDependencies, changes: ChangeSet) -> None:
    """
    Apply a change set as a whole; the rules stand at ``DependencyGraph.apply``.

    Raises ``DuplicateNameError``, and then nothing has changed.
    """
    services = {record.key: record for record in changes.upserted_services}
    _refuse_duplicate_names(topology, services, changes.removed_services)
    topology.unlink(changes.removed_dependencies)
    waiting.discard_all(changes.removed_dependencies)
    for orphan, missing in topology.remove_services(changes.removed_services):
        waiting.hold(orphan, missing)
    appeared = _upsert_services(topology, services)
    released = waiting.release(appeared)
    _upsert_dependencies(topology, waiting, chain(released, changes.upserted_dependencies))


def _refuse_duplicate_names(
    topology: Topology, upserted: dict[Hashable, ServiceRecord], removed: Iterable[Hashable]
) -> None:
    """Raise ``DuplicateNameError`` if a name would be held twice once the change set is applied."""
    node_by_name = topology.node_by_name
    claimed = {record.name for record in upserted.values()}
    if len(claimed) == len(upserted) and node_by_name.keys().isdisjoint(claimed):
        return
    moving = upserted.keys() | removed
    claimed.clear()
    for record in upserted.values():
        holder = node_by_name.get(record.name)
        held = holder is not None and topology.digraph[holder].key not in moving
        if held or record.name in claimed:
            raise DuplicateNameError(record.name)
        claimed.add(record.name)


def _upsert_services(topology: Topology, upserted: dict[Hashable, ServiceRecord]) -> list[Hashable]:
    """Add and replace services; returns the keys that were not here before."""
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
    topology: Topology, waiting: WaitingDependencies, records: Iterable[DependencyRecord]
) -> None:
    """Link, replace or hold each record; of several with one key the last counts."""
    latest = {record.key: record for record in records}
    arriving = topology.replace_dependencies(latest)
    for record in topology.link(arriving):
        waiting.hold(record, _missing_end(topology, record))
    if waiting:
        waiting.discard_all([record.key for record in arriving if record.key in topology.edge_by_dependency])


def _missing_end(topology: Topology, record: DependencyRecord) -> Hashable | None:
    """Which service a dependency waits for; None = no service can help a dependency of one on itself."""
    present = topology.node_by_service
    if record.source not in present:
        return record.source
    return None if record.target in present else record.target
