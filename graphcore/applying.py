"""How a change set is applied: which of its records become nodes and edges, which replace, which wait."""

from collections.abc import Hashable, Iterable
from itertools import chain

from graphcore.changes import ChangeSet, DependencyRecord, ServiceRecord
from graphcore.errors import DuplicateNameError
from graphcore.topology import Topology
from graphcore.waiting import WaitingDependencies


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
