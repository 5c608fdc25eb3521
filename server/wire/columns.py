"""The columns of both tables and their words in the contract: tags of fields, numbers of enums."""

from collections.abc import Mapping, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar, cast

from google.protobuf.message import Message

from depgraph.v1 import types_pb2
from server.domain.columns import Column, ColumnType
from server.domain.dependencies import (
    BACKOFF_STRATEGIES,
    COMMUNICATION_MODES,
    DEPENDENCY_COLUMNS,
    DEPENDENCY_CRITICALITIES,
    DISCOVERY_SOURCES,
    BackoffStrategy,
    CommunicationMode,
    DependencyCriticality,
    DiscoverySource,
)
from server.domain.services import (
    SERVICE_COLUMNS,
    SERVICE_CRITICALITIES,
    SERVICE_KINDS,
    ServiceCriticality,
    ServiceKind,
)
from server.wire.fields import tag_of

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


class WireColumn(NamedTuple):
    """A column, and its field in the message of its table."""

    column: Column
    tag: int
    numbers: Mapping[str, int]
    """The enum's number of each word."""
    writes_empty: bool
    """Whether an empty value is written: the contract has it apart from no value."""
    message_type: str
    """The full name of the message that the field holds; empty if it holds none."""


def _wire_column(message: type[Message], column: Column) -> WireColumn:
    field = message.DESCRIPTOR.fields_by_name[column.contract_field]
    return WireColumn(
        column,
        tag_of(message, field.name),
        numbers_of(field.enum_type, column.words) if field.enum_type else {},
        field.has_presence,
        field.message_type.full_name if field.message_type else "",
    )


SERVICE = tuple(_wire_column(types_pb2.Service, column) for column in SERVICE_COLUMNS)
DEPENDENCY = tuple(_wire_column(types_pb2.Dependency, column) for column in DEPENDENCY_COLUMNS)


def position(columns: Sequence[WireColumn], name: str) -> int:
    """Return where a column stands in a row."""
    return [each.column.name for each in columns].index(name)


def json_column(columns: Sequence[WireColumn]) -> WireColumn:
    """Return the JSON column, which a table has one of: kernels may leave it out of a record."""
    [found] = [each for each in columns if each.column.type is ColumnType.JSON]
    return found
