"""AnalyzeImpact: the services that the failure of a service reaches, in parts of bounded size."""

from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from heapq import nsmallest
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    Criticality,
    DependencyCriticality,
)
from graphcore import DependencyGraph, EdgeFilter
from graphcore.analysis.impact import Impact, impact_of
from server import wire
from server.concurrency import CooperativeYield
from server.domain.live_graph import Consistency, Freshness
from server.rpc.answers import freshness_message, joined_parts, tag
from server.rpc.questions import consistency, edge_filter, edge_mask, own_names, resolved_field
from server.rpc.validate import Check
from server.wire.fields import field

MOST_TEAMS = 1_000
_SERVICES_A_BATCH = 1_024
_SERVICE = tag(pb.AnalyzeImpactResponse, "services")
_FRESHNESS = tag(pb.AnalyzeImpactResponse, "freshness")
_NAME_NUMBER = pb.ImpactedService.SERVICE_ID_FIELD_NUMBER
_PATH_NUMBER = pb.ImpactedService.PATH_FIELD_NUMBER
# The strongest first.
_STRENGTHS = (
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_SOFT,
)


class ImpactQuestion(NamedTuple):
    """The service that fails, and which dependencies count; ``max_hops`` 0 = no limit."""

    service_id: str
    max_hops: int
    edge_filter: EdgeFilter
    effective: bool
    summary_only: bool
    consistency: Consistency


def impact_question(request: pb.AnalyzeImpactRequest) -> ImpactQuestion:
    """Read a request."""
    check = Check()
    question = ImpactQuestion(
        service_id=check.text("service_id", request.service_id),
        max_hops=check.at_least("max_hops", request.max_hops, 0),
        edge_filter=edge_filter(check, request.filter, include_stale=request.include_stale),
        effective=request.effective,
        summary_only=request.summary_only,
        consistency=consistency(check, request.consistency),
    )
    check.done()
    return question


class Impacted(NamedTuple):
    """
    The services reached, by hops and then by name (in no order for a summary).

    ``services`` are their encoded records, ``ids`` their encoded ids, ``failed`` is the encoded id
    of the service that fails, ``resolved`` the encoded ``resolved_aliases``. All but
    ``reach.nodes`` stay as they are while the graph changes.
    """

    failed: bytes
    services: NDArray[np.object_]
    ids: NDArray[np.object_]
    reach: Impact
    summary_only: bool
    resolved: bytes = b""


def impacted(graph: DependencyGraph, question: ImpactQuestion) -> Impacted:
    """Find the services reached; raises ``ServiceNotFoundError``. O(V + E) and sorting names."""
    asked = question.service_id
    [own] = own_names(graph, asked)
    mask = edge_mask(graph, question.edge_filter, own, effective=question.effective)
    reach = impact_of(graph, own, mask, question.max_hops, ordered=not question.summary_only)
    return Impacted(
        graph.service_encoded_ids[graph.node(own)],
        graph.service_payloads[reach.nodes],
        graph.service_encoded_ids[reach.nodes],
        reach,
        question.summary_only,
        resolved_field(pb.AnalyzeImpactResponse, [asked], [own]),
    )


class _Owner(NamedTuple):
    """How critical a service is, and its team."""

    criticality: Criticality.ValueType
    team: str | None


async def impact_parts(found: Impacted, freshness: Freshness, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """
    Encode an answer as parts of at most ``max_bytes``; a larger service is a part of its own.

    The first part holds summary and freshness. Each part is encoded when the caller has taken the
    one before, so that paths are never all in memory. Other calls run meanwhile.
    """
    owners, counts = await _owners(found)
    head = pb.AnalyzeImpactResponse(summary=_summary(found.reach, counts)).SerializeToString()
    first = head + field(_FRESHNESS, freshness_message(freshness)) + found.resolved
    services = () if found.summary_only else _services(found, owners)
    async for part in joined_parts(services, max_bytes, first=first):
        yield part


async def _owners(found: Impacted) -> "tuple[list[_Owner], Counter[_Owner]]":
    """Read the owners of all services from their records, and count equal ones."""
    owners: list[_Owner] = []
    counts: Counter[_Owner] = Counter()
    yielding = CooperativeYield()
    for start in range(0, len(found.services), _SERVICES_A_BATCH):
        for record in found.services[start : start + _SERVICES_A_BATCH].tolist():
            service = wire.service_of(record)
            owners.append(_Owner(service.criticality, service.team if service.HasField("team") else None))
            await yielding.checkpoint()
        counts.update(owners[start:])
    return owners, counts


def _services(found: Impacted, owners: list[_Owner]) -> Iterator[bytes]:
    reach = found.reach
    columns = (
        reach.hops,
        reach.hard_hops,
        reach.unknown_hops,
        reach.degraded_hops,
        reach.sync_hops,
        reach.maybe_sync_hops,
    )
    failed = wire.retagged(found.failed, _PATH_NUMBER)
    # Steps lead to services nearer to the one that fails. These come first: their names are here.
    names: list[bytes] = []
    steps: list[int] = []
    for start in range(0, len(owners), _SERVICES_A_BATCH):
        batch = slice(start, start + _SERVICES_A_BATCH)
        steps += reach.steps[batch].tolist()
        rows = zip(
            found.ids[batch].tolist(),
            owners[batch],
            *(column[batch].tolist() for column in columns),
            strict=True,
        )
        for position, (encoded_id, owner, *found_hops) in enumerate(rows, start):
            hops, hard, unknown, degraded, sync, maybe_sync = found_hops
            names.append(wire.retagged(encoded_id, _PATH_NUMBER))
            message = pb.ImpactedService(
                hops=hops,
                weakest_criticality=_weakest(hard, unknown, degraded),
                hard_hops=hard,
                unknown_hops=unknown,
                degraded_hops=degraded,
                sync_hops=sync,
                maybe_sync_hops=maybe_sync,
                criticality=owner.criticality,
                team=owner.team,
            )
            path = _path(names, steps, position)
            pieces = (wire.retagged(encoded_id, _NAME_NUMBER), message.SerializeToString(), *path, failed)
            yield field(_SERVICE, b"".join(pieces))


def _path(names: list[bytes], steps: list[int], position: int) -> list[bytes]:
    """Follow the steps from a service to the one that fails. O(hops)."""
    path = []
    while position >= 0:
        path.append(names[position])
        position = steps[position]
    return path


def _weakest(*hops: int) -> DependencyCriticality.ValueType:
    """Return the strongest criticality of which there are hops; SOFT if of none."""
    return next((strength for strength, far in zip(_STRENGTHS, hops, strict=False) if far), _STRENGTHS[-1])


def _summary(reach: Impact, owners: "Counter[_Owner]") -> pb.ImpactSummary:
    """Sum up. O(distinct owners), and counting in numpy."""
    count = len(reach.hops)
    teams: Counter[str | None] = Counter()
    criticalities: Counter[Criticality.ValueType] = Counter()
    for owner, times in owners.items():
        teams[owner.team] += times
        criticalities[owner.criticality] += times
    listed = nsmallest(MOST_TEAMS, teams.items(), key=lambda team: (-team[1], team[0] or ""))
    at_least = [np.count_nonzero(hops) for hops in (reach.hard_hops, reach.unknown_hops, reach.degraded_hops)]
    weakest = zip(_STRENGTHS, np.diff([0, *at_least, count]).tolist(), strict=True)
    sync_count = int(np.count_nonzero(reach.sync_hops))
    return pb.ImpactSummary(
        service_count=count,
        sync_count=sync_count,
        maybe_sync_count=int(np.count_nonzero(reach.maybe_sync_hops)) - sync_count,
        max_hops=int(reach.hops.max(initial=0)),
        teams=[pb.TeamCount(team=team, service_count=times) for team, times in listed],
        team_count=len(teams),
        criticalities=[
            pb.CriticalityCount(criticality=criticality, service_count=times)
            for criticality, times in sorted(criticalities.items())
        ],
        weakest_criticalities=[
            pb.WeakestCount(weakest_criticality=strength, service_count=times)
            for strength, times in weakest
            if times
        ],
    )
