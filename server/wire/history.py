"""Rows out of the history as messages, and the fields that differ between two states of a row."""

from collections.abc import Callable, Iterator, Mapping
from itertools import compress
from operator import call, ne
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1.history_service_pb2 import FieldChange, ServiceChange
from depgraph.v1.types_pb2 import Dependency as DependencyMessage
from depgraph.v1.types_pb2 import Service as ServiceMessage
from server.domain.columns import NOT_IN_HISTORY, ColumnType
from server.domain.dependencies import DependencyRow
from server.domain.services import Service
from server.wire.columns import DEPENDENCY, SERVICE, WireColumn
from server.wire.fields import double, field, moment, tag_of, varint
from server.wire.metadata import retry_config, struct_bytes
from server.wire.records import encoders

ValueWriter = Callable[[Any], bytes]
Ends = tuple[str, str]
"""The names of source and target."""


def _tag(message: type[Message], name: str) -> bytes:
    return varint(tag_of(message, name))


_NAME, _BEFORE, _AFTER = (_tag(FieldChange, name) for name in ("field", "before", "after"))
# The same number in ``DependencyChange``.
_FIELDS = _tag(ServiceChange, "fields")
_NUMBER, _STRING, _BOOLEAN, _STRUCT = (
    _tag(Value, f"{kind}_value") for kind in ("number", "string", "bool", "struct")
)
_FALSE, _TRUE = _BOOLEAN + b"\0", _BOOLEAN + b"\1"


def _text(content: str) -> bytes:
    return field(_STRING, content.encode())


def _number(number: float) -> bytes:
    return _NUMBER + double(number)


def _word_writer(wire: WireColumn, message: type[Message]) -> ValueWriter:
    enum: Any = message.DESCRIPTOR.fields_by_name[wire.column.contract_field].enum_type
    names = {word: _text(enum.values_by_number[number].name) for word, number in wire.numbers.items()}
    unknown = _text(enum.values_by_number[0].name)
    return lambda word: names.get(word, unknown)


def _json_writer(wire: WireColumn, _: type[Message]) -> ValueWriter:
    if wire.message_type == Struct.DESCRIPTOR.full_name:
        return lambda text: field(_STRUCT, struct_bytes(text))
    return lambda text: field(
        _STRUCT, ParseDict(MessageToDict(retry_config(text)), Struct()).SerializeToString()
    )


_WRITERS: Mapping[ColumnType, Callable[[WireColumn, type[Message]], ValueWriter]] = {
    ColumnType.ID: lambda *_: lambda key: _text(str(key)),
    ColumnType.SERVICE: lambda *_: _text,
    ColumnType.TEXT: lambda *_: _text,
    ColumnType.WORD: _word_writer,
    ColumnType.INTEGER: lambda *_: _number,
    ColumnType.DOUBLE: lambda *_: _number,
    ColumnType.BOOLEAN: lambda *_: lambda truth: _TRUE if truth else _FALSE,
    ColumnType.TIME: lambda *_: lambda time: _text(Timestamp.FromString(moment(time)).ToJsonString()),
    ColumnType.JSON: _json_writer,
}
"""What writes a value of a column as a ``Value``, as the JSON form of its message shows it."""


class _Rows:
    """Rows of a table: values of its columns, as ``encode`` and ``differences`` take them."""

    def __init__(self, columns: tuple[WireColumn, ...], message: type[Message]) -> None:
        self._is_known = [wire.column.name not in NOT_IN_HISTORY for wire in columns]
        known = tuple(compress(columns, self._is_known))
        self._encoders = encoders(known)
        self._writers = [
            (field(_NAME, wire.column.contract_field.encode()), _WRITERS[wire.column.type](wire, message))
            for wire in known
        ]

    def encode(self, values: tuple[Any, ...]) -> bytes:
        """Write a row as a message without the fields that history does not know."""
        return b"".join(map(call, self._encoders, compress(values, self._is_known)))

    def differences(
        self, before: tuple[Any, ...], after: tuple[Any, ...], *shown: tuple[Any, ...]
    ) -> Iterator[bytes]:
        """Write ``fields`` of a change: where the rows differ, with the values ``shown``."""
        known = self._is_known
        places = compress(range(len(self._writers)), map(ne, compress(before, known), compress(after, known)))
        former, present = (list(compress(values, known)) for values in shown)
        for place in places:
            name, write = self._writers[place]
            old, new = former[place], present[place]
            changed = name if old is None else name + field(_BEFORE, write(old))
            yield field(_FIELDS, changed if new is None else changed + field(_AFTER, write(new)))


_SERVICES, _DEPENDENCIES = _Rows(SERVICE, ServiceMessage), _Rows(DEPENDENCY, DependencyMessage)


def past_service(row: Service) -> bytes:
    """Write a service as a message without the fields that history does not know."""
    return _SERVICES.encode(row)


def past_dependency(row: DependencyRow, ends: Ends) -> bytes:
    """Write a dependency as ``past_service``, with the names of its ends then."""
    return _DEPENDENCIES.encode(_named(row, ends))


def service_fields(before: Service, after: Service) -> bytes:
    """Write ``ServiceChange.fields``."""
    return b"".join(_SERVICES.differences(before, after, before, after))


def dependency_fields(before: DependencyRow, after: DependencyRow, former: Ends, present: Ends) -> bytes:
    """
    Write ``DependencyChange.fields``, with the names of the ends before and after.

    An end that is the same service has not changed, whatever its name.
    """
    shown = _named(before, former), _named(after, present)
    return b"".join(_DEPENDENCIES.differences(before, after, *shown))


def _named(row: DependencyRow, ends: Ends) -> tuple[Any, ...]:
    return row[0], *ends, *row[3:]
