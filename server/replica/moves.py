"""What a step does to the dependencies that count for cycles, in the names of services."""

from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import NamedTuple

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from graphcore.flags import STALE
from server.domain.moves import Move, MoveKind
from server.turns import Turns

Find = Callable[[Hashable], ServiceRecord | None]


async def moves(
    graph: DependencyGraph,
    services: Mapping[bytes, ServiceRecord | None],
    dependencies: Mapping[bytes, DependencyRecord | None],
    service_afterwards: Find,
    least_confidence: float,
) -> list[Move]:
    """Compare records with those of the graph that they will replace. O(records), half a millisecond at a time."""
    turns, found = Turns(), list[Move]()
    for key, service in services.items():
        found.extend(_of_service(graph.find_service(key), service))
        await turns.next()
    for key, dependency in dependencies.items():
        before = _edge(graph.find_dependency(key), graph.find_service, least_confidence)
        after = _edge(dependency, service_afterwards, least_confidence)
        found.extend(_of_dependency(before, after))
        await turns.next()
    return found


class _Edge(NamedTuple):
    """A dependency between services that are there; ``ends`` are their keys, ``names`` what they are called."""

    ends: tuple[Hashable, Hashable]
    names: tuple[str, str]
    is_stale: bool
    counts: bool


def _edge(record: DependencyRecord | None, find: Find, least_confidence: float) -> _Edge | None:
    """Look a dependency up; None = it is not there, or no edge."""
    if record is None or record.source == record.target:
        return None
    source, target = find(record.source), find(record.target)
    if source is None or target is None:
        return None
    is_stale = bool(record.flags & STALE)
    counts = not is_stale and record.confidence >= least_confidence
    return _Edge((record.source, record.target), (source.name, target.name), is_stale, counts)


def _of_service(before: ServiceRecord | None, after: ServiceRecord | None) -> Iterator[Move]:
    if before is not None and after is None:
        yield Move(MoveKind.SERVICE_REMOVED, before.name)
    elif before is not None and after is not None and before.name != after.name:
        yield Move(MoveKind.SERVICE_RENAMED, before.name, after.name)


def _of_dependency(before: _Edge | None, after: _Edge | None) -> Iterator[Move]:
    if before is None or after is None or before.ends != after.ends:
        if before is not None and before.counts:
            yield Move(MoveKind.REMOVED, *before.names)
        if after is not None and after.counts:
            yield Move(MoveKind.ADDED, *after.names)
    elif before.counts and not after.counts:
        yield Move(MoveKind.STALE if after.is_stale else MoveKind.DOUBTED, *before.names)
    elif after.counts and not before.counts:
        yield Move(MoveKind.REVIVED if before.is_stale else MoveKind.TRUSTED, *after.names)
