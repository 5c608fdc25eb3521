"""
What several discovery sources say of one pair of services, merged into one record.

Works on the fields of records as they lie there, since an answer may hold thousands of pairs: a field that won is copied under another tag, and what is
said of its origin is a head made at import and the id of the dependency.
"""

from collections.abc import Iterable, Sequence
from struct import Struct as Packing
from typing import NamedTuple

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1 import graph_service_pb2, types_pb2
from server.wire.fields import field, field_length, varint

_MORE = 0x80
_WIRE_TYPE = 7
_VARINT, _EIGHT_BYTES, _LENGTH_DELIMITED = 0, 1, 2
_DOUBLE = Packing("<d")


def _tag(message: type[Message], name: str, wire_type: int = _LENGTH_DELIMITED) -> int:
    """Return the tag of a field; all that this module has to do with take a single byte."""
    return message.DESCRIPTOR.fields_by_name[name].number << 3 | wire_type


_WIRE_TYPES = {
    "source_service_id": _LENGTH_DELIMITED,
    "target_service_id": _LENGTH_DELIMITED,
    "communication_mode": _VARINT,
    "criticality": _VARINT,
    "protocol": _LENGTH_DELIMITED,
    "timeout_ms": _VARINT,
    "retry_config": _LENGTH_DELIMITED,
    "confidence_score": _EIGHT_BYTES,
    "last_observed_time": _LENGTH_DELIMITED,
    "is_stale": _VARINT,
}
# The tag that a field has in a Dependency, and the one in an EffectiveDependency, in the order of the latter.
_COPIED = tuple(
    (_tag(types_pb2.Dependency, name, kind), bytes((_tag(types_pb2.EffectiveDependency, name, kind),)))
    for name, kind in _WIRE_TYPES.items()
)
_WITHOUT_PROVENANCE = {"source_service_id", "target_service_id", "is_stale"}
# What FieldProvenance begins with, by the tag of the field in a Dependency.
_FIELD_NAMES = {
    _tag(types_pb2.Dependency, name, kind): field(
        bytes((_tag(types_pb2.FieldProvenance, "field"),)), name.encode()
    )
    for name, kind in _WIRE_TYPES.items()
    if name not in _WITHOUT_PROVENANCE
}
_PROVENANCE = bytes((_tag(types_pb2.EffectiveDependency, "provenance"),))
_PROVENANCE_SOURCE = bytes((_tag(types_pb2.FieldProvenance, "discovery_source", _VARINT),))
_PROVENANCE_ID = bytes((_tag(types_pb2.FieldProvenance, "dependency_id"),))
_SOURCES = bytes((_tag(types_pb2.EffectiveDependency, "discovery_sources"),))
_RECORD = bytes((_tag(graph_service_pb2.TraverseResponse, "effective_dependencies"),))

_ID = _tag(types_pb2.Dependency, "id")
_DISCOVERY_SOURCE = _tag(types_pb2.Dependency, "discovery_source", _VARINT)
_CONFIDENCE = _tag(types_pb2.Dependency, "confidence_score", _EIGHT_BYTES)
_OBSERVED = _tag(types_pb2.Dependency, "last_observed_time")
_STALE = _tag(types_pb2.Dependency, "is_stale", _VARINT)

_PRIORITY = {
    varint(source): place
    for place, source in enumerate(
        (
            types_pb2.DISCOVERY_SOURCE_MANUAL,
            types_pb2.DISCOVERY_SOURCE_SERVICE_MESH,
            types_pb2.DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
            types_pb2.DISCOVERY_SOURCE_KUBERNETES,
        )
    )
}
_LAST = len(_PRIORITY)
_NOT_SAID = b"\x00"
_NO_CONFIDENCE = bytes(8)


class _Said(NamedTuple):
    """What one source says: its fields by tag, each with its length but without the tag; and what is told of a field that it wins."""

    fields: dict[int, bytes]
    origin: bytes


def effective_record(records: Sequence[bytes]) -> bytes:
    """
    Merge the records of all dependencies of one pair that take part into ``TraverseResponse.effective_dependencies``; one at least.

    The rules are those of ``EffectiveDependency``. O(size), some microseconds a dependency.
    """
    return field(_RECORD, _merged(_said(record, field_length(record, 1)[1]) for record in records))


def effective_of(record: bytes) -> types_pb2.EffectiveDependency:
    """Read the record of an effective dependency."""
    return types_pb2.EffectiveDependency.FromString(record[field_length(record, 1)[1] :])


def effective_dependency(dependencies: Iterable[types_pb2.Dependency]) -> types_pb2.EffectiveDependency:
    """Merge all dependencies of one pair that take part, as ``effective_record`` does."""
    return types_pb2.EffectiveDependency.FromString(
        _merged(_said(dependency.SerializeToString(), 0) for dependency in dependencies)
    )


def _merged(sources: Iterable[_Said]) -> bytes:
    """Write what sources say together as an ``EffectiveDependency``; at least one."""
    ordered = tuple(sources)
    if len(ordered) > 1:
        ordered = tuple(sorted(ordered, key=_place))
    fields, origin = ordered[0]
    origins = dict.fromkeys(fields, origin)
    if len(ordered) > 1:
        fields = fields.copy()
        for each in ordered[1:]:
            for tag, content in each.fields.items():
                if tag not in fields and tag != _STALE:
                    fields[tag], origins[tag] = content, each.origin
        latest = max(ordered, key=_observed)
        if _OBSERVED in latest.fields:
            fields[_OBSERVED], origins[_OBSERVED] = latest.fields[_OBSERVED], latest.origin
    if fields.get(_CONFIDENCE) == _NO_CONFIDENCE:
        # A zero is not written where a field is always there.
        fields = {tag: content for tag, content in fields.items() if tag != _CONFIDENCE}
    pieces = [head + fields[tag] for tag, head in _COPIED if tag in fields]
    pieces.append(_known_to(ordered))
    pieces += [
        field(_PROVENANCE, name + origins[tag]) for tag, name in _FIELD_NAMES.items() if tag in origins
    ]
    return b"".join(pieces)


def _said(record: bytes, at: int) -> _Said:
    """Take a message apart that begins at a position."""
    fields: dict[int, bytes] = {}
    end = len(record)
    while at < end:
        tag = record[at]
        at = stop = at + 1
        if tag & _WIRE_TYPE == _EIGHT_BYTES:
            stop += 8
        else:
            length, stop = field_length(record, at)
            if tag & _WIRE_TYPE == _LENGTH_DELIMITED:
                stop += length
        fields[tag] = record[at:stop]
        at = stop
    source = fields.get(_DISCOVERY_SOURCE, b"")
    origin = (_PROVENANCE_SOURCE + source if source else b"") + _PROVENANCE_ID + fields.get(_ID, b"\x00")
    return _Said(fields, origin)


def _place(said: _Said) -> tuple[bool, int, float, tuple[int, int], bytes]:
    """Return where a source stands in the order: the lower, the further in front. The id decides where nothing else does."""
    fields = said.fields
    source = fields.get(_DISCOVERY_SOURCE, _NOT_SAID)
    [confidence] = _DOUBLE.unpack(fields.get(_CONFIDENCE, _NO_CONFIDENCE))
    seconds, nanos = _observed(said)
    return _STALE in fields, _PRIORITY.get(source, _LAST), -confidence, (-seconds, -nanos), said.origin


def _observed(said: _Said) -> tuple[int, int]:
    content = said.fields.get(_OBSERVED, _NOT_SAID)
    # Its length takes one byte, for it is two numbers.
    moment = Timestamp.FromString(content[1:])
    return moment.seconds, moment.nanos


def _known_to(sources: Iterable[_Said]) -> bytes:
    known = dict.fromkeys(said.fields.get(_DISCOVERY_SOURCE, b"") for said in sources)
    return field(_SOURCES, b"".join(known))
