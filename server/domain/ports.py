"""What ``server.rpc`` asks of the system of record; ``server.store`` implements it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, NamedTuple, Protocol, TypeVar
from uuid import UUID

from server.domain.alerts import Alert, AlertFilter, EventKey, EventPage
from server.domain.aliases import Alias, AliasPage, Merged
from server.domain.dependencies import (
    Dependency,
    DependencyDraft,
    DependencyFilter,
    DiscoverySource,
)
from server.domain.reports import IngestBatch, IngestResult, Reporter
from server.domain.services import Service, ServiceChange, ServiceDraft, ServiceFilter, ServiceKey
from server.domain.writes import WriteKey, WritePage

Row = TypeVar("Row")


class PageKey(NamedTuple):
    """Position in a newest-first list: creation time (UTC) and id of the last row shown."""

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
    """The result of a write, and the revision token with which a later read sees it."""

    value: T_co
    revision: str


@dataclass(frozen=True, slots=True)
class Upserted(Generic[T_co]):
    """Rows of a batch in the order of the request; ``created`` counts the new ones."""

    rows: tuple[T_co, ...]
    created: int

    @property
    def updated(self) -> int:
        """Rows that existed before the call, changed by it or not."""
        return len(self.rows) - self.created


class ServiceStore(Protocol):
    """Services in the system of record."""

    async def get(self, key: ServiceKey) -> Service:
        """Return the service, by its name or an alias, or ``ServiceNotFoundError``."""

    async def page(self, chosen: ServiceFilter, size: int, after: PageKey | None) -> Page[Service]:
        """At most ``size`` services, newest first."""

    async def create(self, draft: ServiceDraft) -> Written[Service]:
        """
        Add one.

        ``ServiceAlreadyExistsError`` or ``AliasAlreadyExistsError`` when the name is taken.
        """

    async def update(self, key: ServiceKey, change: ServiceChange) -> Written[Service]:
        """
        Set some columns, perhaps none, of a service by its name or an alias.

        ``ServiceNotFoundError`` when there is none.
        """

    async def delete(self, key: ServiceKey) -> Written[None]:
        """
        Remove it with its dependencies and aliases; ``ServiceNotFoundError`` when there is none.

        ``InvalidInputError`` for an alias: an old name must not remove the service that it became.
        """

    async def upsert(self, drafts: Sequence[ServiceDraft]) -> Written[Upserted[Service]]:
        """
        Create or replace all in one statement; ``InvalidInputError`` names a name given twice.

        An existing service keeps its id and creation time. A draft equal to its row writes nothing.
        Aliases stand for their services, so two names may be of one service: that is refused, too.
        """


class AliasStore(Protocol):
    """Aliases of services in the system of record."""

    async def page(self, service_id: str | None, size: int, after: str | None) -> AliasPage:
        """At most ``size`` aliases, sorted by code point; those of one service, None = all."""

    async def own_names(self, names: Sequence[str]) -> dict[str, str]:
        """Map those of the names that are aliases to the own names of their services."""

    async def add(self, alias: str, service_id: str) -> Written[Alias]:
        """
        Give an alias to a service; changes nothing if that has it.

        ``ServiceNotFoundError``; ``ServiceAlreadyExistsError`` or ``AliasAlreadyExistsError`` when
        a service or another service's alias has the name; ``InvalidInputError`` when no new service
        might have it.
        """

    async def remove(self, alias: str) -> Written[None]:
        """Take an alias away; ``AliasNotFoundError`` when there is none."""

    async def merge(
        self, from_service_id: str, into_service_id: str, *, validate_only: bool
    ) -> Written[Merged]:
        """
        Make two services one, named as the second; the first one's name becomes an alias.

        ``validate_only`` = do the same, and roll it back; the revision is empty then.
        ``ServiceNotFoundError``; ``InvalidInputError`` when both names are of one service, or the
        first is an alias.
        """


class DependencyStore(Protocol):
    """Dependencies in the system of record."""

    async def get(self, key: UUID) -> Dependency:
        """Return the dependency, or ``DependencyNotFoundError``."""

    async def page(self, chosen: DependencyFilter, size: int, after: PageKey | None) -> Page[Dependency]:
        """At most ``size`` dependencies, newest first."""

    async def upsert(self, drafts: Sequence[DependencyDraft]) -> Written[Upserted[Dependency]]:
        """
        Create or replace all in one transaction, by ``DependencyDraft.key``; rows keep their ids.

        A draft equal to its row writes nothing (without ``last_observed_at`` it says *seen now*).
        ``InvalidInputError`` names keys given twice, ``ServiceNotFoundError`` all unknown ends;
        then nothing is written. Aliases stand for their services.
        """

    async def delete(self, key: UUID) -> Written[None]:
        """Remove it; ``DependencyNotFoundError`` when there is none."""

    async def mark_stale(self, observed_before: datetime, source: DiscoverySource | None) -> Written[int]:
        """Mark what was last observed before a time; returns how many were fresh until now."""

    async def ingest(self, batch: IngestBatch) -> Written[IngestResult]:
        """
        Ingest a report of a discovery source in one transaction; creates unknown services.

        Repeating a report changes nothing. ``InvalidInputError`` names nodes and edges given twice.
        Of a report that failed, only that is noted.
        """

    async def reporters(self) -> tuple[Reporter, ...]:
        """Return who reports, by reporter and discovery source; at most a thousand, the latest."""


class AlertStore(Protocol):
    """Alerts in the system of record."""

    async def get(self, key: UUID) -> Alert:
        """Return the alert, or ``AlertNotFoundError``."""

    async def page(self, chosen: AlertFilter, size: int, after: PageKey | None) -> Page[Alert]:
        """At most ``size`` alerts, latest detected first; ``PageKey.created_at`` is that time."""

    async def events(self, key: UUID, size: int, after: EventKey | None) -> EventPage:
        """At most ``size`` events, oldest first; ``AlertNotFoundError`` without such an alert."""

    async def create(self, cycle_path: Sequence[str]) -> Written[Alert]:
        """
        Open an alert; ``AlertAlreadyExistsError`` when the cycle has one, wherever it starts.

        ``InvalidInputError`` unless the cycle names at least two services, none of them twice.
        """

    async def acknowledge(self, key: UUID, acknowledged_by: str) -> Written[Alert]:
        """Acknowledge for the person who looks after it; ``AlertResolvedError`` once resolved."""

    async def resolve(self, key: UUID, resolution_notes: str) -> Written[Alert]:
        """Resolve; ``AlertResolvedError`` if it was resolved before."""

    async def find(self, cycle_path: Sequence[str]) -> Alert | None:
        """Return the alert of a cycle, whichever service it starts from; None = there is none."""


class WriteStore(Protocol):
    """The account of writes in the system of record."""

    async def page(self, size: int, after: WriteKey | None) -> WritePage:
        """
        At most ``size`` writes, newest first.

        Pages give each write that was committed before the first of them once, unless it was pruned
        meanwhile.
        """
