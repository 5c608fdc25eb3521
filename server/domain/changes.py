"""What the feed gives the replica: batches of rows, and the snapshot that they lead to."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, TypeAlias
from uuid import UUID

from server.domain.dependencies import DependencyRow, DiscoverySource
from server.domain.records import AliasBatch, DependencyBatch, ServiceBatch
from server.domain.revision import Revision, Snapshot
from server.domain.services import Service, ServiceAlias


class HeldRecords(Protocol):
    """Records by key, removed as they are found in a table."""

    def take(self, key: bytes) -> object:
        """Remove and return the record of a key; None = there is none. O(1)."""

    def rest(self) -> Iterator[object]:
        """Yield the keys that were not taken."""


@dataclass(frozen=True, slots=True)
class HeldGraph:
    """
    All records in memory at one moment, dangling dependencies included.

    Those of services and dependencies are encoded, those of aliases are as ``alias_record`` makes
    them.
    """

    services: HeldRecords
    dependencies: HeldRecords
    aliases: HeldRecords


@dataclass(frozen=True, slots=True)
class Ingestion:
    """The last successful report of one discovery source. Times are aware, UTC."""

    discovery_source: DiscoverySource
    observed_at: datetime
    ingested_at: datetime


@dataclass(frozen=True, slots=True)
class FeedPosition:
    """A snapshot of one run of one database (``feed_id``), and the ingestions that it shows."""

    feed_id: str
    snapshot: Snapshot
    ingestions: tuple[Ingestion, ...] = ()

    @property
    def revision(self) -> Revision:
        """The revision that answers from here carry."""
        return Revision(self.feed_id, snapshot=self.snapshot)


@dataclass(frozen=True, slots=True)
class RowChanges:
    """Changed keys with their rows in the new snapshot; None = deleted."""

    services: dict[UUID, Service | None] = field(default_factory=dict)
    dependencies: dict[UUID, DependencyRow | None] = field(default_factory=dict)
    aliases: dict[UUID, ServiceAlias | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ReportedConfidences:
    """What sources reported of dependencies whose confidence is perhaps another one in memory."""

    by_id: dict[UUID, float]


class ChangesDoNotFitError(Exception):
    """Memory differs from the snapshot that it should equal, so everything must be read again."""


TableBatch: TypeAlias = ServiceBatch | DependencyBatch | AliasBatch
"""Rows of a table. A ``DependencyBatch`` points to the services of earlier batches by position."""
RowBatch: TypeAlias = RowChanges | TableBatch
"""Rows by key, or rows of a table, changed or not."""


class GraphSink(Protocol):
    """
    The live graph as the feed drives it.

    Readers run while a method prepares a move. The move itself happens between two awaits.
    """

    @property
    def position(self) -> FeedPosition | None:
        """The snapshot that memory equals; None = nothing was loaded yet."""

    @property
    def service_count(self) -> int:
        """Services in memory."""

    @property
    def row_count(self) -> int:
        """Rows in memory, of all three tables."""

    @property
    def is_waited_for(self) -> bool:
        """Whether a reader waits for memory to move on."""

    def snapshot_begins(self) -> None:
        """Note that a snapshot is about to be taken; ``apply`` or ``load`` brings memory to it."""

    async def apply(self, batches: AsyncIterator[RowBatch], position: FeedPosition) -> None:
        """
        Move the graph on by what changed; services come before dependencies.

        If it raises ``ChangesDoNotFitError`` or what reading the batches raises, the graph has not
        moved.
        """

    async def load(self, batches: AsyncIterator[TableBatch], position: FeedPosition) -> None:
        """Replace the graph by all rows of the tables; services come before dependencies."""

    async def held(self) -> HeldGraph:
        """Return the records in memory, which must not move meanwhile. O(rows)."""

    def connection_lost(self) -> None:
        """Note that the database is away."""
