"""AnalyzeImpact over a real channel: the shape of its answer. Other tests prove what it finds."""

from typing import Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_SYNC,
    CRITICALITY_CRITICAL,
    CRITICALITY_LOW,
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    Criticality,
    Service,
)
from server.config import Limits, Settings
from tests.support.calls import Stubs
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

LIMITS = Limits(max_response_bytes=40_000, max_part_bytes=2_000)
HARD, DEGRADED, SOFT = (
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_SOFT,
)


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(listen="127.0.0.1:0", database_url=database_url, limits=LIMITS)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def parts(stubs: Stubs, service_id: str, **said: Any) -> list[pb.AnalyzeImpactResponse]:
    fresh = {"service_id": service_id, "consistency": {"fully_consistent": True}}
    request = ParseDict(fresh | said, pb.AnalyzeImpactRequest())
    return [part async for part in stubs.analyses.AnalyzeImpact(request)]


async def impact(stubs: Stubs, service_id: str, **said: Any) -> dict[str, pb.ImpactedService]:
    found = [service for part in await parts(stubs, service_id, **said) for service in part.services]
    return {service.service_id: service for service in found}


async def own(stubs: Stubs, criticality: Criticality.ValueType, **teams: str | None) -> None:
    """Give services their teams, and all of them this criticality."""
    services = [Service(service_id=name, team=team, criticality=criticality) for name, team in teams.items()]
    await stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=services))


async def test_all_upstream_services_are_returned_with_their_paths(stubs: Stubs) -> None:
    await stubs.write_edges("shop>cart", "cart>db", "shop>db", "batch>cart", "db>disk")
    [part] = await parts(stubs, "db")
    assert [(found.service_id, found.hops, list(found.path)) for found in part.services] == [
        ("cart", 1, ["cart", "db"]),
        ("shop", 1, ["shop", "db"]),
        ("batch", 2, ["batch", "cart", "db"]),
    ]
    assert part.freshness.revision
    assert (part.summary.service_count, part.summary.max_hops) == (3, 2)


async def test_a_service_on_a_cycle_is_not_in_its_own_impact(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", "c>a")
    assert {name: found.hops for name, found in (await impact(stubs, "a")).items()} == {"c": 1, "b": 2}


async def test_the_best_path_counts_and_not_the_shortest(stubs: Stubs) -> None:
    await stubs.write_edges("shop>db", criticality=SOFT)
    await stubs.write_edges("shop>cart", "cart>db", "report>queue", criticality=HARD)
    await stubs.write_edges("queue>db", criticality=DEGRADED, communication_mode=COMMUNICATION_MODE_ASYNC)
    found = await impact(stubs, "db")
    returned = {
        name: (one.hops, one.weakest_criticality, one.hard_hops, one.degraded_hops, one.sync_hops)
        for name, one in found.items()
    }
    assert returned == {
        "cart": (1, HARD, 1, 1, 1),
        "queue": (1, DEGRADED, 0, 1, 0),
        "shop": (1, HARD, 2, 2, 1),
        "report": (2, DEGRADED, 0, 2, 0),
    }
    near = await impact(stubs, "db", max_hops=1)
    assert near["shop"].weakest_criticality == SOFT
    assert set(near) == {"cart", "queue", "shop"}


async def test_services_are_counted_by_team_and_criticality(stubs: Stubs) -> None:
    await stubs.write_edges("shop>cart", "search>db", "cart>db")
    await stubs.write_edges("batch>db", criticality=SOFT, communication_mode=COMMUNICATION_MODE_ASYNC)
    await own(stubs, CRITICALITY_CRITICAL, shop="web", cart="purchase")
    await own(stubs, CRITICALITY_LOW, batch=None, search="web", db="storage")
    [part] = await parts(stubs, "db", summary_only=True)
    assert not part.services
    assert part.freshness.revision
    summary = part.summary
    assert (summary.service_count, summary.sync_count, summary.max_hops, summary.team_count) == (4, 3, 2, 3)
    teams = [(team.team, team.HasField("team"), team.service_count) for team in summary.teams]
    assert teams == [("web", True, 2), ("", False, 1), ("purchase", True, 1)]
    assert [(one.criticality, one.service_count) for one in summary.criticalities] == [
        (CRITICALITY_CRITICAL, 2),
        (CRITICALITY_LOW, 2),
    ]
    assert [(one.weakest_criticality, one.service_count) for one in summary.weakest_criticalities] == [
        (HARD, 3),
        (SOFT, 1),
    ]
    [whole] = await parts(stubs, "db")
    assert whole.summary == summary
    returned = {one.service_id: (one.team, one.criticality) for one in whole.services}
    assert returned["batch"] == ("", CRITICALITY_LOW)
    assert returned["cart"] == ("purchase", CRITICALITY_CRITICAL)


async def test_filters_stale_and_effective_dependencies_are_as_in_traversals(stubs: Stubs) -> None:
    await stubs.write_edges("a>db", confidence_score=0.4)
    await stubs.write_edges("b>db", is_stale=True)
    await stubs.write_edges("c>db", communication_mode=COMMUNICATION_MODE_ASYNC)
    await stubs.write_edges("d>db", discovery_source=DISCOVERY_SOURCE_KUBERNETES, criticality=SOFT)
    await stubs.write_edges("d>db", discovery_source=DISCOVERY_SOURCE_MANUAL, criticality=HARD)
    assert set(await impact(stubs, "db")) == {"a", "c", "d"}
    assert set(await impact(stubs, "db", include_stale=True)) == {"a", "b", "c", "d"}
    assert set(await impact(stubs, "db", filter={"min_confidence": 0.5})) == {"c", "d"}
    sync = {"communication_modes": [COMMUNICATION_MODE_SYNC]}
    assert set(await impact(stubs, "db", filter=sync)) == {"a", "d"}
    # What Kubernetes says of it does not count where a person has declared it.
    soft = {"criticalities": [SOFT]}
    assert set(await impact(stubs, "db", filter=soft)) == {"d"}
    assert set(await impact(stubs, "db", filter=soft, effective=True)) == set()


async def test_a_large_answer_comes_in_parts(stubs: Stubs) -> None:
    await stubs.write_edges(*(f"caller {number:03}>hub" for number in range(200)))
    answer = await parts(stubs, "hub")
    assert len(answer) > 3
    assert all(part.ByteSize() <= LIMITS.max_part_bytes for part in answer)
    assert [part.HasField("summary") for part in answer] == [True] + [False] * (len(answer) - 1)
    assert [part.HasField("freshness") for part in answer] == [True] + [False] * (len(answer) - 1)
    names = [service.service_id for part in answer for service in part.services]
    assert names == [f"caller {number:03}" for number in range(200)]


async def test_no_upstream_service_is_an_empty_answer(stubs: Stubs) -> None:
    await stubs.write_services("lonely")
    [part] = await parts(stubs, "lonely")
    assert part.HasField("summary")
    assert part.summary.service_count == 0
    assert part.freshness.revision


async def test_an_unknown_service_is_not_found(stubs: Stubs) -> None:
    failure = await failure_of(parts(stubs, "chekout"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")
    assert failure.metadata == {"service_id": "chekout"}


async def test_everything_wrong_is_named_at_once(stubs: Stubs) -> None:
    wrong = {"communication_modes": [9], "min_confidence": 2.0}
    failure = await failure_of(parts(stubs, "", max_hops=-1, filter=wrong))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert sorted(failure.fields) == [
        "filter.communication_modes[0]",
        "filter.min_confidence",
        "max_hops",
        "service_id",
    ]
