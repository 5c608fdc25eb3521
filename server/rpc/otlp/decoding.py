"""
Requests of OTLP's MetricsService from bytes to points, part by part.

One sum may hold a hundred thousand points: parsed in one go they would hold the event loop for a
tenth of a second. So the messages around the points are walked here, and points are parsed some
kilobytes at a time. What is not wanted, such as histograms, is counted and not parsed.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from typing import Final, NamedTuple, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from server.domain.errors import InvalidInputError
from server.rpc.errors import UNREADABLE
from server.rpc.reading import WIRE_BYTES, after_number, varint

TOO_LONG: Final = "more than 64 KiB"
NO_POINT: Final = "bytes that are no point"
OTHER_METRIC: Final = "a metric that counts no calls"
NO_SUM: Final = "a metric that counts calls but is no sum"

Read = TypeVar("Read", bound=Message)

# The counter of calls, as exporters write it: with a prefix, with dots, without "total".
_CALLS = re.compile(rb"(?:.*[._:/])?traces[._]service[._]graph[._]request(?:[._]total)?", re.DOTALL)
_PART_BYTES = 8 * 1024
_MAX_BYTES = 64 * 1024
# Exporters spend more than this on a field: a longer request is made to be walked, not to be read.
_BYTES_A_FIELD, _SOME_FIELDS = 6, 1_000
_POINTS_A_PAUSE = 500
_DIGEST_BYTES = 16
_RESOURCE = ResourceMetrics.RESOURCE_FIELD_NUMBER
_SCOPES = ResourceMetrics.SCOPE_METRICS_FIELD_NUMBER
_SCOPE = ScopeMetrics.SCOPE_FIELD_NUMBER
_METRICS = ScopeMetrics.METRICS_FIELD_NUMBER
_NAME = Metric.NAME_FIELD_NUMBER
_SUM = Metric.SUM_FIELD_NUMBER
_DATA = frozenset(field.number for field in Metric.DESCRIPTOR.oneofs_by_name["data"].fields)
# The number is the same in the messages of all kinds of metrics.
_POINTS = Sum.DATA_POINTS_FIELD_NUMBER
_TEMPORALITY = Sum.AGGREGATION_TEMPORALITY_FIELD_NUMBER
_MONOTONIC = Sum.IS_MONOTONIC_FIELD_NUMBER


class Points(NamedTuple):
    """Some points of a sum that counts calls; ``stream`` identifies resource, scope and metric."""

    stream: bytes
    temporality: int
    is_monotonic: bool
    points: Sequence[NumberDataPoint]


class Unread(NamedTuple):
    """Points that were counted and not parsed, and why; ``is_bad`` = they should not be so."""

    reason: str
    number: int
    is_bad: bool = False


Part: TypeAlias = Points | Unread | None
"""What is found next; None = nothing, but time has passed."""


class _Field(NamedTuple):
    """Where a field of a message starts, and where its value begins and ends."""

    number: int
    starts: int
    begins: int
    ends: int


def parts(request: bytes) -> Iterator[Part]:
    """
    Find the points of an ``ExportMetricsServiceRequest``. Half a microsecond a field.

    Raises ``InvalidInputError`` at the place where the request is no such message.
    """
    walk = _Walk(request)
    # The request holds messages ``ResourceMetrics`` under the number 1.
    for field in walk.fields(0, len(request)):
        yield None
        if field.number == 1:
            yield from _of_resource(walk, field)


def digest(pieces: Iterable[bytes]) -> bytes:
    """Identify some pieces, in any order."""
    return blake2b(b"\0".join(sorted(pieces)), digest_size=_DIGEST_BYTES).digest()


def attributes_of(given: Iterable[KeyValue]) -> bytes:
    """Identify attributes, in any order."""
    return digest([attribute.SerializeToString() for attribute in given])


class _Walk:
    """Walks the fields of the messages in a request, up to a number of fields."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self._left = len(raw) // _BYTES_A_FIELD + _SOME_FIELDS

    def fields(self, at: int, end: int) -> Iterator[_Field]:
        """Find the fields of the message between two positions."""
        raw = self.raw
        while at < end:
            self._left -= 1
            starts = at
            tag, at = varint(raw, at)
            if tag & 7 == WIRE_BYTES:
                length, begins = varint(raw, at)
                at = begins + length
            else:
                begins = at
                at = after_number(raw, at, tag & 7)
            if at > end or not self._left:
                raise InvalidInputError(UNREADABLE)
            yield _Field(tag >> 3, starts, begins, at)

    def value(self, field: _Field) -> bytes:
        """Return the bytes of a field's value."""
        return self.raw[field.begins : field.ends]


def _of_resource(walk: _Walk, resource_metrics: _Field) -> Iterator[Part]:
    resource, scopes = b"", []
    for field in walk.fields(resource_metrics.begins, resource_metrics.ends):
        yield None
        if field.number == _RESOURCE:
            resource = _identity_of_resource(walk.value(field))
        elif field.number == _SCOPES:
            scopes.append(field)
    for field in scopes:
        yield from _of_scope(walk, field, resource)


def _of_scope(walk: _Walk, scope_metrics: _Field, resource: bytes) -> Iterator[Part]:
    scope, metrics = b"", []
    for field in walk.fields(scope_metrics.begins, scope_metrics.ends):
        yield None
        if field.number == _SCOPE:
            scope = _identity_of_scope(walk.value(field))
        elif field.number == _METRICS:
            metrics.append(field)
    for field in metrics:
        yield from _of_metric(walk, field, resource + scope)


def _of_metric(walk: _Walk, metric: _Field, owner: bytes) -> Iterator[Part]:
    name, data = b"", []
    for field in walk.fields(metric.begins, metric.ends):
        yield None
        if field.number == _NAME:
            name = walk.value(field)
        elif field.number in _DATA:
            data.append(field)
    counts_calls = _CALLS.fullmatch(name) is not None
    for field in data:
        if not counts_calls:
            yield from _counted(walk, field, OTHER_METRIC)
        elif field.number != _SUM:
            yield from _counted(walk, field, NO_SUM)
        else:
            yield from _of_sum(walk, field, digest([owner, name]))


def _counted(walk: _Walk, data: _Field, reason: str) -> Iterator[Part]:
    """Count the points of a metric without parsing them."""
    count = 0
    for field in walk.fields(data.begins, data.ends):
        count += field.number == _POINTS
        if count == _POINTS_A_PAUSE:
            yield Unread(reason, count)
            count = 0
    yield Unread(reason, count)


def _of_sum(walk: _Walk, data: _Field, stream: bytes) -> Iterator[Part]:
    """Find the points of a sum; what holds for all of them may stand behind them."""
    temporality = is_monotonic = too_long = 0
    pieces: list[tuple[int, int]] = []
    begin = data.begins
    for field in walk.fields(data.begins, data.ends):
        if field.number == _TEMPORALITY:
            temporality = varint(walk.raw, field.begins)[0]
        elif field.number == _MONOTONIC:
            is_monotonic = varint(walk.raw, field.begins)[0]
        elif field.ends - field.begins > _MAX_BYTES:
            too_long += field.number == _POINTS
            pieces.append((begin, field.starts))
            begin = field.ends
        if field.ends - begin > _PART_BYTES:
            pieces.append((begin, field.ends))
            begin = field.ends
            yield None
    pieces.append((begin, data.ends))
    yield Unread(TOO_LONG, too_long, is_bad=True)
    for first, last in pieces:
        piece = _read(Sum, walk.raw[first:last])
        points: Sequence[NumberDataPoint]
        points = _readable(walk, first, last) if piece is None else piece.data_points
        yield Points(stream, temporality, bool(is_monotonic), points)
        if piece is None:
            unreadable = sum(field.number == _POINTS for field in walk.fields(first, last)) - len(points)
            yield Unread(NO_POINT, unreadable, is_bad=True)


def _readable(walk: _Walk, first: int, last: int) -> list[NumberDataPoint]:
    """Parse points one by one: a bad one, such as a label cut within a character, stands alone."""
    fields = (field for field in walk.fields(first, last) if field.number == _POINTS)
    points = (_read(NumberDataPoint, walk.value(field)) for field in fields)
    return [point for point in points if point is not None]


def _identity_of_resource(raw: bytes) -> bytes:
    resource = None if len(raw) > _MAX_BYTES else _read(Resource, raw)
    return digest([raw]) if resource is None else attributes_of(resource.attributes)


def _identity_of_scope(raw: bytes) -> bytes:
    scope = None if len(raw) > _MAX_BYTES else _read(InstrumentationScope, raw)
    if scope is None:
        return digest([raw])
    return digest(
        [scope.name.encode(), b"version " + scope.version.encode(), attributes_of(scope.attributes)]
    )


def _read(kind: type[Read], raw: bytes) -> Read | None:
    """Parse a message; None = it is none. Exporters may send text that is not UTF-8."""
    try:
        return kind.FromString(raw)
    except DecodeError:
        return None
