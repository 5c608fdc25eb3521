"""The properties of a dependency as bits, and filters that select dependencies by them."""

import enum
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Self


class EdgeFlag(enum.IntFlag):
    """
    One bit for each value of a dependency's enumerated columns, and one for staleness.

    A ``DependencyRecord`` holds the sum as a plain ``int``: arithmetic on ``IntFlag`` is slow.
    """

    SYNC = enum.auto()
    ASYNC = enum.auto()
    UNKNOWN_MODE = enum.auto()
    HARD = enum.auto()
    SOFT = enum.auto()
    DEGRADED = enum.auto()
    UNKNOWN_CRITICALITY = enum.auto()
    MANUAL = enum.auto()
    OTEL_SERVICE_GRAPH = enum.auto()
    KUBERNETES = enum.auto()
    SERVICE_MESH = enum.auto()
    CATALOG = enum.auto()
    STALE = enum.auto()


STALE = int(EdgeFlag.STALE)
ALL_FLAGS = sum(int(flag) for flag in EdgeFlag)

_COMMUNICATION_MODES = EdgeFlag.SYNC | EdgeFlag.ASYNC | EdgeFlag.UNKNOWN_MODE
_CRITICALITIES = EdgeFlag.HARD | EdgeFlag.SOFT | EdgeFlag.DEGRADED | EdgeFlag.UNKNOWN_CRITICALITY
_DISCOVERY_SOURCES = (
    EdgeFlag.MANUAL
    | EdgeFlag.CATALOG
    | EdgeFlag.OTEL_SERVICE_GRAPH
    | EdgeFlag.KUBERNETES
    | EdgeFlag.SERVICE_MESH
)
SOURCES = int(_DISCOVERY_SOURCES)
"""The bits of all discovery sources."""


@dataclass(frozen=True, slots=True)
class EdgeFilter:
    """
    Selects the dependencies with no bit outside ``allowed`` and at least ``min_confidence``.

    ``excluded_kinds`` are bits of kinds of services: no dependency from or to such a service
    passes, but for services that the question names. The default passes all but stale ones.
    ``ValueError`` for a confidence outside of 0 to 1.
    """

    allowed: int = ALL_FLAGS & ~STALE
    min_confidence: float = 0.0
    excluded_kinds: int = 0
    reads_stale: bool = field(init=False, repr=False, compare=False)
    """Whether stale dependencies pass."""
    blocked: int = field(init=False, repr=False, compare=False)
    """The flags that keep a dependency out, without ``STALE``."""

    def __post_init__(self) -> None:
        if not 0.0 <= self.min_confidence <= 1.0:
            raise ValueError(f"min_confidence must lie between 0 and 1, not {self.min_confidence!r}")
        object.__setattr__(self, "reads_stale", bool(self.allowed & STALE))
        object.__setattr__(self, "blocked", ALL_FLAGS & ~STALE & ~self.allowed)

    @classmethod
    def of(
        cls,
        *,
        communication_modes: Iterable[EdgeFlag] = (),
        criticalities: Iterable[EdgeFlag] = (),
        discovery_sources: Iterable[EdgeFlag] = (),
        min_confidence: float = 0.0,
        include_stale: bool = False,
        excluded_kinds: int = 0,
    ) -> Self:
        """
        Build a filter from the wanted values of each dimension; empty means all of its values.

        Raises ``ValueError`` if a value belongs to another dimension.
        """
        allowed = (
            _union(communication_modes, _COMMUNICATION_MODES)
            | _union(criticalities, _CRITICALITIES)
            | _union(discovery_sources, _DISCOVERY_SOURCES)
            | (STALE if include_stale else 0)
        )
        return cls(allowed, min_confidence, excluded_kinds)

    def passes(self, flags: int, confidence: float) -> bool:
        """Whether a dependency with these flags and this confidence passes, kinds aside."""
        return not flags & ~self.allowed and confidence >= self.min_confidence


def _union(wanted: Iterable[EdgeFlag], dimension: EdgeFlag) -> int:
    """Join the wanted bits of one dimension; no wanted bit means the whole dimension."""
    mask = 0
    for flag in wanted:
        if flag & ~dimension:
            raise ValueError(f"{flag!r} is not one of {dimension!r}")
        mask |= int(flag)
    return mask or int(dimension)
