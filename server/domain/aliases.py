"""Aliases, by which services are written and asked for as by their own names; merges."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from server.domain.services import Service


class Alias(NamedTuple):
    """Another name of a service; ``service_id`` is the service's own name."""

    id: UUID
    alias: str
    service_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class AliasPage:
    """Some aliases, sorted by code point, and the last of them if more follow (None = no more)."""

    aliases: tuple[Alias, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """
    What became of two services, of which ``service`` is left.

    - ``dependencies_moved``: dependencies of the other that are this one's now.
    - ``dependencies_merged``: those that became part of one that this service had.
    - ``self_calls_dropped``: calls between the two.
    - ``aliases_moved``: aliases of the other; its own name, which became one, does not count.
    """

    service: Service
    dependencies_moved: int
    dependencies_merged: int
    self_calls_dropped: int
    aliases_moved: int
