"""
Encoded records of rows, one at a time: each is a field of ``TraverseResponse``.

A row is joined from what the encoders of its columns write, about ten times as fast as building a
message. Fields stand in the order of their numbers, which is how the generated code writes them:
the bytes are the same.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from operator import call
from typing import Any

from depgraph.v1 import types_pb2
from depgraph.v1.graph_service_pb2 import TraverseResponse
from server.domain.columns import ColumnType
from server.domain.dependencies import Dependency, DependencyRow
from server.domain.records import DependencyEnds
from server.domain.services import Service
from server.wire.columns import DEPENDENCY, SERVICE, WireColumn, json_column
from server.wire.fields import VARINT, double, field, field_length, moment, tag_of, varint
from server.wire.metadata import retry_bytes, struct_bytes

Encoder = Callable[[Any], bytes]

# Tags of the fields of answers that records are.
SERVICE_TAG, ENCODED_ID_TAG, DEPENDENCY_TAG = (
    varint(tag_of(TraverseResponse, name)) for name in ("services", "service_ids", "dependencies")
)
_CONFIDENCE_TAG = tag_of(types_pb2.Dependency, "confidence_score")
_WIRE_TYPE = 7
_UUID_LENGTH = 36
_SHORT = 128


def _heads(tag: bytes) -> tuple[bytes, ...]:
    """Write tag and length of short fields, by length."""
    return tuple(tag + varint(length) for length in range(_SHORT))


def _remembering_moment() -> Callable[[datetime], bytes]:
    """Return ``moment`` with the last time kept: most times of a row equal the one before."""
    last: tuple[datetime | None, bytes] = (None, b"")

    def encode(time: datetime) -> bytes:
        nonlocal last
        # Other threads may replace it meanwhile.
        known = last
        if known[0] != time:
            known = last = (time, moment(time))
        return known[1]

    return encode


_moment = _remembering_moment()


# What writes the values of a column as its field, by the column's type. Values are as the driver
# gives them: any may be None, and a word unknown, in a table without its constraints.


def _id_encoder(wire: WireColumn) -> Encoder:
    head = varint(wire.tag) + varint(_UUID_LENGTH)
    return lambda key: head + str(key).encode()


def _text_encoder(wire: WireColumn) -> Encoder:
    tag = varint(wire.tag)
    heads = _heads(tag)
    empty = {None: b"", "": heads[0] if wire.writes_empty else b""}

    def encode(text: str) -> bytes:
        if not text:
            return empty[text]
        length = len(content := text.encode())
        return heads[length] + content if length < _SHORT else field(tag, content)

    return encode


def _word_encoder(wire: WireColumn) -> Encoder:
    words = {word: varint(wire.tag) + varint(number) for word, number in wire.numbers.items()}
    return lambda word: words.get(word, b"")


def _integer_encoder(wire: WireColumn) -> Encoder:
    tag = varint(wire.tag)
    return lambda number: b"" if number is None else tag + varint(number)


def _double_encoder(wire: WireColumn) -> Encoder:
    tag = varint(wire.tag)
    return lambda number: b"" if number is None else tag + double(number)


def _boolean_encoder(wire: WireColumn) -> Encoder:
    true = varint(wire.tag) + b"\1"
    return lambda truth: true if truth else b""


def _time_encoder(wire: WireColumn) -> Encoder:
    heads = _heads(varint(wire.tag))
    return lambda time: heads[len(content := _moment(time))] + content


_MESSAGES: Mapping[str, Callable[[str], bytes]] = {
    "google.protobuf.Struct": struct_bytes,
    types_pb2.RetryConfig.DESCRIPTOR.full_name: retry_bytes,
}


def _json_encoder(wire: WireColumn) -> Encoder:
    tag, write = varint(wire.tag), _MESSAGES[wire.message_type]
    null = b"" if wire.column.nullable else field(tag, b"")
    return lambda text: null if text is None else field(tag, write(text))


_ENCODERS: Mapping[ColumnType, Callable[[WireColumn], Encoder]] = {
    ColumnType.ID: _id_encoder,
    ColumnType.SERVICE: _text_encoder,
    ColumnType.TEXT: _text_encoder,
    ColumnType.WORD: _word_encoder,
    ColumnType.INTEGER: _integer_encoder,
    ColumnType.DOUBLE: _double_encoder,
    ColumnType.BOOLEAN: _boolean_encoder,
    ColumnType.TIME: _time_encoder,
    ColumnType.JSON: _json_encoder,
}


def encoders(columns: Sequence[WireColumn]) -> tuple[Encoder, ...]:
    """Return what writes the value of each column as its field."""
    return tuple(_ENCODERS[wire.column.type](wire) for wire in columns)


_SERVICE_ENCODERS, _DEPENDENCY_ENCODERS = encoders(SERVICE), encoders(DEPENDENCY)
_SERVICE_JSON, _DEPENDENCY_JSON = (_json_encoder(json_column(each)) for each in (SERVICE, DEPENDENCY))
_ENDS = [wire for wire in DEPENDENCY if wire.column.type is ColumnType.SERVICE]
_END_TAGS = [varint(wire.tag) for wire in _ENDS]
_write_source, _write_target = encoders(_ENDS)


def service_record(row: Service) -> bytes:
    """Write a service as ``TraverseResponse.services``. O(size)."""
    return field(SERVICE_TAG, b"".join(map(call, _SERVICE_ENCODERS, row)))


def encoded_id(name: str) -> bytes:
    """Write the name of a service as ``TraverseResponse.service_ids``."""
    return field(ENCODED_ID_TAG, name.encode())


def dependency_record(row: DependencyRow | Dependency, source_name: str, target_name: str) -> bytes:
    """
    Write a dependency as ``TraverseResponse.dependencies``. O(size).

    The names are those of its ends, "" = not known.
    """
    values: Sequence[Any] = (row[0], source_name, target_name, *row[3:])
    return field(DEPENDENCY_TAG, b"".join(map(call, _DEPENDENCY_ENCODERS, values)))


def completed_service(message: bytes, cut: int, metadata: str) -> bytes:
    """Write a service as a record, of a message that lacks its metadata at ``cut``."""
    return field(SERVICE_TAG, message[:cut] + _SERVICE_JSON(metadata) + message[cut:])


def completed_dependency(message: bytes, cut: int, retry_config: str) -> bytes:
    """Write a dependency as a record, of a message that lacks its retries at ``cut``."""
    return field(DEPENDENCY_TAG, message[:cut] + _DEPENDENCY_JSON(retry_config) + message[cut:])


def renamed(record: bytes, source_name: str, target_name: str) -> bytes:
    """Return the record of the same dependency whose ends have these names."""
    _, start = field_length(record, 1)
    length, begin = field_length(record, start + 1)
    rest = names = begin + length
    for tag in _END_TAGS:
        if record.startswith(tag, rest):
            length, begin = field_length(record, rest + len(tag))
            rest = begin + length
    ends = _write_source(source_name) + _write_target(target_name)
    return field(DEPENDENCY_TAG, record[start:names] + ends + record[rest:])


def with_confidence(record: bytes, confidence: float) -> bytes:
    """Return the record of the same dependency with another confidence."""
    _, start = field_length(record, 1)
    at, end = start, len(record)
    # Fields stand in the order of their numbers; those before are numbers, texts and messages.
    while at < end and record[at] < _CONFIDENCE_TAG:
        length, begin = field_length(record, at + 1)
        at = begin if record[at] & _WIRE_TYPE == VARINT else begin + length
    written = bytes((_CONFIDENCE_TAG,)) + double(confidence)
    rest = at + len(written) if record[at : at + 1] == written[:1] else at
    return field(DEPENDENCY_TAG, record[start:at] + written + record[rest:])


def retagged(record: bytes, number: int) -> bytes:
    """Return a record as the field of another number, 1 to 15, as in ``WatchResponse``."""
    return bytes((number << 3 | 2,)) + record[1:]


def service_of(record: bytes) -> types_pb2.Service:
    """Read the record of a service."""
    return types_pb2.Service.FromString(record[field_length(record, 1)[1] :])


def dependency_of(record: bytes) -> types_pb2.Dependency:
    """Read the record of a dependency."""
    return types_pb2.Dependency.FromString(record[field_length(record, 1)[1] :])


def service_name(record: bytes) -> str:
    """Read the name in the record of a service."""
    return service_of(record).service_id


def dependency_ends(record: bytes) -> DependencyEnds:
    """Read the ends in the record of a dependency."""
    message = dependency_of(record)
    return DependencyEnds(message.source_service_id, message.target_service_id, message.discovery_source)
