"""
Records of rows, one at a time. The common row is joined from pieces made beforehand, about twenty times as fast as a message is built.

Fields stand in the order of their numbers, which is how the generated code writes them: the bytes are the same.
"""

from collections.abc import Mapping
from typing import Any

from depgraph.v1 import types_pb2
from server.domain.dependencies import Dependency, DependencyRow
from server.domain.records import DependencyEnds
from server.domain.services import Service
from server.wire import words
from server.wire.fields import double, field, field_length, moment, varint
from server.wire.metadata import retry_bytes, struct_bytes

# Tags of the fields of answers that records are.
SERVICE_TAG, BRIEF_TAG, DEPENDENCY_TAG = b"\x0a", b"\x12", b"\x22"
# Tag and length of a UUID as text, which every message begins with.
_ID = b"\x0a\x24"
_ID_LENGTH = 38
_SOURCE_NAME, _TARGET_NAME = b"\x12", b"\x1a"
_METADATA, _RETRIES = b"\x1a", b"\x42"
_SHORT = 128


def _words(tag: bytes, enum: words.EnumWords[Any, Any]) -> Mapping[str, bytes]:
    return {word: tag + varint(number) for word, number in enum.number.items()}


def _heads(tag: bytes) -> tuple[bytes, ...]:
    return tuple(tag + varint(length) for length in range(_SHORT))


_SERVICE_CRITICALITY = _words(b"\x20", words.CRITICALITY)
_MODE = _words(b"\x20", words.COMMUNICATION_MODE)
_CRITICALITY = _words(b"\x28", words.DEPENDENCY_CRITICALITY)
_DISCOVERY_SOURCE = _words(b"\x48", words.DISCOVERY_SOURCE)
# Tag and length of a field, by length.
_SERVICE, _BRIEF, _DEPENDENCY = _heads(SERVICE_TAG), _heads(BRIEF_TAG), _heads(DEPENDENCY_TAG)
_TEAM, _PROTOCOL = _heads(b"\x2a"), _heads(b"\x32")
_SOURCE, _TARGET = _heads(_SOURCE_NAME), _heads(_TARGET_NAME)
_SERVICE_CREATED, _SERVICE_UPDATED = _heads(b"\x3a"), _heads(b"\x42")
_OBSERVED, _CREATED, _UPDATED = _heads(b"\x5a"), _heads(b"\x6a"), _heads(b"\x72")


def service_record(row: Service) -> bytes:
    """Write a service as ``TraverseResponse.services``. O(size)."""
    key, name, metadata, criticality, team, discovered, created, updated = row
    begun = moment(created)
    changed = begun if updated == created else moment(updated)
    content = (
        _ID,
        str(key).encode(),
        _name(_SOURCE, name),
        b"\x1a\x00" if metadata == "{}" else field(_METADATA, struct_bytes(metadata)),
        _SERVICE_CRITICALITY.get(criticality, b""),
        b"" if team is None else _sized(_TEAM, team.encode()),
        b"\x30\x01" if discovered else b"",
        _SERVICE_CREATED[len(begun)] + begun,
        _SERVICE_UPDATED[len(changed)] + changed,
    )
    return _sized(_SERVICE, b"".join(content))


def service_brief(name: str) -> bytes:
    """Write the name of a service as ``TraverseResponse.service_ids``."""
    return _sized(_BRIEF, name.encode())


def dependency_record(row: DependencyRow | Dependency, source_name: str, target_name: str) -> bytes:
    """Write a dependency whose ends are called so as ``TraverseResponse.dependencies``; "" = not known. O(size)."""
    key, _, _, mode, criticality, protocol, timeout, retry, discovery_source = row[:9]
    confidence, observed, is_stale, created, updated = row[9:]
    begun = moment(created)
    changed = begun if updated == created else moment(updated)
    seen = begun if observed == created else moment(observed)
    content = (
        _ID,
        str(key).encode(),
        _name(_SOURCE, source_name),
        _name(_TARGET, target_name),
        _MODE.get(mode, b""),
        _CRITICALITY.get(criticality, b""),
        b"" if protocol is None else _sized(_PROTOCOL, protocol.encode()),
        b"" if timeout is None else b"\x38" + varint(timeout),
        b"" if retry is None else field(_RETRIES, retry_bytes(retry)),
        _DISCOVERY_SOURCE.get(discovery_source, b""),
        _score(confidence),
        _OBSERVED[len(seen)] + seen,
        b"\x60\x01" if is_stale else b"",
        _CREATED[len(begun)] + begun,
        _UPDATED[len(changed)] + changed,
    )
    return _sized(_DEPENDENCY, b"".join(content))


def with_metadata(message: bytes, cut: int, text: str) -> bytes:
    """Write a service as a record, of a message that lacks its metadata at ``cut``."""
    return _sized(_SERVICE, message[:cut] + field(_METADATA, struct_bytes(text)) + message[cut:])


def with_retries(message: bytes, cut: int, text: str) -> bytes:
    """Write a dependency as a record, of a message that lacks its configuration of retries at ``cut``."""
    return _sized(_DEPENDENCY, message[:cut] + field(_RETRIES, retry_bytes(text)) + message[cut:])


def renamed(record: bytes, source_name: str, target_name: str) -> bytes:
    """Return the record of the same dependency with its ends called otherwise."""
    _, start = field_length(record, 1)
    rest = names = start + _ID_LENGTH
    for tag in (_SOURCE_NAME, _TARGET_NAME):
        if record[rest : rest + 1] == tag:
            length, begin = field_length(record, rest + 1)
            rest = begin + length
    content = (record[start:names], _name(_SOURCE, source_name), _name(_TARGET, target_name), record[rest:])
    return _sized(_DEPENDENCY, b"".join(content))


def retagged(record: bytes, number: int) -> bytes:
    """Return a record as the field of another number (1 to 15): those of ``WatchResponse`` differ."""
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


def _sized(heads: tuple[bytes, ...], content: bytes) -> bytes:
    length = len(content)
    return heads[length] + content if length < _SHORT else heads[0][:1] + varint(length) + content


def _name(heads: tuple[bytes, ...], name: str) -> bytes:
    # An empty string is not written at all.
    return _sized(heads, name.encode()) if name else b""


def _score(confidence: float | None) -> bytes:
    # NULL only in a table without its constraints.
    return b"" if confidence is None else b"\x51" + double(confidence)
