"""
What several discovery sources say of one pair of services, merged into one record.

Works on the bytes of records, since an answer may hold thousands of pairs: a field that won is
copied under another tag; its provenance is a head made at import and the id of the dependency.
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from struct import Struct as Packing
from typing import NamedTuple

from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1 import graph_service_pb2, types_pb2
from server.wire.fields import LENGTH_DELIMITED, VARINT, field, field_length, tag_of, varint

_MORE = 0x80
_WIRE_TYPE = 7
_DOUBLE = Packing("<d")


def _tag(message: type[Message], name: str) -> bytes:
    """Write the tag of a field; all tags of this module take a single byte."""
    return bytes((tag_of(message, name),))


_FIELDS = (
    "source_service_id",
    "target_service_id",
    "communication_mode",
    "criticality",
    "protocol",
    "timeout_ms",
    "retry_config",
    "confidence_score",
    "last_observed_time",
    "is_stale",
)
# The tag that a field has in a Dependency, and the one in an EffectiveDependency, in the order of
# the latter.
_COPIED = tuple(
    (tag_of(types_pb2.Dependency, name), _tag(types_pb2.EffectiveDependency, name)) for name in _FIELDS
)
_WITHOUT_PROVENANCE = {"source_service_id", "target_service_id", "is_stale"}
_PROVENANCE = _tag(types_pb2.EffectiveDependency, "provenance")
_PROVENANCE_SOURCE = _tag(types_pb2.FieldProvenance, "discovery_source")
_PROVENANCE_ID = _tag(types_pb2.FieldProvenance, "dependency_id")
# Packed: all numbers are one field.
_SOURCES = bytes((tag_of(types_pb2.EffectiveDependency, "discovery_sources") | LENGTH_DELIMITED,))
_RECORD = _tag(graph_service_pb2.TraverseResponse, "effective_dependencies")

# A known source, and a UUID as text.
_USUAL_ORIGIN = 2 + 2 + 36


def _provenance_heads(name: str) -> tuple[bytes, bytes]:
    """Write the beginning of a provenance, up to the usual origin; and without tag and length."""
    named = field(_tag(types_pb2.FieldProvenance, "field"), name.encode())
    return _PROVENANCE + varint(len(named) + _USUAL_ORIGIN) + named, named


# By the tag of the field in a Dependency.
_PROVENANCES = {
    tag_of(types_pb2.Dependency, name): _provenance_heads(name)
    for name in _FIELDS
    if name not in _WITHOUT_PROVENANCE
}

# What counts as not said while another source says something else, by the tag of the field.
_UNSAID: dict[int, tuple[bytes | None, ...]] = dict.fromkeys(_PROVENANCES, (None,)) | {
    tag_of(types_pb2.Dependency, name): (None, varint(unknown))
    for name, unknown in (
        ("communication_mode", types_pb2.COMMUNICATION_MODE_UNKNOWN),
        ("criticality", types_pb2.DEPENDENCY_CRITICALITY_UNKNOWN),
    )
}

_ID, _DISCOVERY_SOURCE, _CONFIDENCE, _OBSERVED, _STALE = (
    tag_of(types_pb2.Dependency, name)
    for name in ("id", "discovery_source", "confidence_score", "last_observed_time", "is_stale")
)

_PRIORITY = {
    varint(source): place
    for place, source in enumerate(
        (
            types_pb2.DISCOVERY_SOURCE_MANUAL,
            types_pb2.DISCOVERY_SOURCE_CATALOG,
            types_pb2.DISCOVERY_SOURCE_SERVICE_MESH,
            types_pb2.DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
            types_pb2.DISCOVERY_SOURCE_KUBERNETES,
        )
    )
}
_LAST = len(_PRIORITY)
_STALE_PLACE = _LAST + 1
_NOT_SAID = b"\x00"
_place = attrgetter("place")
_NO_CONFIDENCE = bytes(8)
_CONFIDENCE_TAG = dict(_COPIED)[_CONFIDENCE]


class _Said(NamedTuple):
    """
    What one source says: its fields by tag, each with its length but without the tag.

    ``origin`` is the provenance of a field that it wins, ``place`` where it stands in the order:
    the lower, the further in front.
    """

    fields: dict[int, bytes]
    origin: bytes
    place: int


def effective_record(records: Sequence[bytes]) -> bytes:
    """
    Merge the records of a pair, at least one, into ``TraverseResponse.effective_dependencies``.

    The rules are those of ``EffectiveDependency``. O(size), some microseconds a dependency.
    """
    return field(_RECORD, _merged([_said(record, field_length(record, 1)[1]) for record in records]))


def effective_of(record: bytes) -> types_pb2.EffectiveDependency:
    """Read the record of an effective dependency."""
    return types_pb2.EffectiveDependency.FromString(record[field_length(record, 1)[1] :])


def effective_dependency(dependencies: Iterable[types_pb2.Dependency]) -> types_pb2.EffectiveDependency:
    """Merge all dependencies of one pair that take part, as ``effective_record`` does."""
    return types_pb2.EffectiveDependency.FromString(
        _merged([_said(dependency.SerializeToString(), 0) for dependency in dependencies])
    )


def _merged(sources: list[_Said]) -> bytes:
    """Write what sources say together as an ``EffectiveDependency``; at least one."""
    fields, origin, _ = sources[0]
    origins: dict[int, bytes] = {}
    if len(sources) > 1:
        _put_in_order(sources)
        fields, origin, _ = sources[0]
        fields = fields.copy()
        for tag in [tag for tag in _PROVENANCES if fields.get(tag) in _UNSAID[tag]]:
            for each in sources:
                said = each.fields.get(tag)
                if said is not None and (tag not in fields or said not in _UNSAID[tag]):
                    fields[tag], origins[tag] = said, each.origin
                    if said not in _UNSAID[tag]:
                        break
        latest = _latest(sources)
        if _OBSERVED in latest.fields:
            fields[_OBSERVED], origins[_OBSERVED] = latest.fields[_OBSERVED], latest.origin
    pieces = [head + fields[tag] for tag, head in _COPIED if tag in fields]
    if fields.get(_CONFIDENCE) == _NO_CONFIDENCE:
        # A zero is not written where a field is always there.
        pieces.remove(_CONFIDENCE_TAG + _NO_CONFIDENCE)
    pieces.append(_known_to(sources))
    pieces += [_provenance(tag, origins.get(tag, origin)) for tag in _PROVENANCES if tag in fields]
    return b"".join(pieces)


def _said(record: bytes, at: int) -> _Said:
    """
    Take a message apart that begins at a position.

    Without a call for each field, since most of what merging takes is spent here.
    """
    fields: dict[int, bytes] = {}
    end = len(record)
    while at < end:
        tag, first = record[at], record[at + 1]
        kind, stop = tag & _WIRE_TYPE, at + 2
        if kind == LENGTH_DELIMITED:
            if first < _MORE:
                stop += first
            else:
                length, stop = field_length(record, at + 1)
                stop += length
        elif kind == VARINT:
            while first >= _MORE:
                first = record[stop]
                stop += 1
        else:
            stop = at + 9
        fields[tag] = record[at + 1 : stop]
        at = stop
    source = fields.get(_DISCOVERY_SOURCE, b"")
    origin = (_PROVENANCE_SOURCE + source if source else b"") + _PROVENANCE_ID + fields.get(_ID, _NOT_SAID)
    place = _PRIORITY.get(source, _LAST)
    return _Said(fields, origin, place + _STALE_PLACE if _STALE in fields else place)


def _put_in_order(sources: list[_Said]) -> None:
    """Sort sources, the one that has the word first."""
    sources.sort(key=_place)
    # Only tables that have lost their constraints hold two of one pair and source.
    if len(set(map(_place, sources))) < len(sources):
        sources.sort(key=lambda said: (said.place, _tie(said)))


def _tie(said: _Said) -> tuple[float, tuple[int, int], bytes]:
    """Decide between equal places: by confidence, by the time, by the id."""
    [confidence] = _DOUBLE.unpack(said.fields.get(_CONFIDENCE, _NO_CONFIDENCE))
    seconds, nanos = _observed(said)
    return -confidence, (-seconds, -nanos), said.origin


def _latest(sources: list[_Said]) -> _Said:
    """Return the source that saw the dependency last; of equal ones the first."""
    if len({each.fields.get(_OBSERVED) for each in sources}) == 1:
        return sources[0]
    return max(sources, key=_observed)


def _observed(said: _Said) -> tuple[int, int]:
    # The length takes one byte, for a time is two numbers.
    moment = Timestamp.FromString(said.fields.get(_OBSERVED, _NOT_SAID)[1:])
    return moment.seconds, moment.nanos


def _known_to(sources: Iterable[_Said]) -> bytes:
    known = dict.fromkeys([said.fields.get(_DISCOVERY_SOURCE, b"") for said in sources])
    return field(_SOURCES, b"".join(known))


def _provenance(tag: int, origin: bytes) -> bytes:
    usual, name = _PROVENANCES[tag]
    return usual + origin if len(origin) == _USUAL_ORIGIN else field(_PROVENANCE, name + origin)
