"""Blast radius in parts: complete, without repetition, within the limit, encoded on demand."""

import asyncio
from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1.graph_service_pb2 import TraverseResponse
from depgraph.v1.types_pb2 import (
    CRITICALITY_HIGH,
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    Service,
)
from graphcore.analysis.impact import Impact
from server.domain.live_graph import Freshness
from server.rpc.analysis.impact import MOST_TEAMS, Impacted, impact_parts
from server.wire import encoded_id
from tests.support.examples import examples

FRESHNESS = Freshness("revision", timedelta(0))
FAILED = "failed"
STRENGTHS = (
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_SOFT,
)


def chain(count: int, *, teams: int = 3, summary_only: bool = False) -> Impacted:
    """Services that each call the one before; the first calls the failed one."""
    services = [
        Service(service_id=name(place), team=f"team {place % teams}", criticality=CRITICALITY_HIGH)
        for place in range(count)
    ]
    hops = np.arange(1, count + 1, dtype=np.int32)
    kind = np.arange(count) % len(STRENGTHS)
    return Impacted(
        encoded_id(FAILED),
        records([TraverseResponse(services=[service]).SerializeToString() for service in services]),
        records([encoded_id(service.service_id) for service in services]),
        Impact(
            np.arange(count, dtype=np.int32),
            hops,
            np.where(kind <= 0, hops, 0).astype(np.int32),
            np.where(kind <= 1, hops, 0).astype(np.int32),
            np.where(kind <= 2, hops, 0).astype(np.int32),
            np.where(kind >= 3, hops, 0).astype(np.int32),
            np.where(kind >= 2, hops, 0).astype(np.int32),
            np.arange(-1, count - 1, dtype=np.int32),
        ),
        summary_only,
    )


def name(place: int) -> str:
    return f"service {place}"


def records(written: list[bytes]) -> "np.ndarray[tuple[int], np.dtype[np.object_]]":
    column = np.empty(len(written), object)
    column[:] = written
    return column


async def stream(found: Impacted, max_bytes: int) -> list[pb.AnalyzeImpactResponse]:
    return [
        pb.AnalyzeImpactResponse.FromString(part) async for part in impact_parts(found, FRESHNESS, max_bytes)
    ]


@examples(40)
@given(st.integers(0, 40), st.integers(100, 3_000))
async def test_joined_parts_are_the_whole_answer(count: int, max_bytes: int) -> None:
    parts = await stream(chain(count), max_bytes)
    services = [service for part in parts for service in part.services]
    assert [service.service_id for service in services] == [name(place) for place in range(count)]
    for place, service in enumerate(services):
        assert list(service.path) == [*(name(step) for step in range(place, -1, -1)), FAILED]
        far = place + 1
        assert service.hops == far
        kind = place % len(STRENGTHS)
        hops = (service.hard_hops, service.unknown_hops, service.degraded_hops)
        assert hops == tuple(far if kind <= strength else 0 for strength in range(3))
        assert (service.sync_hops, service.maybe_sync_hops) == (far * (kind == 3), far * (kind >= 2))
        assert service.weakest_criticality == STRENGTHS[kind]
        assert (service.team, service.criticality) == (f"team {place % 3}", CRITICALITY_HIGH)
    for place, part in enumerate(parts):
        assert part.HasField("summary") == part.HasField("freshness") == (place == 0)
        assert part.ByteSize() <= max_bytes or len(part.services) == (place > 0)


async def test_each_part_is_filled_before_the_next_begins() -> None:
    parts = await stream(chain(300), 20_000)
    assert len(parts) > 10
    assert all(part.ByteSize() > 15_000 for part in parts[1:-1])


async def test_with_summary_only_no_services_follow() -> None:
    [part] = await stream(chain(30, summary_only=True), 1_000)
    assert part.summary.service_count == 30
    assert part.freshness.revision == "revision"
    assert not part.services


async def test_the_largest_teams_are_listed_and_all_are_counted() -> None:
    [part] = await stream(chain(MOST_TEAMS + 50, teams=MOST_TEAMS + 20, summary_only=True), 2**20)
    assert part.summary.team_count == MOST_TEAMS + 20
    listed = [(team.team, team.service_count) for team in part.summary.teams]
    twice = sorted((f"team {number}", 2) for number in range(30))
    once = sorted((f"team {number}", 1) for number in range(30, MOST_TEAMS + 20))
    assert listed == [*twice, *once][:MOST_TEAMS]


async def test_parts_are_encoded_only_when_they_are_read() -> None:
    # All paths together would take 20 GB.
    parts = impact_parts(chain(20_000), FRESHNESS, 10_000)
    first = pb.AnalyzeImpactResponse.FromString(await anext(parts))
    assert first.summary.service_count == 20_000
    assert [service.hops for service in first.services] == list(range(1, len(first.services) + 1))
    await parts.aclose()


async def test_other_tasks_run_while_a_large_answer_is_encoded() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await stream(chain(300), 2**20)
    counting.cancel()
    assert turns > 1
