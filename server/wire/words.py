"""Enums of the contract that rows hold, and the words that the tables have for their values."""

from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

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
from server.domain.services import SERVICE_CRITICALITIES, ServiceCriticality

Word = TypeVar("Word", bound=str)
Number = TypeVar("Number", bound=int)
Number_co = TypeVar("Number_co", bound=int, covariant=True)


class _ContractEnum(Protocol[Number_co]):
    """What generated enums offer."""

    def Value(self, name: str) -> Number_co:  # noqa: N802 - protobuf's name
        """Look up the number of a value."""


class _Numbers(dict[Word, Number]):
    """Numbers by word; a word that only a table without its CHECK can hold is UNSPECIFIED."""

    def __init__(self, enum: _ContractEnum[Number], prefix: str, words: Sequence[Word]) -> None:
        super().__init__({word: enum.Value(f"{prefix}_{word.upper()}") for word in words})
        self._unspecified = enum.Value(f"{prefix}_UNSPECIFIED")

    def __missing__(self, word: Word) -> Number:
        return self._unspecified


class EnumWords(Generic[Word, Number]):
    """One enum: ``number[word]`` and ``word[number]``. The zero value, UNSPECIFIED, has no word."""

    def __init__(self, enum: _ContractEnum[Number], prefix: str, words: Sequence[Word]) -> None:
        self.number = _Numbers(enum, prefix, words)
        self.word = {int(number): word for word, number in self.number.items()}
        self.allowed = ", ".join(f"{prefix}_{word.upper()}" for word in words)


CRITICALITY: EnumWords[ServiceCriticality, types_pb2.Criticality.ValueType] = EnumWords(
    types_pb2.Criticality, "CRITICALITY", SERVICE_CRITICALITIES
)
DEPENDENCY_CRITICALITY: EnumWords[DependencyCriticality, types_pb2.DependencyCriticality.ValueType] = (
    EnumWords(types_pb2.DependencyCriticality, "DEPENDENCY_CRITICALITY", DEPENDENCY_CRITICALITIES)
)
COMMUNICATION_MODE: EnumWords[CommunicationMode, types_pb2.CommunicationMode.ValueType] = EnumWords(
    types_pb2.CommunicationMode, "COMMUNICATION_MODE", COMMUNICATION_MODES
)
DISCOVERY_SOURCE: EnumWords[DiscoverySource, types_pb2.DiscoverySource.ValueType] = EnumWords(
    types_pb2.DiscoverySource, "DISCOVERY_SOURCE", DISCOVERY_SOURCES
)
BACKOFF_STRATEGY: EnumWords[BackoffStrategy, types_pb2.BackoffStrategy.ValueType] = EnumWords(
    types_pb2.BackoffStrategy, "BACKOFF_STRATEGY", BACKOFF_STRATEGIES
)
