"""Building a whole graph from columns, several times as fast as by change sets."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from graphcore.graph.aliases import Aliases
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import STALE
from graphcore.graph.index import TraversalIndex
from graphcore.graph.records import (
    AliasRecord,
    ChangeSet,
    DependencyRecord,
    DuplicateNameError,
    ServiceRecord,
)
from graphcore.graph.topology import Topology


class GraphBuilder:
    """
    Builds a graph: add all services, then all dependencies, call ``build_index``, then ``graph``.

    Aliases may be added at any time before.

    Trusts its caller that keys are unique, and that flags and confidences are those of the records.
    ``cycle_confidence`` is that of the ``DependencyGraph``.
    """

    def __init__(self, *, cycle_confidence: float = 0.0) -> None:
        self._topology = Topology(cycle_confidence)
        # One of each, so that there is something to concatenate.
        self._ends: list[NDArray[np.int32]] = [np.empty((0, 2), np.int32)]
        self._flags: list[NDArray[np.int32]] = [np.empty(0, np.int32)]
        self._confidences: list[NDArray[np.float64]] = [np.empty(0)]
        self._dangling: list[DependencyRecord] = []
        self._aliases = Aliases()

    def add_services(self, records: Sequence[ServiceRecord]) -> None:
        """Add services as nodes 0, 1, … in this order. Raises ``DuplicateNameError``. O(1) each."""
        topology = self._topology
        topology.add_services(records)
        if len(topology.node_by_name) < len(topology.node_by_service):
            names = Counter(record.name for record in topology.digraph.nodes())
            raise DuplicateNameError(names.most_common(1)[0][0])

    def making_room(self, dependency_count: int) -> Iterator[None]:
        """Make room for more dependencies in short steps."""
        topology = self._topology
        yield from topology.dependency_payloads.growing(topology.digraph.num_edges() + dependency_count)

    def add_dependencies(
        self,
        records: Sequence[DependencyRecord],
        ends: NDArray[np.int32],
        flags: NDArray[np.int32],
        confidences: NDArray[np.float64],
    ) -> None:
        """Add dependencies; ``ends`` has the nodes of source and target, a row each."""
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

    def add_dangling(self, records: Sequence[DependencyRecord]) -> None:
        """Add dependencies that can't be edges because a service is missing. O(1) each."""
        self._dangling += records

    def add_aliases(self, records: Sequence[AliasRecord]) -> None:
        """Add aliases, whose services may be missing. Raises ``DuplicateNameError``. O(1) each."""
        self._aliases.refuse_duplicates(records, ())
        self._aliases.apply(records, ())

    def build_index(self) -> None:
        """Build the traversal index. O(V + E); compiled, it lets other threads run."""
        topology, flags = self._topology, np.concatenate(self._flags)
        ends, confidences = np.concatenate(self._ends), np.concatenate(self._confidences)
        topology.index = TraversalIndex.built(topology.digraph.num_nodes(), ends, flags, confidences)
        topology.stale_count = int(np.count_nonzero(flags & STALE))
        self._ends, self._flags, self._confidences = [], [], []

    def graph(self) -> DependencyGraph:
        """Return the graph; the builder must not be used any more."""
        self._topology.take_deltas()
        graph = DependencyGraph(self._topology, aliases=self._aliases)
        if self._dangling:
            graph.apply(ChangeSet(upserted_dependencies=self._dangling))
        return graph
