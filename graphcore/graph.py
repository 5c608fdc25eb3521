"""The dependency graph in memory: a pure function of the rows it was given, however they came."""

from collections.abc import Callable, Generator, Iterator, Sequence
from typing import Self, TypeVar, cast

from graphcore.applying import apply_changes
from graphcore.changes import ChangeSet, DependencyRecord, ServiceRecord
from graphcore.component_index import ComponentIndex
from graphcore.copying import copying
from graphcore.dismantling import dismantle
from graphcore.kept_components import KeptComponents, confident
from graphcore.lookup import GraphLookup
from graphcore.payload_table import PayloadTable, noting
from graphcore.topology import Topology
from graphcore.traversal_index import TraversalIndex
from graphcore.waiting import WaitingDependencies

T = TypeVar("T")


class DependencyGraph(GraphLookup):
    """
    Services and the dependencies between them, changed only by ``apply``.

    Whatever the order and grouping of changes, the content equals that of a graph built from the final rows; only
    the order of a service's edges, and with it the order of services of one depth, depends on the way here.

    A dependency whose two services are not both present *waits*: it is counted and listed, but no edge, and joins as
    soon as the missing service appears. So does, for good, a dependency of a service on itself.

    Not thread-safe: change and read it from one thread. Records are immutable, so answers taken from the graph stay
    what they were while it moves on.

    ``cycle_confidence`` is the least confidence of dependencies that make ``confident_components``; given topology has its own.
    """

    __slots__ = ("_derived", "_version", "confident_components", "index", "kept_components")

    def __init__(
        self,
        topology: Topology | None = None,
        waiting: WaitingDependencies | None = None,
        *,
        cycle_confidence: float = 0.0,
    ) -> None:
        super().__init__(
            Topology(cycle_confidence) if topology is None else topology,
            WaitingDependencies() if waiting is None else waiting,
        )
        self.index = self._topology.index
        """The adjacency of ``digraph`` as arrays, for kernels to read; changing it breaks the graph."""
        self.kept_components = KeptComponents(self.digraph, ComponentIndex(self.index))
        """What ``components`` answers from, and whether it can do so at once."""
        self.confident_components = confident(self.kept_components, self._topology)
        """The same over dependencies of at least ``cycle_confidence`` alone; the very same object while that is 0."""
        self._derived: dict[object, object] = {}
        self._version = 0

    @classmethod
    def from_records(
        cls, services: Sequence[ServiceRecord], dependencies: Sequence[DependencyRecord] = ()
    ) -> Self:
        """Build a graph of these rows; raises ``DuplicateNameError``. O(V + E)."""
        graph = cls()
        graph.apply(ChangeSet(upserted_services=services, upserted_dependencies=dependencies))
        return graph

    @property
    def cycle_confidence(self) -> float:
        """The least confidence of dependencies that make ``confident_components``."""
        return self._topology.floor

    @property
    def version(self) -> int:
        """Number of change sets so far that changed anything."""
        return self._version

    def derived(self, compute: "Callable[[DependencyGraph], T]") -> T:
        """Return ``compute(self)``, remembered until names, edges or staleness change (not payloads)."""
        if compute not in self._derived:
            self._derived[compute] = compute(self)
        return cast("T", self._derived[compute])

    def apply(self, changes: ChangeSet) -> None:
        """
        Move from one state of the tables to another, as a whole.

        Removals come first and names are freed before they are given out, so in one set services may swap names, a
        name may move to another key, and a dependency may change its ends. Removing a key that is not here does nothing.
        A service removed without its dependencies leaves them waiting.

        Raises ``DuplicateNameError``, and then nothing has changed. O(changed records + degrees of removed services).
        """
        edits, reshapings = self._edits(), self._topology.reshapings
        apply_changes(self._topology, self._waiting, changes)
        if self._edits() != edits:
            self._version += 1
        if self._topology.reshapings != reshapings:
            self._derived.clear()
        moved = self._topology.take_moved()
        self.kept_components.update(moved.removed.fresh, moved.added.fresh, moved.nodes)
        if self.confident_components is not self.kept_components:
            self.confident_components.update(moved.removed.confident, moved.added.confident, moved.nodes)

    def dismantle(self) -> Iterator[None]:
        """
        Free what the graph holds, in steps of one to two milliseconds; nothing may be asked of it any more once the first is made.

        Dropping a graph of a million dependencies in one go takes a third of a second. Answers taken from it stay what they are.
        """
        self._derived.clear()
        return dismantle(self._topology, self._waiting)

    def making_room(self, dependency_count: int) -> Iterator[None]:
        """Make room for more dependencies a bit at a time, while the graph stands still; that of the index is made by ``roomier``."""
        wanted = max(self.digraph.num_edges() + dependency_count, len(self.index.edges))
        return self._topology.dependency_payloads.growing(wanted)

    def noting(self) -> Generator[None, None, tuple[PayloadTable, PayloadTable]]:
        """Note all payloads of services and dependencies by their keys, a bit at a time while the graph stands still; see ``PayloadTable``."""
        return noting(self._topology, self._waiting)

    def copying(self, index: TraversalIndex) -> Generator[None, None, "DependencyGraph"]:
        """
        Copy the graph a bit at a time, while it stands still; ``index`` is a copy of its own (``TraversalIndex.roomier``).

        Records are shared. O(V + E), a bit in about a millisecond, but for what is kept by service: 3 ms for 100,000 of them.
        """
        topology = yield from copying(self._topology, index)
        return DependencyGraph(topology, self._waiting.copy())

    def _edits(self) -> int:
        return self._topology.edits + self._waiting.edits
