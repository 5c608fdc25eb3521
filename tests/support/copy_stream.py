"""Binary COPY streams as PostgreSQL writes them, made of rows; and cut into chunks anywhere."""

import random
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from struct import pack
from typing import Any
from uuid import UUID

HEADER = b"PGCOPY\n\xff\r\n\0" + pack(">ii", 0, 0)
TRAILER = pack(">h", -1)
_FORMATS = {bool: ">?", int: ">i", float: ">d"}
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def copy_stream(rows: Iterable[tuple[Any, ...]]) -> bytes:
    """Write rows of values as asyncpg gives them."""
    return HEADER + b"".join(map(_row, rows)) + TRAILER


def chunks(stream: bytes, seed: int, longest: int = 300) -> Iterator[bytes]:
    """Cut a stream at random."""
    choice = random.Random(seed)  # noqa: S311 - nothing secret
    at = 0
    while at < len(stream):
        size = choice.randrange(longest)
        yield stream[at : at + size]
        at += size


def _row(values: tuple[Any, ...]) -> bytes:
    return pack(">h", len(values)) + b"".join(map(_field, values))


def _field(value: Any) -> bytes:
    if value is None:
        return pack(">i", -1)
    content = _content(value)
    return pack(">i", len(content)) + content


def _content(value: Any) -> bytes:
    match value:
        case UUID():
            return value.bytes
        case str():
            return value.encode()
        case datetime():
            return pack(">q", (value - _EPOCH) // timedelta(microseconds=1))
    return pack(_FORMATS[type(value)], value)
