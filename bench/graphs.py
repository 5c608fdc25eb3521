"""The graphs that are measured on: as edges, as a graph in memory, and as a server holds them."""

import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import cycle, pairwise
from pathlib import Path
from typing import TypeAlias
from uuid import UUID

from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord
from server import wire
from server.domain.dependencies import DependencyRow, DiscoverySource
from server.domain.live_graph import Consistency, FeedState, Freshness, Reading, ReplicaStatus
from server.domain.records import SOURCE_FLAGS
from server.domain.revision import Revision
from server.domain.services import Service
from server.formats.jaeger import read_jaeger

DEBIAN = Path(__file__).parents[2] / "shared" / "data" / "debian12_depends.json.gz"

FLAGS = int(EdgeFlag.SYNC | EdgeFlag.HARD | EdgeFlag.MANUAL)


@dataclass(frozen=True)
class Edges:
    """A graph as plain numbers: nodes 0 to ``nodes`` - 1 and distinct pairs."""

    name: str
    nodes: int
    pairs: list[tuple[int, int]]

    def graph(self) -> DependencyGraph:
        """The same as a graph of ours: service ``s0``, ``s1``, …; node indices are the numbers."""
        services = [ServiceRecord(number, f"s{number}") for number in range(self.nodes)]
        dependencies = [
            DependencyRecord(("d", number), source, target, FLAGS)
            for number, (source, target) in enumerate(self.pairs)
        ]
        return DependencyGraph.from_records(services, dependencies)

    def hub(self) -> int:
        """The service with most callers."""
        return Counter(target for _, target in self.pairs).most_common(1)[0][0]

    def starts(self, count: int = 1_000) -> list[int]:
        """Services to start from: any, drawn anew with the same luck each time."""
        chooser = random.Random(2)
        return [chooser.randrange(self.nodes) for _ in range(count)]


@cache
def seed5k() -> Edges:
    return random_edges("seed5k", 5_000, 25_000)


@cache
def big100k() -> Edges:
    return random_edges("big100k", 100_000, 1_000_000)


@cache
def debian(given: Path | None = None) -> Edges | None:
    """The graph of a Jaeger file, by default Debian's packages; None where the file is missing."""
    path = given or DEBIAN
    if not path.exists():
        return None
    edges = read_jaeger(path.read_bytes()).report.edges
    calls = [(edge.source_service_id, edge.target_service_id) for edge in edges]
    number: dict[str, int] = {}
    for name in (name for call in calls for name in call):
        number.setdefault(name, len(number))
    pairs = [(number[source], number[target]) for source, target in calls]
    return Edges(path.name.partition("_")[0], len(number), pairs)


def ring(chooser: random.Random, nodes: int, pairs: int) -> Edges:
    """A cycle through all nodes in random order, and random pairs."""
    order = chooser.sample(range(nodes), nodes)
    chosen = dict.fromkeys(pairwise([*order, order[0]]))
    while len(chosen) < pairs:
        source, target = chooser.sample(range(nodes), 2)
        chosen[source, target] = None
    return Edges("component", nodes, list(chosen))


@cache
def random_edges(name: str, nodes: int, edges: int) -> Edges:
    """Distinct edges, sources uniform, targets with hubs: the square of a uniform number."""
    chooser = random.Random(1)
    pairs: dict[tuple[int, int], None] = {}
    while len(pairs) < edges:
        source, target = chooser.randrange(nodes), int(nodes * chooser.random() ** 2)
        if source != target:
            pairs[source, target] = None
    return Edges(name, nodes, list(pairs))


def jaeger_file(given: Path | None, folder: Path) -> Path:
    """The given graph, else Debian's packages where that file lies, else a random one as large."""
    if given is not None:
        return given
    if DEBIAN.exists():
        return DEBIAN
    path = folder / "random.json"
    pairs = random_edges("random", 58_000, 244_000).pairs
    path.write_text(json.dumps([{"parent": f"s{s}", "child": f"s{t}", "callCount": 1} for s, t in pairs]))
    return path


FRESHNESS = Freshness("1:2:3:4:5:" + "x" * 40, timedelta(milliseconds=1.5))


@dataclass(frozen=True)
class StillGraph:
    """A live graph that nothing but the bench changes."""

    graph: DependencyGraph
    position: None = None

    def now(self) -> DependencyGraph:
        return self.graph

    @asynccontextmanager
    async def hold(self, reading: Reading) -> AsyncIterator[Reading]:
        yield reading

    async def at(self, _wanted: Consistency, _within: timedelta | None) -> Reading:
        return Reading(self.graph, FRESHNESS)

    def freshness(self) -> Freshness:
        return FRESHNESS

    def holds(self, _revision: Revision) -> bool:
        return True

    def status(self) -> ReplicaStatus:
        return ReplicaStatus(FeedState.FOLLOWING, timedelta(), 0, ())


_NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
_LIVE_FLAGS = int(EdgeFlag.SYNC | EdgeFlag.HARD)
_BY_HAND: Mapping[DiscoverySource, float] = {"manual": 1.0}

Policy: TypeAlias = tuple[int | None, str | None]
"""Timeout in milliseconds, and the JSON text of what is done about calls that fail."""
_UNSAID: Policy = (None, None)


def live_graph(
    edges: Edges,
    shares: Mapping[DiscoverySource, float] = _BY_HAND,
    policies: Sequence[Policy] = (_UNSAID,),
) -> DependencyGraph:
    """
    Services ``s0``, ``s1``, … and their dependencies, all columns filled as after an import.

    ``shares`` says which share of the pairs each discovery source reports. ``policies`` are those
    of the dependencies in turn.
    """
    chooser, policy = random.Random(5), cycle(policies)
    keys = [_key(chooser) for _ in range(edges.nodes)]
    services = [_service(key, f"s{number}") for number, key in enumerate(keys)]
    dependencies = [
        _dependency(
            _key(chooser), (keys[source], keys[target]), (f"s{source}", f"s{target}"), reporter, next(policy)
        )
        for source, target in edges.pairs
        for reporter, share in shares.items()
        if share == 1.0 or chooser.random() < share
    ]
    return DependencyGraph.from_records(services, dependencies)


def _key(chooser: random.Random) -> UUID:
    return UUID(int=chooser.getrandbits(128), version=4)


def _service(key: UUID, name: str) -> ServiceRecord:
    row = Service(key, name, "{}", "medium", None, discovered=True, created_at=_NOW, updated_at=_NOW)
    return ServiceRecord(key.bytes, name, wire.service_record(row), wire.encoded_id(name))


def _dependency(
    key: UUID, ends: tuple[UUID, UUID], names: tuple[str, str], reporter: DiscoverySource, policy: Policy
) -> DependencyRecord:
    timeout, retries = policy
    row = DependencyRow(
        key,
        *ends,
        "sync",
        "hard",
        protocol=None,
        timeout_ms=timeout,
        retry_config=retries,
        discovery_source=reporter,
        confidence_score=1.0,
        last_observed_at=_NOW,
        is_stale=False,
        created_at=_NOW,
        updated_at=_NOW,
    )
    source, target = ends
    record, flags = wire.dependency_record(row, *names), _LIVE_FLAGS | SOURCE_FLAGS[reporter]
    return DependencyRecord(key.bytes, source.bytes, target.bytes, flags, 1.0, record)
