"""Services, the nodes of the graph, as the database holds them."""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, NamedTuple, get_args
from uuid import UUID

from server.domain.columns import GENERATED_TIMES, Column, ColumnType

ServiceCriticality = Literal["critical", "high", "medium", "low", "unknown"]
SERVICE_CRITICALITIES: tuple[ServiceCriticality, ...] = get_args(ServiceCriticality)
ServiceKind = Literal["service", "database", "queue", "gateway", "external"]
SERVICE_KINDS: tuple[ServiceKind, ...] = get_args(ServiceKind)
NAME_MAX_LENGTH = 255
_CONTROLS = frozenset(["Cc", "Cs", "Zl", "Zp"])
"""Unicode categories that no name may have: controls, lone surrogates, separators of lines."""


class Service(NamedTuple):
    """
    One row of ``services``, in table order. ``metadata`` is JSON text; times are aware, UTC.

    A tuple, because the feed makes hundreds of thousands of them straight from database records.
    """

    id: UUID
    service_id: str
    metadata: str
    criticality: ServiceCriticality
    team: str | None
    discovered: bool
    created_at: datetime
    updated_at: datetime
    kind: ServiceKind = "service"


SERVICE_COLUMNS = (
    Column("id", ColumnType.ID, role="generated"),
    Column("service_id", ColumnType.TEXT, role="key"),
    Column("metadata", ColumnType.JSON),
    Column("criticality", ColumnType.WORD, words=SERVICE_CRITICALITIES),
    Column("team", ColumnType.TEXT, nullable=True),
    Column("discovered", ColumnType.BOOLEAN),
    *GENERATED_TIMES,
    Column("kind", ColumnType.WORD, words=SERVICE_KINDS),
)
"""The fields of ``Service`` as columns."""

SETTABLE_COLUMNS = tuple(column.name for column in SERVICE_COLUMNS if column.role == "set")
"""The columns that an update may set."""


class ServiceAlias(NamedTuple):
    """
    One row of ``service_aliases``, in table order: another name of a service.

    ``service_id`` is the row id of the service, ``created_at`` an aware time in UTC.
    """

    id: UUID
    alias: str
    service_id: UUID
    created_at: datetime


class ServiceDraft(NamedTuple):
    """What a writer says of a service; ``metadata`` is JSON text of an object."""

    service_id: str
    metadata: str = "{}"
    criticality: ServiceCriticality = "medium"
    team: str | None = None
    discovered: bool = False
    kind: ServiceKind = "service"


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceChange:
    """A partial update: ``columns``, of ``SETTABLE_COLUMNS``, get the values of ``draft``."""

    columns: frozenset[str]
    draft: ServiceDraft


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceFilter:
    """
    Which services a list shows; None = all.

    ``query`` is a part of the name, in any case.
    """

    team: str | None = None
    criticality: ServiceCriticality | None = None
    discovered: bool | None = None
    query: str | None = None
    kind: ServiceKind | None = None


class ServiceKey(NamedTuple):
    """How a caller names a service: exactly one of name and row id is set."""

    service_id: str | None = None
    id: UUID | None = None

    def __str__(self) -> str:
        return self.service_id if self.service_id is not None else str(self.id)


def name_problem(name: str) -> str | None:
    """
    Say why no new service may have this name; None = it may. 0.2 µs for a usual name.

    Services that had such a name before this rule keep it, and calls find them by it.
    """
    if name.isascii() and name.isprintable() and name == name.strip() and 0 < len(name) <= NAME_MAX_LENGTH:
        return None
    problem = None
    if not name:
        problem = f"is empty; give 1 to {NAME_MAX_LENGTH} characters"
    elif len(name) > NAME_MAX_LENGTH:
        problem = f"has {len(name):,} characters; at most {NAME_MAX_LENGTH} are allowed"
    elif name.isspace():
        problem = "is blank; write something"
    elif (control := next(filter(_is_control, name), None)) is not None:
        problem = f"holds U+{ord(control):04X}, a control character or line break; leave it out"
    elif name != name.strip():
        problem = "begins or ends with white space; leave that out"
    elif not unicodedata.is_normalized("NFC", name):
        problem = (
            "is not in Unicode normal form C (NFC), so one name could be written in two ways; normalise it"
        )
    return problem


def form_hint(name: str) -> str:
    """Go on after "no service named …" if the name may only look like another one, else empty."""
    is_usual = unicodedata.is_normalized("NFC", name)
    return "" if is_usual else " (not in Unicode normal form C, as names of new services are)"


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in _CONTROLS
