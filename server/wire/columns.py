"""The columns of both tables with their tags and the numbers of their words in the contract."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from google.protobuf.message import Message

from depgraph.v1 import types_pb2
from server.domain.columns import Column, ColumnType
from server.domain.dependencies import DEPENDENCY_COLUMNS
from server.domain.services import SERVICE_COLUMNS
from server.wire.fields import tag_of
from server.wire.words import numbers_of


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
