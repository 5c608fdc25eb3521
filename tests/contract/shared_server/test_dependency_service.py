"""DependencyService, each RPC over a real channel, but for IngestGraph."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1.types_pb2 import (
    BACKOFF_STRATEGY_EXPONENTIAL,
    BACKOFF_STRATEGY_LINEAR,
    COMMUNICATION_MODE_ASYNC,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    Dependency,
    RetryConfig,
)
from tests.support.calls import Stubs
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

SEEN = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


def at(moment: datetime) -> Timestamp:
    written = Timestamp()
    written.FromDatetime(moment)
    return written


async def get(stubs: Stubs, key: str) -> Dependency:
    return (await stubs.dependencies.GetDependency(pb.GetDependencyRequest(id=key))).dependency


async def listed(stubs: Stubs, request: pb.ListDependenciesRequest) -> set[str]:
    answer = await stubs.dependencies.ListDependencies(request)
    return {f"{row.source_service_id}>{row.target_service_id}" for row in answer.dependencies}


async def mark_stale(stubs: Stubs, before: datetime, source: int = 0) -> int:
    request = pb.MarkStaleRequest(observed_before=at(before))
    request.discovery_source = source  # type: ignore[assignment] # its number
    return (await stubs.dependencies.MarkStale(request)).marked_count


async def test_a_dependency_is_kept_as_it_was_written(stubs: Stubs) -> None:
    [row] = await stubs.write_edges(
        "web>cart",
        communication_mode=COMMUNICATION_MODE_ASYNC,
        criticality=DEPENDENCY_CRITICALITY_SOFT,
        protocol="kafka",
        timeout_ms=250,
        retry_config=RetryConfig(max_retries=5, backoff_strategy=BACKOFF_STRATEGY_LINEAR),
        discovery_source=DISCOVERY_SOURCE_KUBERNETES,
        confidence_score=0.25,
        last_observed_time=at(SEEN),
        is_stale=True,
    )
    assert str(UUID(row.id)) == row.id
    assert (row.source_service_id, row.target_service_id) == ("web", "cart")
    assert (row.protocol, row.timeout_ms, row.confidence_score, row.is_stale) == ("kafka", 250, 0.25, True)
    assert (row.retry_config.max_retries, row.retry_config.backoff_strategy) == (5, BACKOFF_STRATEGY_LINEAR)
    assert row.last_observed_time.ToDatetime(tzinfo=UTC) == SEEN
    assert await get(stubs, row.id) == row


async def test_what_is_not_said_of_a_dependency_has_its_default(stubs: Stubs) -> None:
    before = datetime.now(UTC) - timedelta(minutes=1)
    [row] = await stubs.write_edges("web>cart")
    assert (row.criticality, row.discovery_source) == (DEPENDENCY_CRITICALITY_HARD, DISCOVERY_SOURCE_MANUAL)
    assert (row.confidence_score, row.is_stale) == (1.0, False)
    assert [row.HasField(field) for field in ("protocol", "timeout_ms", "retry_config")] == [False] * 3
    assert row.last_observed_time.ToDatetime(tzinfo=UTC) > before


async def test_an_empty_retry_configuration_is_three_exponential_retries(stubs: Stubs) -> None:
    [row] = await stubs.write_edges("web>cart", retry_config=RetryConfig())
    expected = RetryConfig(max_retries=3, backoff_strategy=BACKOFF_STRATEGY_EXPONENTIAL)
    assert row.retry_config == expected


async def test_the_same_batch_again_changes_nothing_and_keeps_ids(stubs: Stubs) -> None:
    first = await stubs.write_edges("a>b", "b>a", last_observed_time=at(SEEN))
    again = await stubs.write_edges("a>b", "b>a", last_observed_time=at(SEEN))
    assert again == first


async def test_an_upsert_replaces_and_keeps_the_id(stubs: Stubs) -> None:
    [first] = await stubs.write_edges("a>b", protocol="http", timeout_ms=10)
    [second] = await stubs.write_edges("a>b", protocol="grpc")
    assert (second.id, second.create_time) == (first.id, first.create_time)
    assert (second.protocol, second.HasField("timeout_ms")) == ("grpc", False)


async def test_each_discovery_source_has_its_own_dependency(stubs: Stubs) -> None:
    [manual] = await stubs.write_edges("a>b")
    [other] = await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_KUBERNETES)
    assert manual.id != other.id
    assert await listed(stubs, pb.ListDependenciesRequest()) == {"a>b"}


async def test_a_batch_counts_what_is_new_and_what_was_there(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    [first, second] = await stubs.write_edges("b>a", "a>b")
    request = pb.BatchUpsertDependenciesRequest(dependencies=[first, second])
    answer = await stubs.dependencies.BatchUpsertDependencies(request)
    assert (answer.created_count, answer.updated_count) == (0, 2)
    assert [row.id for row in answer.dependencies] == [first.id, second.id]
    assert answer.revision


async def test_a_deleted_dependency_is_gone(stubs: Stubs) -> None:
    [row] = await stubs.write_edges("a>b")
    answer = await stubs.dependencies.DeleteDependency(pb.DeleteDependencyRequest(id=row.id))
    assert answer.revision
    for call in (
        stubs.dependencies.GetDependency(pb.GetDependencyRequest(id=row.id)),
        stubs.dependencies.DeleteDependency(pb.DeleteDependencyRequest(id=row.id)),
        stubs.dependencies.GetDependency(pb.GetDependencyRequest(id=str(uuid4()))),
    ):
        failure = await failure_of(call)
        assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "DEPENDENCY_NOT_FOUND")


async def test_the_dependencies_of_a_deleted_service_go_with_it(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "b>c", "c>a")
    await stubs.catalog.DeleteService(catalog.DeleteServiceRequest(service_id="b"))
    assert await listed(stubs, pb.ListDependenciesRequest()) == {"c>a"}


async def test_a_list_is_filtered_by_its_ends_and_source(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "a>c", "b>c")
    await stubs.write_edges("c>a", discovery_source=DISCOVERY_SOURCE_KUBERNETES)
    await stubs.write_edges("c>b", is_stale=True)
    assert await listed(stubs, pb.ListDependenciesRequest(source_service_id="a")) == {"a>b", "a>c"}
    assert await listed(stubs, pb.ListDependenciesRequest(target_service_id="c")) == {"a>c", "b>c"}
    assert await listed(stubs, pb.ListDependenciesRequest(discovery_source=DISCOVERY_SOURCE_KUBERNETES)) == {
        "c>a"
    }
    assert await listed(stubs, pb.ListDependenciesRequest(source_service_id="c")) == {"c>a"}
    assert await listed(stubs, pb.ListDependenciesRequest(source_service_id="c", include_stale=True)) == {
        "c>a",
        "c>b",
    }
    assert await listed(stubs, pb.ListDependenciesRequest(source_service_id="missing")) == set()


async def test_what_was_observed_before_a_time_becomes_stale_once(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", last_observed_time=at(SEEN - timedelta(microseconds=1)))
    await stubs.write_edges("b>c", last_observed_time=at(SEEN))
    assert await mark_stale(stubs, SEEN) == 1
    assert await mark_stale(stubs, SEEN) == 0
    assert await listed(stubs, pb.ListDependenciesRequest()) == {"b>c"}


async def test_only_what_one_source_reported_becomes_stale(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", last_observed_time=at(SEEN))
    await stubs.write_edges("a>b", last_observed_time=at(SEEN), discovery_source=DISCOVERY_SOURCE_KUBERNETES)
    assert await mark_stale(stubs, SEEN + timedelta(1), DISCOVERY_SOURCE_KUBERNETES) == 1
    assert await mark_stale(stubs, SEEN + timedelta(1)) == 1


async def test_marking_stale_needs_a_time(stubs: Stubs) -> None:
    failure = await failure_of(stubs.dependencies.MarkStale(pb.MarkStaleRequest()))
    assert list(failure.fields) == ["observed_before"]
