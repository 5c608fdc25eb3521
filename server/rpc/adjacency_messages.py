"""The adjacency list, cut into messages of bounded size."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from depgraph.v1.graph_service_pb2 import GetAdjacencyListResponse
from server.domain.consistency import Freshness
from server.rpc import encode

if TYPE_CHECKING:
    from depgraph.v1 import types_pb2


def adjacency_messages(
    services: Iterable[tuple[str, tuple[str, ...]]], freshness: Freshness, max_bytes: int
) -> Iterator[GetAdjacencyListResponse]:
    """Write one message for each service, or several in a row for one whose targets take more than ``max_bytes``."""
    unsaid: types_pb2.Freshness | None = encode.freshness(freshness)
    for name, targets in services:
        for some in _slices(targets, max_bytes):
            yield GetAdjacencyListResponse(service_id=name, target_service_ids=some, freshness=unsaid)
            unsaid = None


def _slices(names: tuple[str, ...], max_bytes: int) -> Iterator[tuple[str, ...]]:
    """Cut names into runs that take at most ``max_bytes`` as a repeated field; one empty run for no names."""
    start, room = 0, max_bytes
    for position, name in enumerate(names):
        size = _field_size(len(name.encode()))
        if size > room:
            yield names[start:position]
            start, room = position, max_bytes
        room -= size
    yield names[start:]


def _field_size(length: int) -> int:
    """Bytes of a field of so many bytes: tag, length, content."""
    return 1 + max(1, (length.bit_length() + 6) // 7) + length
