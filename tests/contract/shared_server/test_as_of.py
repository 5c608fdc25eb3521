"""Every read as of a former time answers what it answered then."""

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
import pytest_asyncio
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import (
    DISCOVERY_SOURCE_CATALOG,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_SERVICE_MESH,
    Consistency,
    Service,
)
from tests.support import as_of
from tests.support.calls import Stubs
from tests.support.failures import failure_in, failure_of

if TYPE_CHECKING:
    import asyncpg

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

METHODS = list(as_of.methods_with_consistency())
BY_NAME = {method.name: method for method in METHODS}
DOWN = graph.DIRECTION_DOWNSTREAM
WEB = {"serviceId": "web", "direction": "DIRECTION_DOWNSTREAM"}
RETRIES = {"max_retries": 3}


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


@pytest_asyncio.fixture(loop_scope="module")
async def shop(channel: grpc.aio.Channel) -> Stubs:
    """Write a shop with a cycle, an alias, two teams, calls that are stale or uncertain."""
    stubs = Stubs(channel)
    await stubs.write_edges("web>checkout", "checkout>cart", "cart>checkout", timeout_ms=900)
    await stubs.write_edges("checkout>payments", timeout_ms=1_000, retry_config=RETRIES)
    await stubs.write_edges("payments>stock", "cart>stock", timeout_ms=2_000, retry_config=RETRIES)
    await stubs.write_edges(
        "checkout>cart", "web>cart", discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH, timeout_ms=5
    )
    await stubs.write_edges("checkout>stock", discovery_source=DISCOVERY_SOURCE_CATALOG, is_stale=True)
    await stubs.write_edges(
        "web>payments", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH, confidence_score=0.5
    )
    names = ["web", "checkout", "cart", "stock", "payments", "Payments_Service"]
    services = [Service(service_id=name, team="shop" if name < "p" else "money") for name in names]
    await stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=services))
    await stubs.catalog.AddAlias(catalog.AddAliasRequest(alias="till", service_id="checkout"))
    return stubs


async def marked(connection: "asyncpg.Connection[asyncpg.Record]") -> Timestamp:
    """Mark the present state, and return its time."""
    await connection.execute("SELECT depgraph_history.mark()")
    time = Timestamp()
    time.FromDatetime(await connection.fetchval("SELECT max(at) FROM depgraph_history.marks"))
    return time


CHANGES = """
UPDATE services SET service_id = 'shopfront', team = 'web' WHERE service_id = 'web';
UPDATE services SET metadata = '{"tier": 1}', criticality = 'critical', kind = 'database'
WHERE service_id = 'stock';
DELETE FROM services WHERE service_id = 'cart';
INSERT INTO services (service_id) VALUES ('cart'), ('cartography'), ('web');
UPDATE service_dependencies SET timeout_ms = 7, retry_config = NULL, is_stale = NOT is_stale;
INSERT INTO service_dependencies (
    source_service_id, target_service_id, communication_mode, criticality, discovery_source
)
SELECT source.id, target.id, 'async', 'soft', 'kubernetes'
FROM services AS source, services AS target
WHERE source.service_id <> target.service_id;
UPDATE service_aliases SET service_id = (SELECT id FROM services WHERE service_id = 'stock');
UPDATE service_dependencies SET last_observed_at = now() + interval '1 second';
"""


async def test_every_method_with_a_consistency_is_asked() -> None:
    assert {method.name for method in METHODS} == as_of.QUESTIONS.keys() | {"BatchTraverse"}


async def test_every_method_answers_as_of_then_what_it_answered_then(
    shop: Stubs, channel: grpc.aio.Channel, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    asked = [(method, said) for method in METHODS for said in as_of.questions_of(method)]
    answers = [await as_of.ask(channel, method, said, None) for method, said in asked]
    then = await marked(connection)
    await connection.execute(CHANGES)
    await marked(connection)
    for (method, said), before in zip(asked, answers, strict=True):
        past = await as_of.ask(channel, method, said, then)
        assert as_of.content(past) == as_of.content(before), (method.name, said)
        # What changed since would have been seen.
        if method.name != "CheckChange":
            now = await as_of.ask(channel, method, renamed(said), None)
            assert as_of.content(now) != as_of.content(before), (method.name, said)
        fields = as_of.keys_in(past)
        assert not fields & as_of.UNSET_THEN, (method.name, said)
        assert past[0].freshness.as_of_time == then
        assert not past[0].freshness.HasField("lag")
        assert not past[0].freshness.approximate


def renamed(said: dict[str, Any]) -> dict[str, Any]:
    """The same question about services of now."""
    return {key: "shopfront" if value == "web" else value for key, value in said.items()}


async def test_a_confidence_that_has_decayed_since_or_had_then_is_the_one_reported(
    shop: Stubs, channel: grpc.aio.Channel, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await marked(connection)
    await connection.execute(
        """SET depgraph.staleness = 'swept';
        UPDATE service_dependencies SET reported_confidence = confidence_score, confidence_score = 0.01"""
    )
    await connection.execute("UPDATE services SET team = 'later'")
    then = await marked(connection)
    question = {**WEB, "filter": {"minConfidence": 0.4}}
    [live] = await as_of.ask(channel, BY_NAME["Traverse"], question, None)
    assert not live.dependencies
    [past] = await as_of.ask(channel, BY_NAME["Traverse"], question, then)
    assert sorted({each.confidence_score for each in past.dependencies}) == [0.5, 1.0]


async def test_drift_since_a_time_that_is_not_kept_is_unset(
    stubs: Stubs, channel: grpc.aio.Channel, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await stubs.write_edges("a>b")
    await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH, is_stale=True)
    await stubs.write_edges("a>c")
    then = await marked(connection)
    for as_of_time, are_set in ((None, [True, True]), (then, [False, True])):
        [answer] = await as_of.ask(channel, BY_NAME["ListDrift"], {"ignoreStale": True}, as_of_time)
        assert [each.HasField("since_time") for each in answer.drifts] == are_set


@pytest.mark.parametrize("method", METHODS, ids=[method.name for method in METHODS])
async def test_a_time_in_the_future_is_refused(channel: grpc.aio.Channel, method: MethodDescriptor) -> None:
    ahead = Timestamp()
    ahead.FromDatetime(datetime.now(UTC) + timedelta(minutes=2))
    said = as_of.questions_of(method)[0]
    if method.name == "BatchTraverse":
        [answer] = await as_of.ask(channel, method, said, ahead)
        failures = [failure_in(each.error) for each in answer.responses]
    else:
        failures = [await failure_of(as_of.ask(channel, method, said, ahead))]
    for failure in failures:
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert "in the future" in failure.fields["consistency.as_of"]


async def test_a_clock_that_is_a_little_ahead_asks_about_the_last_mark(
    shop: Stubs, channel: grpc.aio.Channel, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    last = await marked(connection)
    ahead = Timestamp()
    ahead.FromDatetime(datetime.now(UTC) + timedelta(seconds=30))
    [answer] = await as_of.ask(channel, BY_NAME["Traverse"], WEB, ahead)
    assert answer.freshness.as_of_time == last
    assert answer.dependencies


async def test_a_time_that_is_no_time_is_refused(stubs: Stubs) -> None:
    wanted = Consistency(as_of=Timestamp(seconds=2**60))
    failure = await failure_of(stubs.graph.ListComponents(graph.ListComponentsRequest(consistency=wanted)))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.fields.keys() == {"consistency.as_of"}


async def test_a_time_before_the_history_is_refused_with_the_oldest_there_is(
    shop: Stubs, channel: grpc.aio.Channel, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await marked(connection)
    oldest = await connection.fetchval("SELECT min(at) FROM depgraph_history.marks")
    failure = await failure_of(as_of.ask(channel, BY_NAME["Traverse"], WEB, Timestamp(seconds=1)))
    assert (failure.code, failure.reason) == (
        grpc.StatusCode.FAILED_PRECONDITION,
        "HISTORY_UNAVAILABLE",
    )
    assert datetime.fromisoformat(failure.metadata["oldest_time"]) == oldest
    assert failure.metadata["oldest_time"] in failure.message


async def test_a_hole_makes_former_times_unavailable_until_there_is_a_mark_again(
    shop: Stubs, channel: grpc.aio.Channel, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    then = await marked(connection)
    await connection.execute("UPDATE services SET team = 'later'")
    await connection.execute("SELECT nextval('depgraph_history.holes')")

    def asking() -> Awaitable[Any]:
        return as_of.ask(channel, BY_NAME["Traverse"], WEB, then)

    failure = await failure_of(asking())
    assert failure.reason == "HISTORY_UNAVAILABLE"
    assert "begins anew" in failure.message
    assert not failure.metadata
    now = await marked(connection)
    failure = await failure_of(asking())
    assert failure.metadata.keys() == {"oldest_time"}
    [answer] = await as_of.ask(channel, BY_NAME["Traverse"], WEB, now)
    assert answer.freshness.as_of_time == now


async def test_history_that_is_off_says_so(
    shop: Stubs, channel: grpc.aio.Channel, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    then = await marked(connection)
    await connection.execute("SELECT depgraph_history.set_switch(false)")
    try:
        failure = await failure_of(as_of.ask(channel, BY_NAME["Traverse"], WEB, then))
    finally:
        await connection.execute("SELECT depgraph_history.set_switch(true)")
    assert failure.reason == "HISTORY_UNAVAILABLE"
    assert "--keep-history" in failure.message


async def test_a_batch_asks_about_one_time(
    shop: Stubs, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    then = await marked(connection)
    past = graph.TraverseRequest(service_id="web", direction=DOWN, consistency=Consistency(as_of=then))
    live = graph.TraverseRequest(service_id="web", direction=DOWN)
    for requests in ([past, live], [live, past]):
        failure = await failure_of(shop.graph.BatchTraverse(graph.BatchTraverseRequest(requests=requests)))
        assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
        assert failure.fields.keys() == {"requests[1].consistency.as_of"}


async def test_a_batch_as_of_then_has_errors_of_its_own(
    shop: Stubs, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    then = await marked(connection)
    wanted = Consistency(as_of=then)
    names = ["web", "nobody"]
    requests = [graph.TraverseRequest(service_id=name, direction=DOWN, consistency=wanted) for name in names]
    answer = await shop.graph.BatchTraverse(graph.BatchTraverseRequest(requests=requests))
    assert [each.WhichOneof("outcome") for each in answer.responses] == ["traversal", "error"]
    assert answer.freshness.as_of_time == answer.responses[0].traversal.freshness.as_of_time == then
    assert not answer.responses[0].traversal.dependencies[0].HasField("last_observed_time")
