"""A graph as a server holds it: with ready-made records."""

import random
from datetime import UTC, datetime
from uuid import UUID

from bench.graphs import Edges
from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord
from server import wire
from server.domain.dependencies import DependencyRow
from server.domain.services import Service

_NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
_FLAGS = int(EdgeFlag.SYNC | EdgeFlag.HARD | EdgeFlag.MANUAL)


def live_graph(edges: Edges) -> DependencyGraph:
    """Services ``s0``, ``s1``, … and their dependencies, all columns filled as after an import."""
    chooser = random.Random(5)
    keys = [_key(chooser) for _ in range(edges.nodes)]
    services = [_service(key, f"s{number}") for number, key in enumerate(keys)]
    dependencies = [
        _dependency(_key(chooser), keys[source], keys[target], f"s{source}", f"s{target}")
        for source, target in edges.pairs
    ]
    return DependencyGraph.from_records(services, dependencies)


def _key(chooser: random.Random) -> UUID:
    return UUID(int=chooser.getrandbits(128), version=4)


def _service(key: UUID, name: str) -> ServiceRecord:
    row = Service(key, name, "{}", "medium", None, discovered=True, created_at=_NOW, updated_at=_NOW)
    return ServiceRecord(key.bytes, name, wire.service_record(row), wire.service_brief(name))


def _dependency(key: UUID, source: UUID, target: UUID, caller: str, callee: str) -> DependencyRecord:
    row = DependencyRow(
        key,
        source,
        target,
        "sync",
        "hard",
        protocol=None,
        timeout_ms=None,
        retry_config=None,
        discovery_source="manual",
        confidence_score=1.0,
        last_observed_at=_NOW,
        is_stale=False,
        created_at=_NOW,
        updated_at=_NOW,
    )
    record = wire.dependency_record(row, caller, callee)
    return DependencyRecord(key.bytes, source.bytes, target.bytes, _FLAGS, 1.0, record)
