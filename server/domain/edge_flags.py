"""What the words of a dependency's row are as bits of the graph."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from graphcore import EdgeFlag
from server.domain.dependencies import (
    COMMUNICATION_MODES,
    DEPENDENCY_CRITICALITIES,
    DISCOVERY_SOURCES,
    DependencyDraft,
    DependencyRow,
)


def _bits(words: Sequence[str]) -> Mapping[str, int]:
    return MappingProxyType({word: int(EdgeFlag[word.upper()]) for word in words})


MODE_FLAGS = _bits(COMMUNICATION_MODES)
CRITICALITY_FLAGS = _bits(DEPENDENCY_CRITICALITIES)
SOURCE_FLAGS = _bits(DISCOVERY_SOURCES)
_STALE = int(EdgeFlag.STALE)


def flags_of(row: DependencyRow | DependencyDraft) -> int | None:
    """
    Join the ``EdgeFlag`` bits of a row.

    None for a word that has no meaning, which only a table without its CHECKs can hold.
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
