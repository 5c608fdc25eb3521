"""What the feed hands to the replica: rows, and the snapshot that they bring it to."""

from dataclasses import dataclass, field
from typing import Protocol
from uuid import UUID

from server.domain.consistency import Ingestion
from server.domain.dependencies import DependencyRow
from server.domain.held import HeldGraph
from server.domain.records import DependencyBatch, ServiceBatch
from server.domain.revision import Revision, Snapshot
from server.domain.services import Service


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """Where a replica stands: a snapshot of one run of one database (``feed_id``), and what that snapshot says of ingestions."""

    feed_id: str
    snapshot: Snapshot
    ingestions: tuple[Ingestion, ...] = ()

    @property
    def revision(self) -> Revision:
        """The revision that answers from here carry."""
        return Revision(self.feed_id, snapshot=self.snapshot)


@dataclass(frozen=True, slots=True)
class RowChanges:
    """Keys whose rows may differ, with the rows as the new snapshot sees them; None = no such row."""

    services: dict[UUID, Service | None] = field(default_factory=dict)
    dependencies: dict[UUID, DependencyRow | None] = field(default_factory=dict)


class ChangesDoNotFitError(Exception):
    """Memory differs from the snapshot that it claims to stand at: it must be read as a whole."""


class GraphStep(Protocol):
    """Changes on their way into the graph, which stands still until they are applied. All services come before any dependency."""

    async def add(self, changes: RowChanges) -> None:
        """Take in some changes."""

    async def add_services(self, batch: ServiceBatch) -> None:
        """Take in services, whether they have changed or not."""

    async def add_dependencies(self, batch: DependencyBatch) -> None:
        """Take in dependencies; all services of the table must have been added in batches before."""


class GraphLoad(Protocol):
    """A graph that is being read as a whole, beside the one that answers."""

    async def add_services(self, batch: ServiceBatch) -> None:
        """Take in some services."""

    async def add_dependencies(self, batch: DependencyBatch) -> None:
        """Take in some dependencies, after all services."""


class GraphSink(Protocol):
    """
    The live graph as the feed drives it.

    What awaits here lets readers run while it prepares a move. The move itself takes place between two awaits: they never see half of one.
    """

    @property
    def position(self) -> FeedPosition | None:
        """Where memory stands; None = nothing was loaded yet."""

    @property
    def service_count(self) -> int:
        """Services in memory."""

    @property
    def row_count(self) -> int:
        """Rows in memory, of both tables."""

    @property
    def is_waited_for(self) -> bool:
        """Whether a reader waits for memory to move on."""

    def snapshot_begins(self) -> None:
        """Note that a snapshot is about to be taken; ``apply`` or ``swap`` brings memory to it."""

    def step_begins(self) -> GraphStep:
        """Start to collect what differs from the graph as it is now."""

    async def apply(self, step: GraphStep, position: FeedPosition) -> None:
        """Move the graph on; ``ChangesDoNotFitError`` when that is impossible, and then it has not moved."""

    def loading_begins(self) -> GraphLoad:
        """Start an empty graph aside."""

    async def swap(self, load: GraphLoad, position: FeedPosition) -> None:
        """Answer from a loaded graph from now on."""

    async def held(self) -> HeldGraph:
        """Return what memory holds now, to be compared with the tables; it must not move meanwhile. O(rows)."""

    def connection_lost(self) -> None:
        """Say that the database is away."""
