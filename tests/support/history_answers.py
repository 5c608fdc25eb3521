"""What a server must answer about the past, built from a copy of the tables by plain searches."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Mapping
from random import Random
from typing import Any
from uuid import UUID

import grpc
from google.protobuf.message import Message

from depgraph.v1.graph_service_pb2 import (
    DIRECTION_BOTH,
    DIRECTION_DOWNSTREAM,
    DIRECTION_UPSTREAM,
    EdgeFilter,
    GetAdjacencyListRequest,
    TraverseRequest,
)
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from depgraph.v1.types_pb2 import Consistency, Dependency, Service
from graphcore import DependencyGraph
from server.domain.dependencies import DependencyRow
from server.domain.services import Service as ServiceRow
from tests.support import oracle, wire_rows
from tests.support.following import rows_of
from tests.support.history_copies import Copy, Row
from tests.support.rows import PlainAlias, PlainEdge, PlainFilter, PlainService, Tables

DEEPEST = 10
STARTS = 2
_DIRECTIONS = {"downstream": DIRECTION_DOWNSTREAM, "upstream": DIRECTION_UPSTREAM, "both": DIRECTION_BOTH}


def service_message(key: UUID, row: Row) -> Service:
    """Build what answers about the past say of a service."""
    name, metadata, criticality, team, discovered, kind, created_at = row
    message = wire_rows.service_message(
        ServiceRow(key, name, metadata, criticality, team, discovered, created_at, created_at, kind)
    )
    message.ClearField("update_time")
    return message


def dependency_message(key: UUID, row: Row, source: str, target: str) -> Dependency:
    """Build what answers about the past say of a dependency; its services were called so."""
    *values, is_stale, created_at = row
    dependency = DependencyRow._make((key, *values, created_at, is_stale, created_at, created_at))
    message = wire_rows.dependency_message(dependency, source, target)
    message.ClearField("last_observed_time")
    message.ClearField("update_time")
    return message


def plain_tables(copy: Copy) -> Tables:
    """Give the rows of a copy as oracles need them."""
    services, dependencies, aliases = copy.rows
    return Tables(
        {key: PlainService(key, row[0]) for key, row in services.items()},
        {
            key: PlainEdge(key, row[0], row[1], row[2], row[3], row[7], row[8], row[9])
            for key, row in dependencies.items()
        },
        {key: PlainAlias(key, row[0], row[1]) for key, row in aliases.items()},
    )


def wrong_rows(graph: DependencyGraph, copy: Copy) -> list[str]:
    """Describe what all records of a past graph say other than the rows of a copy."""
    services, dependencies, aliases = copy.rows
    held: tuple[Mapping[UUID, Any], ...] = rows_of(graph)
    expected: tuple[Mapping[UUID, Any], ...] = (
        {key: service_message(key, row) for key, row in services.items()},
        {
            key: dependency_message(key, row, services[row[0]][0], services[row[1]][0])
            for key, row in dependencies.items()
        },
        aliases,
    )
    return [
        line
        for what, rows, wanted in zip(("service", "dependency", "alias"), held, expected, strict=True)
        for line in _differing(what, _by_text(rows), _by_text(wanted))
    ]


def _by_text(rows: Mapping[UUID, Any]) -> dict[str, Any]:
    return {str(key): _of_then(row) if isinstance(row, Message) else row for key, row in rows.items()}


def _of_then(message: Any) -> Any:
    """Leave out what history does not know, as answers do."""
    known = type(message)()
    known.CopyFrom(message)
    for time in ("last_observed_time", "update_time"):
        if time in known.DESCRIPTOR.fields_by_name:
            known.ClearField(time)
    return known


class PastAnswers:
    """Asks a server about the time of a copy, and compares."""

    def __init__(self, channel: grpc.aio.Channel, copy: Copy) -> None:
        self._graph = GraphServiceStub(channel)
        self._copy = copy
        self._tables = plain_tables(copy)
        self._consistency = Consistency()
        self._consistency.as_of.FromDatetime(copy.at)
        self.compared = 0

    async def wrong(self, dice: Random) -> list[str]:
        """Ask for all adjacency lists and for some walks; describe what differs."""
        found = [line async for line in self._wrong_adjacency()]
        names = sorted(service.name for service in self._tables.services.values())
        aliases = sorted(alias.name for alias in self._tables.aliases.values())
        for name in dice.sample(names, min(STARTS, len(names))) + dice.sample(aliases, min(1, len(aliases))):
            direction = dice.choice(tuple(_DIRECTIONS))
            least = dice.choice((0.0, 0.0, 0.25, 0.5, 0.9))
            found += [line async for line in self._wrong_walk(name, direction, least)]
        return found

    async def _wrong_adjacency(self) -> AsyncIterator[str]:
        for include_stale in (False, True):
            request = GetAdjacencyListRequest(include_stale=include_stale, consistency=self._consistency)
            answered: dict[str, list[str]] = {}
            async for part in self._graph.GetAdjacencyList(request):
                answered.setdefault(part.service_id, []).extend(part.target_service_ids)
                if part.HasField("freshness"):
                    for line in self._wrong_freshness(part.freshness):
                        yield line
            expected = self._adjacency(PlainFilter(include_stale=include_stale))
            self.compared += len(expected)
            for line in _differing(f"adjacency, stale {include_stale}", answered, expected):
                yield line

    async def _wrong_walk(self, name: str, direction: str, least: float) -> AsyncIterator[str]:
        request = TraverseRequest(
            service_id=name,
            direction=_DIRECTIONS[direction],
            max_depth=DEEPEST,
            include_stale=True,
            filter=EdgeFilter(min_confidence=least),
            consistency=self._consistency,
        )
        answer = await self._graph.Traverse(request)
        start = self._tables.resolve(name)
        key = next(key for key, service in self._tables.services.items() if service.name == start)
        chosen = PlainFilter(include_stale=True, min_confidence=least)
        reached = oracle.reached(self._tables, key, direction, DEEPEST, chosen)
        what = f"{direction} of {name} with {least}"
        self.compared += len(reached.depths) + len(reached.edges)
        depths = dict(zip(answer.service_ids, answer.depths, strict=True))
        services = {
            row[0]: service_message(key, row)
            for key, row in self._copy.rows.services.items()
            if row[0] in reached.depths
        }
        dependencies = {
            str(key): self._dependency(key, self._copy.rows.dependencies[key]) for key in reached.edges
        }
        for line in (
            *self._wrong_freshness(answer.freshness),
            *_differing(f"{what}: depths", depths, reached.depths),
            *_differing(f"{what}: services", {each.service_id: each for each in answer.services}, services),
            *_differing(
                f"{what}: dependencies", {each.id: each for each in answer.dependencies}, dependencies
            ),
        ):
            yield line

    def _wrong_freshness(self, freshness: Any) -> Iterator[str]:
        said = freshness.as_of_time.ToDatetime(self._copy.at.tzinfo)
        if said != self._copy.at or freshness.HasField("lag") or freshness.approximate:
            yield f"freshness of the mark {self._copy.at}: {freshness}"

    def _adjacency(self, chosen: PlainFilter) -> dict[str, list[str]]:
        targets: dict[str, set[str]] = defaultdict(set)
        for edge in self._tables.joined_edges():
            if chosen.admits(edge):
                targets[self._tables.name(edge.source)].add(self._tables.name(edge.target))
        return {service.name: sorted(targets[service.name]) for service in self._tables.services.values()}

    def _dependency(self, key: UUID, row: Row) -> Dependency:
        return dependency_message(key, row, self._tables.name(row[0]), self._tables.name(row[1]))


def _differing(what: str, answered: dict[str, Any], expected: dict[str, Any]) -> list[str]:
    return [
        f"{what}: {key}: answered {_text(answered.get(key))}, expected {_text(expected.get(key))}"
        for key in answered.keys() | expected.keys()
        if answered.get(key) != expected.get(key)
    ]


def _text(value: object) -> str:
    return str(value).replace("\n", " ") if isinstance(value, Message) else str(value)
