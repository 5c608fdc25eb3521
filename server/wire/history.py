"""Changes of services and dependencies as messages, field by field."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import compress
from operator import call, ne
from typing import Any

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.struct_pb2 import Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1.history_service_pb2 import (
    CHANGE_KIND_ADDED,
    CHANGE_KIND_CHANGED,
    CHANGE_KIND_REMOVED,
    FieldChange,
    ServiceChange,
)
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
# The same numbers in ``DependencyChange``.
_KIND, _ROW_BEFORE, _ROW_AFTER, _FIELDS = (
    _tag(ServiceChange, name) for name in ("kind", "before", "after", "fields")
)
_ADDED, _REMOVED, _CHANGED = (
    _KIND + varint(kind) for kind in (CHANGE_KIND_ADDED, CHANGE_KIND_REMOVED, CHANGE_KIND_CHANGED)
)
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


def _nothing(_: Any) -> bytes:
    return b""


class _Rows:
    """
    Rows of a table: values of its columns.

    Fields that history does not know are not written.
    """

    def __init__(self, columns: tuple[WireColumn, ...], message: type[Message]) -> None:
        self._encoders = [
            _nothing if wire.column.name in NOT_IN_HISTORY else encode
            for wire, encode in zip(columns, encoders(columns), strict=True)
        ]
        self._places = range(len(columns))
        self._names = [field(_NAME, wire.column.contract_field.encode()) for wire in columns]
        self._writers = [_WRITERS[wire.column.type](wire, message) for wire in columns]

    def fields(self, values: Iterable[Any]) -> list[bytes]:
        """Write the fields of a row's message."""
        return list(map(call, self._encoders, values))

    def differing(self, before: tuple[Any, ...], after: tuple[Any, ...]) -> list[int]:
        """List the places of the columns that differ."""
        return list(compress(self._places, map(ne, before, after)))

    def rewritten(self, fields: list[bytes], places: Iterable[int], values: Sequence[Any]) -> list[bytes]:
        """Copy the fields of a row with those in some places written anew."""
        fields = fields.copy()
        for place in places:
            fields[place] = self._encoders[place](values[place])
        return fields

    def change(self, place: int, old: Any, new: Any) -> bytes:
        """Write an item of ``fields`` of a change; None = the field is unset."""
        changed = self._names[place]
        if old is not None:
            changed += field(_BEFORE, self._writers[place](old))
        if new is not None:
            changed += field(_AFTER, self._writers[place](new))
        return field(_FIELDS, changed)


_SERVICES, _DEPENDENCIES = _Rows(SERVICE, ServiceMessage), _Rows(DEPENDENCY, DependencyMessage)
# Where the ends stand in a dependency.
_SOURCE, _TARGET = 1, 2


def service_change(before: Service | None, after: Service | None) -> bytes:
    """Write a ``ServiceChange``."""
    if before is None or after is None:
        row = before or after or ()
        return _one_sided(b"".join(_SERVICES.fields(row)), is_added=before is None)
    former = _SERVICES.fields(before)
    places = _SERVICES.differing(before, after)
    present = _SERVICES.rewritten(former, places, after)
    changes = [_SERVICES.change(place, before[place], after[place]) for place in places]
    return _two_sided(former, present, changes)


def dependency_change(
    before: DependencyRow | None, after: DependencyRow | None, ends: Ends, ends_after: Ends
) -> bytes:
    """
    Write a ``DependencyChange`` with the names of the ends before and after.

    An end that is the same service has not changed, whatever its name.
    """
    if before is None or after is None:
        row, names = (after, ends_after) if before is None else (before, ends)
        fields = _DEPENDENCIES.fields((row[0], *names, *row[3:]) if row else ())
        return _one_sided(b"".join(fields), is_added=before is None)
    old, new = (before[0], *ends, *before[3:]), (after[0], *ends_after, *after[3:])
    former = _DEPENDENCIES.fields(old)
    places = _DEPENDENCIES.differing(before, after)
    renamed = () if ends == ends_after else (_SOURCE, _TARGET)
    present = _DEPENDENCIES.rewritten(former, (*places, *renamed), new)
    return _two_sided(
        former, present, [_DEPENDENCIES.change(place, old[place], new[place]) for place in places]
    )


def _one_sided(message: bytes, *, is_added: bool) -> bytes:
    if is_added:
        return _ADDED + field(_ROW_AFTER, message)
    return _REMOVED + field(_ROW_BEFORE, message)


def _two_sided(former: list[bytes], present: list[bytes], changes: list[bytes]) -> bytes:
    before, after = field(_ROW_BEFORE, b"".join(former)), field(_ROW_AFTER, b"".join(present))
    return b"".join((_CHANGED, before, after, *changes))
