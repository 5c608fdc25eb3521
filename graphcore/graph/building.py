"""Graphs that are read as a whole: built from columns, several times as fast as by change sets."""

from collections.abc import Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import STALE
from graphcore.graph.index import TraversalIndex
from graphcore.graph.records import ChangeSet, DependencyRecord, DuplicateNameError, ServiceRecord
from graphcore.graph.topology import Topology

Number = TypeVar("Number", np.int32, np.float64)


class GraphBuilder:
    """
    Builds one graph: all services, then all dependencies, then ``build_index``, then ``graph``.

    It trusts its caller that keys are unique and that flags and confidences are those of the records. ``cycle_confidence`` as of ``DependencyGraph``.
    """

    __slots__ = ("_confidences", "_ends", "_flags", "_topology", "_waiting")

    def __init__(self, *, cycle_confidence: float = 0.0) -> None:
        self._topology = Topology(cycle_confidence)
        self._ends: list[NDArray[np.int32]] = []
        self._flags: list[NDArray[np.int32]] = []
        self._confidences: list[NDArray[np.float64]] = []
        self._waiting: list[DependencyRecord] = []

    def add_services(self, records: Sequence[ServiceRecord]) -> None:
        """Add services; they are numbered 0, 1, … in the order in which they come. Raises ``DuplicateNameError``. O(1) each."""
        topology = self._topology
        topology.add_services(records)
        if len(topology.node_by_name) < len(topology.node_by_service):
            raise DuplicateNameError(_name_given_twice(topology))

    def making_room(self, dependency_count: int) -> Iterator[None]:
        """Prepare for more dependencies, a bit at a time: what would take long in ``add_dependencies``."""
        topology = self._topology
        yield from topology.dependency_payloads.growing(topology.digraph.num_edges() + dependency_count)

    def add_dependencies(
        self,
        records: Sequence[DependencyRecord],
        ends: NDArray[np.int32],
        flags: NDArray[np.int32],
        confidences: NDArray[np.float64],
    ) -> None:
        """Add dependencies between two different services each; ``ends`` are the numbers of source and target, a row each. O(1) each."""
        if not records:
            return
        topology = self._topology
        sources, targets = ends.T.tolist()
        edges = topology.digraph.add_edges_from(list(zip(sources, targets, records, strict=True)))
        topology.edge_by_dependency.update(zip([record.key for record in records], edges, strict=True))
        payloads = [record.payload for record in records]
        topology.dependency_payloads.put(np.array(edges, np.int32), payloads, topology.digraph.num_edges())
        self._ends.append(ends)
        self._flags.append(flags)
        self._confidences.append(confidences)

    def add_waiting(self, records: Sequence[DependencyRecord]) -> None:
        """Add dependencies that can't be edges. O(1) each."""
        self._waiting += records

    def build_index(self) -> None:
        """Build what walks need. O(V + E); lets other threads run where kernels are compiled, so call it in a thread of its own."""
        flags = _joined(self._flags, np.int32)
        ends = np.concatenate(self._ends) if self._ends else np.empty((0, 2), np.int32)
        topology = self._topology
        topology.index = TraversalIndex.built(
            topology.digraph.num_nodes(), ends, flags, _joined(self._confidences, np.float64)
        )
        topology.stale_count = int(np.count_nonzero(flags & STALE))
        self._ends, self._flags, self._confidences = [], [], []

    def graph(self) -> DependencyGraph:
        """Hand the graph over."""
        self._topology.take_moved()
        graph = DependencyGraph(self._topology)
        if self._waiting:
            graph.apply(ChangeSet(upserted_dependencies=self._waiting))
        return graph


def _joined(columns: list[NDArray[Number]], kind: type[Number]) -> NDArray[Number]:
    return np.concatenate(columns) if columns else np.empty(0, kind)


def _name_given_twice(topology: Topology) -> str:
    """Find a name that a later service took over from an earlier one."""
    return next(
        name
        for record in topology.digraph.nodes()
        if topology.node_by_service[record.key] != topology.node_by_name[(name := record.name)]
    )
