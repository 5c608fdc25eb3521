"""
The bytes of a binary COPY stream as they arrive, and single rows in them.

The format: https://www.postgresql.org/docs/current/sql-copy.html, Binary Format.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import TYPE_CHECKING, Any
from uuid import UUID

import numpy as np

from server.domain.columns import Column, ColumnType
from server.domain.dependencies import DEPENDENCY_COLUMNS, DependencyRow
from server.domain.records import CopyFormatError
from server.domain.services import SERVICE_COLUMNS, Service
from server.wire.kernels import AT, END, FINISHED, FREE, MALFORMED, SPAN, STATE

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SIGNATURE = b"PGCOPY\n\xff\r\n\0"
_HEADER = Struct(">11sii")
_TRAILER_SIZE = 2
_FIRST_BYTES = 1 << 20

_COUNT, _LENGTH = Struct(">h"), Struct(">i")
_INT, _LONG, _DOUBLE = Struct(">i"), Struct(">q"), Struct(">d")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_INFINITE = {2**63 - 1: datetime.max, -(2**63): datetime.min}  # noqa: DTZ901 - as the driver has them


class CopyStream:
    """
    The bytes that have arrived and were not read yet, without the header.

    They are ``content`` from ``span[AT]`` to ``span[END]``. Kernels move ``span[AT]`` on.
    """

    def __init__(self) -> None:
        self.content: NDArray[np.uint8] = np.empty(_FIRST_BYTES, np.uint8)
        self.span: NDArray[np.int64] = np.zeros(SPAN, np.int64)
        self._is_begun = False

    def __len__(self) -> int:
        """Return the number of bytes that wait to be read; 0 until the header has arrived."""
        return int(self.span[END] - self.span[AT]) if self._is_begun else 0

    @property
    def state(self) -> int:
        """Why the last kernel stopped."""
        return int(self.span[STATE])

    @property
    def written(self) -> int:
        """How many bytes the last kernel wrote."""
        return int(self.span[FREE])

    def add(self, chunk: bytes) -> None:
        """Take in the next bytes. O(len(chunk)) amortised."""
        begin, end = int(self.span[AT]), int(self.span[END])
        if end + len(chunk) > len(self.content):
            needed = end - begin + len(chunk)
            moved = self.content if needed <= len(self.content) else np.empty(2 * needed, np.uint8)
            moved[: end - begin] = self.content[begin:end]
            self.content = moved
            begin, end = 0, end - begin
        self.content[end : end + len(chunk)] = np.frombuffer(chunk, np.uint8)
        self.span[AT], self.span[END] = begin, end + len(chunk)
        if not self._is_begun and end + len(chunk) >= _HEADER.size:
            self._begin()

    def check(self) -> None:
        """Raise ``CopyFormatError`` when the last kernel found what is no row."""
        if self.state == MALFORMED:
            raise CopyFormatError("the stream has a row of other columns than were asked for")

    def check_end(self) -> None:
        """Raise ``CopyFormatError`` unless all was read to the trailer."""
        if self.state != FINISHED or len(self) != _TRAILER_SIZE:
            raise CopyFormatError(
                f"the stream broke off, or goes on behind its end: {len(self)} bytes are left"
            )

    def _begin(self) -> None:
        signature, _, extension = _HEADER.unpack(self.content[: _HEADER.size].tobytes())
        if signature != _SIGNATURE or extension:
            raise CopyFormatError("the stream does not begin like a binary COPY stream")
        self.span[AT] = _HEADER.size
        self._is_begun = True


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
    """Read a time; infinity becomes what the driver makes of it."""
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
