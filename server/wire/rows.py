"""Single rows out of a binary COPY stream, as asyncpg would give them: for those that are odd."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any
from uuid import UUID

from server.domain.dependencies import DependencyRow
from server.domain.services import Service

_COUNT, _LENGTH = Struct(">h"), Struct(">i")
_INT, _LONG, _DOUBLE = Struct(">i"), Struct(">q"), Struct(">d")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_INFINITE = {2**63 - 1: datetime.max, -(2**63): datetime.min}  # noqa: DTZ901 - as the driver has them


def service_at(stream: memoryview, at: int) -> Service:
    """Read the service whose row begins at a position."""
    key, name, metadata, criticality, team, discovered, created, updated = _fields(stream, at)
    return Service(
        id=UUID(bytes=key),
        service_id=_text(name),
        metadata=_text(metadata),
        criticality=_text(criticality),
        team=_text(team),
        discovered=_truth(discovered),
        created_at=_time(created),
        updated_at=_time(updated),
    )


def dependency_at(stream: memoryview, at: int) -> DependencyRow:
    """Read the dependency whose row begins at a position."""
    fields = tuple(_fields(stream, at))
    key, source, target, mode, criticality, protocol, timeout, retry, discovery_source = fields[:9]
    confidence, observed, is_stale, created, updated = fields[9:]
    return DependencyRow(
        id=UUID(bytes=key),
        source=_uuid(source),
        target=_uuid(target),
        communication_mode=_text(mode),
        criticality=_text(criticality),
        protocol=_text(protocol),
        timeout_ms=_number(_INT, timeout),
        retry_config=_text(retry),
        discovery_source=_text(discovery_source),
        confidence_score=_number(_DOUBLE, confidence),
        last_observed_at=_time(observed),
        is_stale=_truth(is_stale),
        created_at=_time(created),
        updated_at=_time(updated),
    )


# A row may hold NULL where the table should not have let it; the types of rows know nothing of that.


def _fields(stream: memoryview, at: int) -> Iterator[Any]:
    (count,) = _COUNT.unpack_from(stream, at)
    at += _COUNT.size
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(stream, at)
        at += _LENGTH.size
        yield None if length < 0 else bytes(stream[at : at + length])
        at += max(length, 0)


def _text(field: bytes | None) -> Any:
    return None if field is None else field.decode()


def _uuid(field: bytes | None) -> Any:
    return None if field is None else UUID(bytes=field)


def _number(packing: Struct, field: bytes | None) -> Any:
    return None if field is None else packing.unpack(field)[0]


def _truth(field: bytes | None) -> Any:
    return None if field is None else field != b"\0"


def _time(field: bytes | None) -> Any:
    """Read a time; the infinite ones become what the driver makes of them, the outermost moments without a zone."""
    if field is None:
        return None
    (microseconds,) = _LONG.unpack(field)
    return _INFINITE.get(microseconds) or _EPOCH + timedelta(microseconds=microseconds)
