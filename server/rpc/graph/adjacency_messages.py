"""The adjacency list as messages of bounded size, the bytes of each made by hand."""

from collections.abc import Iterable, Iterator, Sequence

from server.rpc.answer_fields import ADJACENCY_FRESHNESS, ADJACENCY_SERVICE, ADJACENCY_TARGET
from server.wire.fields import field


def adjacency_messages(
    services: Iterable[tuple[str, Sequence[str]]], freshness: bytes, max_bytes: int
) -> Iterator[bytes]:
    """Write one message for each service, or several in a row for one whose targets take more than ``max_bytes``."""
    unsaid = field(ADJACENCY_FRESHNESS, freshness)
    for name, targets in services:
        said = field(ADJACENCY_SERVICE, name.encode())
        for some in _parts([field(ADJACENCY_TARGET, target.encode()) for target in targets], max_bytes):
            yield said + some + unsaid
            unsaid = b""


def _parts(fields: list[bytes], max_bytes: int) -> Iterator[bytes]:
    """Join fields to runs of at most ``max_bytes``; one empty run for no fields."""
    whole = b"".join(fields)
    if len(whole) <= max_bytes:
        yield whole
        return
    start, room = 0, max_bytes
    for position, one in enumerate(fields):
        if len(one) > room:
            yield b"".join(fields[start:position])
            start, room = position, max_bytes
        room -= len(one)
    yield b"".join(fields[start:])
