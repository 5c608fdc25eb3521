"""
Rows as the graph holds them: encoded records, which answers are joined from, and flag bits.

An encoded record is a framed field of an answer. Keys are the 16 bytes of a row's id.
``server.wire`` makes them: no other package that handles rows knows protobuf.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphcore import AliasRecord, EdgeFlag
from server.domain.dependencies import (
    COMMUNICATION_MODES,
    DEPENDENCY_CRITICALITIES,
    DISCOVERY_SOURCES,
    DependencyDraft,
    DependencyRow,
)
from server.domain.services import SERVICE_KINDS, ServiceAlias


@dataclass(frozen=True, slots=True)
class ServiceBatch:
    """
    Some services of a table, column by column, in the table's order.

    ``kinds`` are of ``KIND_BITS``, 0 for a word that only a table without its CHECKs can hold.
    """

    keys: list[bytes]
    names: list[str]
    records: list[bytes]
    encoded_ids: list[bytes]
    kinds: list[int]


@dataclass(frozen=True, slots=True)
class DependencyBatch:
    """
    Some dependencies of a table, column by column, in the table's order.

    ``sources`` and ``targets`` are positions of services in all earlier batches, -1 = no such
    service. ``flags`` are sums of ``EdgeFlag`` bits. Rows that can't be edges, because an end is
    missing or a word is unknown, have flags -1 and stand by position in ``strays``.
    """

    keys: list[bytes]
    sources: NDArray[np.int32]
    targets: NDArray[np.int32]
    flags: NDArray[np.int32]
    confidences: NDArray[np.float64]
    records: list[bytes]
    strays: dict[int, DependencyRow]


@dataclass(frozen=True, slots=True)
class AliasBatch:
    """Some aliases of the table; a record holds the whole row."""

    keys: list[bytes]
    records: list[AliasRecord]


class DependencyEnds(NamedTuple):
    """The ends in an encoded dependency, and its discovery source as the contract's number."""

    source_name: str
    target_name: str
    discovery_source: int


class CopyFormatError(Exception):
    """A COPY stream is not what its query should give."""


def _bits(words: Sequence[str], unknown: EdgeFlag | None = None) -> Mapping[str, int]:
    return MappingProxyType(
        {word: int(unknown if unknown and word == "unknown" else EdgeFlag[word.upper()]) for word in words}
    )


MODE_FLAGS = _bits(COMMUNICATION_MODES, EdgeFlag.UNKNOWN_MODE)
CRITICALITY_FLAGS = _bits(DEPENDENCY_CRITICALITIES, EdgeFlag.UNKNOWN_CRITICALITY)
SOURCE_FLAGS = _bits(DISCOVERY_SOURCES)
KIND_BITS: Mapping[str, int] = MappingProxyType(
    {kind: 1 << place for place, kind in enumerate(SERVICE_KINDS)}
)
"""The kinds of services as the graph knows them."""
_STALE = int(EdgeFlag.STALE)


def alias_record(row: ServiceAlias) -> AliasRecord:
    """Return an alias as the graph holds it; the payload is the time of its creation."""
    return AliasRecord(row.id.bytes, row.alias, row.service_id.bytes, row.created_at)


def flags_of(row: DependencyRow | DependencyDraft) -> int | None:
    """
    Join the ``EdgeFlag`` bits of a row.

    None = a word is unknown, which only a table without its CHECKs can hold.
    """
    try:
        flags = (
            MODE_FLAGS[row.communication_mode]
            | CRITICALITY_FLAGS[row.criticality]
            | SOURCE_FLAGS[row.discovery_source]
        )
    except KeyError:
        return None
    return flags | _STALE if row.is_stale else flags
