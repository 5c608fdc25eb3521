"""Steps as the largest are taken: rows streamed by COPY, changes applied to a copy of the graph."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from server.feed import reader, rows
from server.replica import replica


@contextmanager
def large_steps() -> Iterator[None]:
    """Take every step so, as long as the context lasts."""
    with (
        patch.object(reader, "INLINE_CHANGES", 0),
        patch.object(rows, "STREAM_AT_LEAST", 1),
        patch.object(rows, "STREAM_SHARE", 1_000_000),
        patch.object(replica, "IN_PLACE", 0),
    ):
        yield
