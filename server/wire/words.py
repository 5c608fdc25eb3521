"""Enums of the contract that rows hold, and the words that the tables have for their values."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, Protocol, TypeVar, cast

from depgraph.v1 import types_pb2
from server.domain.dependencies import (
    BACKOFF_STRATEGIES,
    COMMUNICATION_MODES,
    DEPENDENCY_CRITICALITIES,
    DISCOVERY_SOURCES,
    BackoffStrategy,
    CommunicationMode,
    DependencyCriticality,
    DiscoverySource,
)
from server.domain.services import SERVICE_CRITICALITIES, SERVICE_KINDS, ServiceCriticality, ServiceKind

Word = TypeVar("Word", bound=str)
Number = TypeVar("Number", bound=int)
Number_co = TypeVar("Number_co", bound=int, covariant=True)


class _ContractEnum(Protocol[Number_co]):
    """What generated enums offer."""

    DESCRIPTOR: Any

    def Value(self, name: str) -> Number_co:  # noqa: N802 - protobuf's name
        """Look up the number of a value."""


class _Numbers(dict[Word, Number]):
    """Numbers by word; a word that only a table without its CHECK can hold is UNSPECIFIED, 0."""

    def __missing__(self, word: Word) -> Number:
        return cast("Number", 0)


class EnumWords(Generic[Word, Number]):
    """One enum: ``number[word]`` and ``word[number]``. The zero value, UNSPECIFIED, has no word."""

    def __init__(self, enum: _ContractEnum[Number], words: Sequence[Word]) -> None:
        numbers = numbers_of(enum.DESCRIPTOR, words)
        self.number = _Numbers[Word, Number]({word: cast("Number", numbers[word]) for word in words})
        self.word = {number: word for word, number in self.number.items()}
        prefix = _prefix(enum.DESCRIPTOR)
        self.allowed = ", ".join(f"{prefix}{word.upper()}" for word in words)


def numbers_of(enum: Any, words: Sequence[str]) -> Mapping[str, int]:
    """Return the number of each word: that of the enum's value whose name ends in the word."""
    prefix = _prefix(enum)
    return {word: enum.values_by_name[f"{prefix}{word.upper()}"].number for word in words}


def _prefix(enum: Any) -> str:
    zero: str = enum.values_by_number[0].name
    return zero.removesuffix("UNSPECIFIED")


CRITICALITY: EnumWords[ServiceCriticality, types_pb2.Criticality.ValueType] = EnumWords(
    types_pb2.Criticality, SERVICE_CRITICALITIES
)
SERVICE_KIND: EnumWords[ServiceKind, types_pb2.ServiceKind.ValueType] = EnumWords(
    types_pb2.ServiceKind, SERVICE_KINDS
)
DEPENDENCY_CRITICALITY: EnumWords[DependencyCriticality, types_pb2.DependencyCriticality.ValueType] = (
    EnumWords(types_pb2.DependencyCriticality, DEPENDENCY_CRITICALITIES)
)
COMMUNICATION_MODE: EnumWords[CommunicationMode, types_pb2.CommunicationMode.ValueType] = EnumWords(
    types_pb2.CommunicationMode, COMMUNICATION_MODES
)
DISCOVERY_SOURCE: EnumWords[DiscoverySource, types_pb2.DiscoverySource.ValueType] = EnumWords(
    types_pb2.DiscoverySource, DISCOVERY_SOURCES
)
BACKOFF_STRATEGY: EnumWords[BackoffStrategy, types_pb2.BackoffStrategy.ValueType] = EnumWords(
    types_pb2.BackoffStrategy, BACKOFF_STRATEGIES
)
