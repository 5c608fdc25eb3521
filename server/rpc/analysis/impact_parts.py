"""Blast radius as parts of bounded size: what is common to all first, then service by service."""

from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator
from heapq import nsmallest
from typing import NamedTuple

import numpy as np

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    Criticality,
    DependencyCriticality,
)
from server import wire
from server.concurrency.cooperative_yield import CooperativeYield
from server.domain.consistency import Freshness
from server.rpc import encode
from server.rpc.analysis.impact import Impacted
from server.wire.fields import field, varint

MOST_TEAMS = 1_000
_LOT = 1_024
_SERVICE = varint(pb.AnalyzeImpactResponse.SERVICES_FIELD_NUMBER << 3 | 2)
# In the order of their strength.
_STRENGTHS = (DEPENDENCY_CRITICALITY_HARD, DEPENDENCY_CRITICALITY_DEGRADED, DEPENDENCY_CRITICALITY_SOFT)


class _Owner(NamedTuple):
    """Who has to do with a service: how critical it is, and its team."""

    criticality: Criticality.ValueType
    team: str | None


async def impact_parts(found: Impacted, freshness: Freshness, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """
    Write an answer as parts of at most ``max_bytes``, but for a single service whose path takes more than that, which comes alone.

    The first part holds summary and freshness. Records are read and written in slices, those of a part when it is due: what
    nobody reads is not written, and paths are never all in memory.
    """
    owners, counts = await _owners(found)
    head = pb.AnalyzeImpactResponse(summary=_summary(found, counts), freshness=encode.freshness(freshness))
    pieces, room = [head.SerializeToString()], max_bytes
    room -= len(pieces[0])
    if not found.summary_only:
        async for record in _services(found, owners):
            if len(record) > room and pieces:
                yield b"".join(pieces)
                pieces, room = [], max_bytes
            pieces.append(record)
            room -= len(record)
    if pieces:
        yield b"".join(pieces)


async def _owners(found: Impacted) -> "tuple[list[_Owner], Counter[_Owner]]":
    """Read from the records of the services what the answer tells of them, and count what is the same."""
    owners: list[_Owner] = []
    counts: Counter[_Owner] = Counter()
    yielding = CooperativeYield()
    for start in range(0, len(found.services), _LOT):
        for record in found.services[start : start + _LOT].tolist():
            service = wire.service_of(record)
            owners.append(_Owner(service.criticality, service.team if service.HasField("team") else None))
            await yielding.checkpoint()
        counts.update(owners[start:])
    return owners, counts


async def _services(found: Impacted, owners: list[_Owner]) -> AsyncIterator[bytes]:
    """Write one service after the other as ``AnalyzeImpactResponse.services``."""
    columns = (found.hops, found.hard_hops, found.degraded_hops, found.sync_hops)
    path_number, name_number = (
        pb.ImpactedService.PATH_FIELD_NUMBER,
        pb.ImpactedService.SERVICE_ID_FIELD_NUMBER,
    )
    failed = wire.retagged(found.failed, path_number)
    # Steps lead to services nearer to the one that fails, which come before: their names on paths are here already.
    names: list[bytes] = []
    steps: list[int] = []
    yielding = CooperativeYield()
    for start in range(0, len(owners), _LOT):
        lot = slice(start, start + _LOT)
        steps += found.steps[lot].tolist()
        rows = zip(
            found.briefs[lot].tolist(),
            owners[lot],
            *(column[lot].tolist() for column in columns),
            strict=True,
        )
        for position, (brief, owner, hops, hard, degraded, sync) in enumerate(rows, start):
            names.append(wire.retagged(brief, path_number))
            message = pb.ImpactedService(
                hops=hops,
                weakest_criticality=_weakest(hard, degraded),
                hard_hops=hard,
                degraded_hops=degraded,
                sync_hops=sync,
                criticality=owner.criticality,
                team=owner.team,
            )
            path = _path(names, steps, position)
            pieces = (wire.retagged(brief, name_number), message.SerializeToString(), *path, failed)
            yield field(_SERVICE, b"".join(pieces))
            await yielding.checkpoint()


def _path(names: list[bytes], steps: list[int], position: int) -> list[bytes]:
    """Go from step to step. O(hops)."""
    path = []
    while position >= 0:
        path.append(names[position])
        position = steps[position]
    return path


def _weakest(hard_hops: int, degraded_hops: int) -> DependencyCriticality.ValueType:
    if hard_hops:
        return DEPENDENCY_CRITICALITY_HARD
    return DEPENDENCY_CRITICALITY_DEGRADED if degraded_hops else DEPENDENCY_CRITICALITY_SOFT


def _summary(found: Impacted, owners: "Counter[_Owner]") -> pb.ImpactSummary:
    """Sum up. O(teams), and numpy's counting."""
    count = len(found.hops)
    teams: Counter[str | None] = Counter()
    criticalities: Counter[Criticality.ValueType] = Counter()
    for owner, times in owners.items():
        teams[owner.team] += times
        criticalities[owner.criticality] += times
    listed = nsmallest(MOST_TEAMS, teams.items(), key=lambda team: (-team[1], team[0] or ""))
    hard, up_to_degraded = np.count_nonzero(found.hard_hops), np.count_nonzero(found.degraded_hops)
    weakest = zip(_STRENGTHS, (hard, up_to_degraded - hard, count - up_to_degraded), strict=True)
    return pb.ImpactSummary(
        service_count=count,
        sync_count=int(np.count_nonzero(found.sync_hops)),
        max_hops=int(found.hops.max(initial=0)),
        teams=[pb.TeamCount(team=team, service_count=times) for team, times in listed],
        team_count=len(teams),
        criticalities=[
            pb.CriticalityCount(criticality=criticality, service_count=times)
            for criticality, times in sorted(criticalities.items())
        ],
        weakest_criticalities=[
            pb.WeakestCount(weakest_criticality=strength, service_count=int(times))
            for strength, times in weakest
            if times
        ],
    )
