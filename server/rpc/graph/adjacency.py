"""The adjacency list as messages of bounded size."""

from collections.abc import Iterable, Iterator, Sequence

from depgraph.v1 import graph_service_pb2 as pb
from server.rpc.answers import tag
from server.wire.fields import field

_SERVICE = tag(pb.GetAdjacencyListResponse, "service_id")
_TARGET = tag(pb.GetAdjacencyListResponse, "target_service_ids")
_FRESHNESS = tag(pb.GetAdjacencyListResponse, "freshness")


def adjacency_messages(
    services: Iterable[tuple[str, Sequence[str]]], freshness: bytes, max_bytes: int
) -> Iterator[bytes]:
    """
    Encode one message for each service, or several if its targets take more than ``max_bytes``.

    The first message has the freshness, too.
    """
    once = field(_FRESHNESS, freshness)
    for name, targets in services:
        service = field(_SERVICE, name.encode())
        for run in _runs([field(_TARGET, target.encode()) for target in targets], max_bytes):
            yield service + run + once
            once = b""


def _runs(fields: list[bytes], max_bytes: int) -> Iterator[bytes]:
    """Join fields to runs of at most ``max_bytes``; one empty run for no fields."""
    whole = b"".join(fields)
    if len(whole) <= max_bytes:
        yield whole
        return
    start, room = 0, max_bytes
    for position, each in enumerate(fields):
        if len(each) > room:
            yield b"".join(fields[start:position])
            start, room = position, max_bytes
        room -= len(each)
    yield b"".join(fields[start:])
