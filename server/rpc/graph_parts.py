"""Answers about the graph, cut into messages of bounded size."""

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from depgraph.v1.graph_service_pb2 import GetAdjacencyListResponse, StreamTraverseResponse, TraverseResponse
from graphcore import Traversal
from server.domain.consistency import Freshness
from server.rpc import encode

if TYPE_CHECKING:
    from depgraph.v1 import types_pb2
    from server.domain.dependencies import DependencyRow
    from server.domain.services import Service

Answer = TypeVar("Answer", TraverseResponse, StreamTraverseResponse)

# Field tag and length of the packed depths; a depth itself takes one byte, since it is at most 10.
_PACKED_HEADER = 6
_RECORDS_A_BREATH = 256
# What a record takes at least: its UUID as text, names of one letter, enums, times.
_LEAST_SERVICE = 50
_LEAST_DEPENDENCY = 65


@dataclass(frozen=True, slots=True)
class Found:
    """What a walk found, and in which snapshot."""

    traversal: Traversal
    freshness: Freshness


def least_bytes(traversal: Traversal, *, full: bool) -> int:
    """Estimate an answer's size from below, to refuse a much too large one before encoding any of it. O(1)."""
    services = len(traversal.services)
    return (
        services * _LEAST_SERVICE + len(traversal.dependencies) * _LEAST_DEPENDENCY if full else services * 4
    )


class TraversalParts(Generic[Answer]):
    """
    Encodes what a walk found part by part: services first, then dependencies.

    A part takes at most ``max_bytes``, but for a single record larger than that, which comes alone. Encoding lets other calls in
    every few milliseconds: what was found can't change any more.
    """

    def __init__(self, found: Found, kind: type[Answer], max_bytes: int, *, full: bool) -> None:
        self._found = found
        self._kind: type[Answer] = kind
        self._max_bytes = max_bytes
        self._full = full
        self._services = 0
        self._dependencies = 0
        self._taken = 0

    @property
    def exhausted(self) -> bool:
        """Whether everything found is in the parts taken so far; a first part is due even when nothing was found."""
        traversal = self._found.traversal
        done = self._services == len(traversal.services) and self._dependencies == len(traversal.dependencies)
        return done and self._taken > 0

    async def take(self) -> Answer:
        """Encode the next part."""
        part = self._kind(truncated=self._found.traversal.truncated)
        if not self._taken:
            part.freshness.CopyFrom(encode.freshness(self._found.freshness))
        self._taken += 1
        room = await self._add_services(part, self._max_bytes - part.ByteSize() - _PACKED_HEADER)
        if self._services == len(self._found.traversal.services):
            await self._add_dependencies(part, room)
        return part

    async def _add_services(self, part: Answer, room: int) -> int:
        """Add services while they fit; returns the bytes left."""
        found = self._found.traversal
        while self._services < len(found.services):
            record, depth = found.services[self._services], found.depths[self._services]
            service = encode.service(cast("Service", record.payload)) if self._full else None
            size = _field_size(len(record.name.encode())) + 1
            size += _field_size(service.ByteSize()) if service else 0
            if size > room and part.service_ids:
                return 0
            part.service_ids.append(record.name)
            part.depths.append(depth)
            if service:
                part.services.append(service)
            room -= size
            self._services += 1
            await _breathe(self._services)
        return room

    async def _add_dependencies(self, part: Answer, room: int) -> None:
        found = self._found.traversal.dependencies
        while self._dependencies < len(found):
            source, target, payload = found[self._dependencies]
            dependency = encode.named_dependency(source, target, cast("DependencyRow", payload))
            size = _field_size(dependency.ByteSize())
            if size > room and (part.service_ids or part.dependencies):
                return
            part.dependencies.append(dependency)
            room -= size
            self._dependencies += 1
            await _breathe(self._dependencies)


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


async def _breathe(encoded: int) -> None:
    if encoded % _RECORDS_A_BREATH == 0:
        await asyncio.sleep(0)
