"""What ``server.rpc`` asks of the system of record; ``server.store`` implements it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from server.domain.alerts import Alert, AlertFilter, EventKey, EventPage
from server.domain.dependencies import (
    Dependency,
    DependencyDraft,
    DependencyFilter,
    DiscoverySource,
    IngestBatch,
    IngestResult,
)
from server.domain.services import Service, ServiceChange, ServiceDraft, ServiceFilter, ServiceKey

Row = TypeVar("Row")


class PageKey(NamedTuple):
    """Where a newest-first list stands: the creation time (UTC) and id of the last row shown."""

    created_at: datetime
    id: UUID


@dataclass(frozen=True, slots=True)
class Page(Generic[Row]):
    """Some rows, and where the next page starts (None = no more)."""

    rows: tuple[Row, ...]
    next: PageKey | None


def cut_page(rows: Sequence[Row], size: int, key: Callable[[Row], PageKey]) -> Page[Row]:
    """Make a page of up to ``size + 1`` rows: one beyond ``size`` means that a page follows."""
    kept = tuple(rows[:size])
    return Page(kept, next=key(kept[-1]) if kept and len(rows) > size else None)


T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Written(Generic[T_co]):
    """What a write leaves behind, and the revision token that makes a later read see it."""

    value: T_co
    revision: str


@dataclass(frozen=True, slots=True)
class Upserted(Generic[T_co]):
    """
    Rows of a batch in the order of the request, and how many of them are new.

    The rest existed before.
    """

    rows: tuple[T_co, ...]
    created: int

    @property
    def updated(self) -> int:
        """Rows that existed before the call, changed by it or not."""
        return len(self.rows) - self.created


class ServiceStore(Protocol):
    """Services in the system of record."""

    async def get(self, key: ServiceKey) -> Service:
        """Return the service, or ``ServiceNotFoundError``."""

    async def page(self, chosen: ServiceFilter, size: int, after: PageKey | None) -> Page[Service]:
        """At most ``size`` services, newest first."""

    async def create(self, draft: ServiceDraft) -> Written[Service]:
        """Add one; ``ServiceAlreadyExistsError`` when the name is taken."""

    async def update(self, key: ServiceKey, change: ServiceChange) -> Written[Service]:
        """Set some columns; ``ServiceNotFoundError`` when there is none."""

    async def delete(self, key: ServiceKey) -> Written[None]:
        """Remove it with its dependencies; ``ServiceNotFoundError`` when there is none."""

    async def upsert(self, drafts: Sequence[ServiceDraft]) -> Written[Upserted[Service]]:
        """
        Create or replace all in one statement.

        A name given twice is an ``InvalidInputError`` that names it.
        """


class DependencyStore(Protocol):
    """Dependencies in the system of record."""

    async def get(self, key: UUID) -> Dependency:
        """Return the dependency, or ``DependencyNotFoundError``."""

    async def page(self, chosen: DependencyFilter, size: int, after: PageKey | None) -> Page[Dependency]:
        """At most ``size`` dependencies, newest first."""

    async def upsert(self, drafts: Sequence[DependencyDraft]) -> Written[Upserted[Dependency]]:
        """
        Create or replace all in one statement, keyed by ``DependencyDraft.key``.

        Unknown ends are all named at once.
        """

    async def delete(self, key: UUID) -> Written[None]:
        """Remove it; ``DependencyNotFoundError`` when there is none."""

    async def mark_stale(self, observed_before: datetime, source: DiscoverySource | None) -> Written[int]:
        """Mark what was last observed before a time; returns how many were fresh until now."""

    async def ingest(self, batch: IngestBatch) -> Written[IngestResult]:
        """Ingest a report of a discovery source in one transaction; creates unknown services."""


class AlertStore(Protocol):
    """Alerts in the system of record."""

    async def get(self, key: UUID) -> Alert:
        """Return the alert, or ``AlertNotFoundError``."""

    async def page(self, chosen: AlertFilter, size: int, after: PageKey | None) -> Page[Alert]:
        """At most ``size`` alerts, latest detected first."""

    async def events(self, key: UUID, size: int, after: EventKey | None) -> EventPage:
        """
        At most ``size`` events of an alert, oldest first.

        ``AlertNotFoundError`` when there is none.
        """

    async def create(self, cycle_path: Sequence[str]) -> Written[Alert]:
        """
        Open one.

        ``AlertAlreadyExistsError`` when the cycle has one, whichever service it is written from.
        """

    async def acknowledge(self, key: UUID, acknowledged_by: str) -> Written[Alert]:
        """Say who looks after it; ``AlertResolvedError`` once resolved."""

    async def resolve(self, key: UUID, resolution_notes: str) -> Written[Alert]:
        """Close it; ``AlertResolvedError`` when that was done before."""

    async def find(self, cycle_path: Sequence[str]) -> Alert | None:
        """Return the alert of a cycle, from whichever service it starts; None = there is none."""
