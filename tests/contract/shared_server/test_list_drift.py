"""ListDrift over a real channel, compared with SQL. Other tests prove that paging is complete."""

from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.json_format import ParseDict

from depgraph.v1 import analysis_service_pb2 as pb
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1.types_pb2 import (
    DISCOVERY_SOURCE_CATALOG,
    DISCOVERY_SOURCE_KUBERNETES,
    DISCOVERY_SOURCE_MANUAL,
    DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
    DISCOVERY_SOURCE_SERVICE_MESH,
    Dependency,
    DependencyCriticality,
    Service,
)
from depgraph.v1.types_pb2 import CommunicationMode as Mode
from tests.support.calls import Stubs, pages
from tests.support.failures import failure_of

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

if TYPE_CHECKING:
    import asyncpg

DECLARED, OBSERVED = "DRIFT_KIND_NOT_OBSERVED", "DRIFT_KIND_NOT_DECLARED"
SQL = """
SELECT source.service_id || '>' || target.service_id AS pair,
       CASE WHEN bool_or(discovery_source IN ('manual', 'kubernetes')) THEN $2 ELSE $3 END AS kind,
       min(dependency.created_at) AS since
FROM service_dependencies AS dependency
JOIN services AS source ON source.id = source_service_id
JOIN services AS target ON target.id = target_service_id
WHERE NOT (is_stale AND $1)
GROUP BY source.service_id, target.service_id
HAVING count(DISTINCT discovery_source IN ('manual', 'kubernetes')) = 1
ORDER BY source.service_id COLLATE "C", target.service_id COLLATE "C"
"""


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def drift(stubs: Stubs, **said: Any) -> pb.ListDriftResponse:
    fresh = {"consistency": {"fully_consistent": True}}
    return await stubs.analyses.ListDrift(ParseDict(fresh | said, pb.ListDriftRequest()))


def pairs(answer: pb.ListDriftResponse) -> list[str]:
    return [f"{found.source_service_id}>{found.target_service_id}" for found in answer.drifts]


async def fill(stubs: Stubs) -> None:
    """Write calls for every set of sources, some of them stale, so that every case occurs."""
    sources = {
        "m": DISCOVERY_SOURCE_MANUAL,
        "o": DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
        "k": DISCOVERY_SOURCE_KUBERNETES,
        "s": DISCOVERY_SOURCE_SERVICE_MESH,
    }
    cases = ("m", "k", "mk", "o", "s", "os", "mo", "ks", "mS", "Mo", "M", "kO", "MK", "MO", "moK")
    for letter, source in sources.items():
        for is_stale, wanted in ((False, letter), (True, letter.upper())):
            written = [f"{case[::-1]}>é-{case}" for case in cases if wanted in case]
            await stubs.write_edges(*written, discovery_source=source, is_stale=is_stale)


@pytest.mark.parametrize("ignore_stale", [False, True])
async def test_drift_is_what_sql_finds(
    stubs: Stubs, connection: "asyncpg.Connection[asyncpg.Record]", ignore_stale: bool
) -> None:
    await fill(stubs)
    rows = await connection.fetch(SQL, ignore_stale, DECLARED, OBSERVED)
    answer = await drift(stubs, ignore_stale=ignore_stale)
    returned = [
        (pair, pb.DriftKind.Name(found.kind))
        for pair, found in zip(pairs(answer), answer.drifts, strict=True)
    ]
    assert returned == [(row["pair"], row["kind"]) for row in rows]
    assert (answer.total_count, answer.next_page_token) == (len(rows), "")
    by_kind = [await drift(stubs, ignore_stale=ignore_stale, kind=kind) for kind in (DECLARED, OBSERVED)]
    assert [pairs(one) for one in by_kind] == [
        [row["pair"] for row in rows if row["kind"] == kind] for kind in (DECLARED, OBSERVED)
    ]
    if not ignore_stale:
        since = [found.since_time.ToDatetime(UTC) for found in answer.drifts]
        assert since == [row["since"] for row in rows]


CONTRADICTIONS = """
SELECT source.service_id || '>' || target.service_id AS pair, max(dependency.updated_at) AS changed
FROM service_dependencies AS dependency
JOIN services AS source ON source.id = source_service_id
JOIN services AS target ON target.id = target_service_id
WHERE NOT (is_stale AND $1)
GROUP BY source.service_id, target.service_id
HAVING count(DISTINCT communication_mode) FILTER (WHERE communication_mode <> 'unknown') > 1
    OR count(DISTINCT dependency.criticality) FILTER (WHERE dependency.criticality <> 'unknown') > 1
ORDER BY source.service_id COLLATE "C", target.service_id COLLATE "C"
"""


@pytest.mark.parametrize("ignore_stale", [False, True])
async def test_contradictions_are_what_sql_finds(
    stubs: Stubs, connection: "asyncpg.Connection[asyncpg.Record]", ignore_stale: bool
) -> None:
    manual = list(product(Mode.values()[1:], DependencyCriticality.values()[1:], (False, True)))
    for number, (mode, criticality, is_stale) in enumerate(manual):
        calls = [f"c{number:02}>{name}" for name in "abcdef"]
        said = {"communication_mode": mode, "criticality": criticality}
        await stubs.write_edges(*calls, is_stale=is_stale, **said)
    others = zip("abcdef", 2 * Mode.values()[1:], DependencyCriticality.values()[1:] * 2, strict=False)
    for name, mode, criticality in others:
        said = {"communication_mode": mode, "criticality": criticality}
        calls = [f"c{number:02}>{name}" for number in range(len(manual))]
        await stubs.write_edges(*calls, discovery_source=DISCOVERY_SOURCE_CATALOG, **said)
    rows = await connection.fetch(CONTRADICTIONS, ignore_stale)
    assert 20 < len(rows) < 6 * len(manual)
    answer = await drift(stubs, kind="DRIFT_KIND_CONTRADICTED", ignore_stale=ignore_stale, page_size=1_000)
    assert pairs(answer) == [row["pair"] for row in rows]
    assert {found.kind for found in answer.drifts} == {pb.DRIFT_KIND_CONTRADICTED}
    since = [found.since_time.ToDatetime(UTC) for found in answer.drifts]
    assert since == [row["changed"] for row in rows]
    assert "DRIFT_KIND_CONTRADICTED" not in {
        pb.DriftKind.Name(found.kind) for found in (await drift(stubs)).drifts
    }


async def test_drift_of_a_team_has_an_end_in_it_and_names_both_teams(stubs: Stubs) -> None:
    # Another team's name begins with the team's, and a service's name holds it.
    teams = {"a": "pay", "b": "pay", "c": "payments", "d pay": None}
    await stubs.write_edges("a>b", "a>c", "c>d pay", "d pay>b")
    services = [Service(service_id=name, team=team) for name, team in teams.items()]
    await stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=services))
    answer = await drift(stubs, team="pay")
    assert pairs(answer) == ["a>b", "a>c", "d pay>b"]
    assert answer.total_count == 3
    named = [
        (found.source_team, found.target_team if found.HasField("target_team") else None)
        for found in answer.drifts
    ]
    assert named == [("pay", "pay"), ("pay", "payments"), ("", "pay")]
    assert pairs(await drift(stubs, team="pay", service_id="c")) == ["a>c"]
    assert pairs(await drift(stubs, team="nobody")) == []


async def test_drift_may_be_kept_to_what_one_source_reports(stubs: Stubs) -> None:
    await stubs.write_edges("a>b", "a>c")
    await stubs.write_edges("a>c", "a>d", discovery_source=DISCOVERY_SOURCE_KUBERNETES)
    await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_KUBERNETES, is_stale=True)
    kubernetes = {"discovery_source": "DISCOVERY_SOURCE_KUBERNETES"}
    assert pairs(await drift(stubs, **kubernetes)) == ["a>b", "a>c", "a>d"]
    assert pairs(await drift(stubs, **kubernetes, ignore_stale=True)) == ["a>c", "a>d"]


async def test_all_dependencies_of_a_pair_are_returned_by_source(stubs: Stubs) -> None:
    [cluster] = await stubs.write_edges("a>b", discovery_source=DISCOVERY_SOURCE_KUBERNETES)
    [declared] = await stubs.write_edges("a>b", is_stale=True)
    answer = await drift(stubs)
    [found] = answer.drifts
    assert list(found.dependencies) == [declared, cluster]
    assert found.since_time == cluster.create_time
    assert answer.freshness.revision
    [found] = (await drift(stubs, ignore_stale=True)).drifts
    assert list(found.dependencies) == [cluster]


async def test_what_is_no_longer_observed_has_drifted_since_it_last_was(stubs: Stubs) -> None:
    await stubs.write_edges("a>b")
    assert pairs(await drift(stubs)) == ["a>b"]
    await observe(stubs, DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH, datetime(2026, 1, 1, tzinfo=UTC))
    await observe(stubs, DISCOVERY_SOURCE_SERVICE_MESH, datetime(2026, 2, 1, tzinfo=UTC))
    assert pairs(await drift(stubs)) == []
    [found] = (await drift(stubs, ignore_stale=True)).drifts
    assert found.kind == pb.DRIFT_KIND_NOT_OBSERVED
    assert [each.discovery_source for each in found.dependencies] == [DISCOVERY_SOURCE_MANUAL]
    assert found.since_time.ToDatetime(UTC) == datetime(2026, 2, 1, tzinfo=UTC)


async def observe(stubs: Stubs, source: Any, seen: datetime) -> None:
    """Write that a source saw the call once, and no more."""
    observed = Dependency()
    observed.last_observed_time.FromDatetime(seen)
    await stubs.write_edges(
        "a>b", discovery_source=source, is_stale=True, last_observed_time=observed.last_observed_time
    )


async def test_drift_may_be_kept_to_what_a_service_calls_or_is_called_by(stubs: Stubs) -> None:
    await stubs.write_edges("b>z", "b>a", "a>b", "c>b", "a>c", "z>a")
    whole = await drift(stubs, service_id="b")
    assert (pairs(whole), whole.total_count) == (["a>b", "b>a", "b>z", "c>b"], 4)
    seen: list[str] = []
    async for page in pages(lambda token: drift(stubs, service_id="b", page_size=1, page_token=token)):
        seen += pairs(page)
        assert page.total_count == 4
    assert seen == pairs(whole)


async def test_writes_between_pages_neither_repeat_nor_skip_pairs(stubs: Stubs) -> None:
    await stubs.write_edges("a>x", "a>y", "b>x", "b>y", "c>x", "c>y")
    first = await drift(stubs, page_size=3)
    # The first pair of the next page goes with its service; others appear before and after it.
    await stubs.catalog.DeleteService(catalog.DeleteServiceRequest(service_id="b"))
    await stubs.write_edges("0>x", "a>b2", "c>a", "d>x")
    await stubs.write_edges("c>x", discovery_source=DISCOVERY_SOURCE_SERVICE_MESH)
    second = await drift(stubs, page_size=10, page_token=first.next_page_token)
    assert (pairs(first), pairs(second)) == (["a>x", "a>y", "b>x"], ["c>a", "c>y", "d>x"])
    assert (first.total_count, second.total_count) == (6, 7)


async def test_an_unknown_service_is_not_found(stubs: Stubs) -> None:
    failure = await failure_of(drift(stubs, service_id="missing"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.NOT_FOUND, "SERVICE_NOT_FOUND")


async def test_everything_that_is_wrong_is_named_at_once(stubs: Stubs) -> None:
    wrong = {
        "kind": 7,
        "service_id": "a\0b",
        "page_size": 1_001,
        "page_token": "x",
        "discovery_source": 9,
        "team": "t" * 256,
    }
    failure = await failure_of(drift(stubs, **wrong))
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert list(failure.fields) == [
        "kind",
        "service_id",
        "page_token",
        "page_size",
        "discovery_source",
        "team",
    ]
