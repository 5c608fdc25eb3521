"""A graph as a server holds it: with ready-made records."""

import random
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import cycle
from typing import TypeAlias
from uuid import UUID

from bench.graphs import Edges
from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord
from server import wire
from server.domain.dependencies import DependencyRow, DiscoverySource
from server.domain.edge_flags import SOURCE_FLAGS
from server.domain.services import Service

_NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
_FLAGS = int(EdgeFlag.SYNC | EdgeFlag.HARD)
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

    ``shares`` says which share of the pairs each discovery source reports, ``policies`` what the dependencies say in turn.
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
    return ServiceRecord(key.bytes, name, wire.service_record(row), wire.service_brief(name))


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
    record, flags = wire.dependency_record(row, *names), _FLAGS | SOURCE_FLAGS[reporter]
    return DependencyRecord(key.bytes, source.bytes, target.bytes, flags, 1.0, record)
