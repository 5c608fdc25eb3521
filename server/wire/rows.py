"""Single rows out of a binary COPY stream, as the driver would give them: for those that kernels leave out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any
from uuid import UUID

from server.domain.columns import Column, ColumnType
from server.domain.dependencies import DEPENDENCY_COLUMNS, DependencyRow
from server.domain.services import SERVICE_COLUMNS, Service

_COUNT, _LENGTH = Struct(">h"), Struct(">i")
_INT, _LONG, _DOUBLE = Struct(">i"), Struct(">q"), Struct(">d")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_INFINITE = {2**63 - 1: datetime.max, -(2**63): datetime.min}  # noqa: DTZ901 - as the driver has them


def service_at(stream: memoryview, at: int) -> Service:
    """Read the service whose row begins at a position."""
    return Service._make(_values(SERVICE_COLUMNS, stream, at))


def dependency_at(stream: memoryview, at: int) -> DependencyRow:
    """Read the dependency whose row begins at a position."""
    return DependencyRow._make(_values(DEPENDENCY_COLUMNS, stream, at))


def _values(columns: Sequence[Column], stream: memoryview, at: int) -> Iterator[Any]:
    # Any value may be NULL in a table without its constraints; the types of rows ignore that.
    for column, content in zip(columns, _fields(stream, at), strict=True):
        yield None if content is None else _READERS[column.type](content)


def _fields(stream: memoryview, at: int) -> Iterator[bytes | None]:
    (count,) = _COUNT.unpack_from(stream, at)
    at += _COUNT.size
    for _ in range(count):
        (length,) = _LENGTH.unpack_from(stream, at)
        at += _LENGTH.size
        yield None if length < 0 else bytes(stream[at : at + length])
        at += max(length, 0)


def _uuid(content: bytes) -> UUID:
    return UUID(bytes=content)


def _time(content: bytes) -> datetime:
    """Read a time; the infinite ones become what the driver makes of them, the outermost moments without a zone."""
    (microseconds,) = _LONG.unpack(content)
    return _INFINITE.get(microseconds) or _EPOCH + timedelta(microseconds=microseconds)


_READERS: Mapping[ColumnType, Callable[[bytes], Any]] = {
    ColumnType.ID: _uuid,
    ColumnType.SERVICE: _uuid,
    ColumnType.TEXT: bytes.decode,
    ColumnType.WORD: bytes.decode,
    ColumnType.JSON: bytes.decode,
    ColumnType.INTEGER: lambda content: _INT.unpack(content)[0],
    ColumnType.DOUBLE: lambda content: _DOUBLE.unpack(content)[0],
    ColumnType.BOOLEAN: lambda content: content != b"\0",
    ColumnType.TIME: _time,
}
