"""What HistoryService refuses, and the fields that it names."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import grpc
import pytest
from google.protobuf.json_format import ParseDict

from depgraph.v1 import history_service_pb2 as pb
from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from server.store import history_changes
from tests.support.calls import FRESH, Stubs
from tests.support.failures import Failure, failure_of

REASON = "INVALID_FIELD"
PAST, LATER = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
TO = "\N{EN DASH}"
FUTURE = (datetime.now(UTC) + timedelta(hours=2)).isoformat()


@pytest.fixture
def stubs(channel: grpc.aio.Channel) -> Stubs:
    return Stubs(channel)


async def refused(stubs: Stubs, method: str, request: dict[str, Any]) -> Failure:
    if method == "DiffGraph":
        return await failure_of(stubs.history.DiffGraph(ParseDict(request, pb.DiffGraphRequest())).read())
    return await failure_of(stubs.history.ListChanges(ParseDict(request, pb.ListChangesRequest())))


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        ({}, {"from": "is required; give a time or a revision"}),
        ({"from": {}}, {"from": "is required; give a time or a revision"}),
        ({"from": {"time": LATER}, "to": {"time": PAST}}, {"from.time": "is after to.time"}),
        (
            {"from": {"time": PAST}, "to": {}},
            {"to": "is empty; give a time or a revision, or leave it unset for now"},
        ),
        (
            {"from": {"time": PAST}, "maxImpacts": 1_001},
            {"max_impacts": f"1001 is not in 0{TO}1,000 (0 = 100)"},
        ),
        (
            {"from": {"time": PAST}, "filter": {"minConfidence": 2, "criticalities": [77]}},
            {
                "filter.min_confidence": f"2.0 is not in 0{TO}1",
                "filter.criticalities[0]": "77 is not a known value; give one of "
                "DEPENDENCY_CRITICALITY_HARD, DEPENDENCY_CRITICALITY_SOFT, "
                "DEPENDENCY_CRITICALITY_DEGRADED, DEPENDENCY_CRITICALITY_UNKNOWN",
            },
        ),
    ],
)
async def test_diff_graph_names_each_wrong_field(
    stubs: Stubs, request_: dict[str, Any], fields: dict[str, str]
) -> None:
    failure = await refused(stubs, "DiffGraph", request_)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, REASON)
    assert failure.fields == fields


@pytest.mark.parametrize(
    ("request_", "fields"),
    [
        ({"since": LATER, "until": PAST}, {"since": "is after until"}),
        ({"maxHops": 11}, {"max_hops": f"11 is not in 0{TO}10 (unset = 2)"}),
        ({"maxHops": -1}, {"max_hops": f"-1 is not in 0{TO}10 (unset = 2)"}),
        ({"pageSize": 1_001}, {"page_size": f"1001 is not in 0{TO}1,000 (0 = 100)"}),
        ({"serviceId": "x" * 256}, {"service_id": "has 256 characters; at most 255 are allowed"}),
    ],
)
async def test_list_changes_names_each_wrong_field(
    stubs: Stubs, request_: dict[str, Any], fields: dict[str, str]
) -> None:
    failure = await refused(stubs, "ListChanges", request_)
    assert (failure.code, failure.reason) == (grpc.StatusCode.INVALID_ARGUMENT, REASON)
    assert failure.fields == fields


@pytest.mark.parametrize(
    ("method", "request_", "field"),
    [
        ("DiffGraph", {"from": {"time": FUTURE}}, "from.time"),
        ("DiffGraph", {"from": {"time": PAST}, "to": {"time": FUTURE}}, "to.time"),
        ("ListChanges", {"since": FUTURE, "until": FUTURE}, "since"),
        ("ListChanges", {"until": FUTURE}, "until"),
    ],
)
async def test_a_time_to_come_is_refused(
    stubs: Stubs, method: str, request_: dict[str, Any], field: str
) -> None:
    failure = await refused(stubs, method, request_)
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.fields[field].startswith("lies in the future: the server's clock says 20")


async def test_what_is_no_revision_of_ours_is_refused_by_name(stubs: Stubs) -> None:
    for request in ({"from": {"revision": "no"}}, {"from": {"time": PAST}, "to": {"revision": "no"}}):
        failure = await refused(stubs, "DiffGraph", request)
        assert failure.reason == "INVALID_REVISION"
        assert list(failure.fields) == ["to.revision" if "to" in request else "from.revision"]


async def test_a_page_token_of_other_filters_is_refused(stubs: Stubs) -> None:
    failure = await refused(stubs, "ListChanges", {"pageToken": "AAAA"})
    assert (failure.reason, list(failure.fields)) == ("INVALID_PAGE_TOKEN", ["page_token"])


async def test_more_changes_than_a_comparison_takes_are_refused(
    stubs: Stubs, connection: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await connection.execute("SELECT depgraph_history.mark()")
    since = await connection.fetchval("SELECT max(at) FROM depgraph_history.marks")
    await stubs.write_edges("a>b", "b>c", "c>a")
    await connection.execute("DELETE FROM service_dependencies")
    await stubs.graph.ListComponents(ListComponentsRequest(consistency=FRESH))
    diff = {"from": {"time": since.isoformat()}}
    near = {"since": since.isoformat(), "serviceId": "a"}
    monkeypatch.setattr(history_changes, "MOST_ROWS", 2)
    failure = await refused(stubs, "DiffGraph", diff)
    assert (failure.code, failure.reason) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "RESPONSE_TOO_LARGE")
    assert failure.message.startswith("more than 2 services changed between the two")
    monkeypatch.setattr(history_changes, "MOST_FORMER_ENDS", 2)
    failure = await refused(stubs, "ListChanges", near)
    assert failure.code is grpc.StatusCode.INVALID_ARGUMENT
    assert failure.fields == {"since": "more than 2 dependencies were removed since; give a later time"}
    # As many as are allowed are none too many.
    monkeypatch.setattr(history_changes, "MOST_ROWS", 3)
    monkeypatch.setattr(history_changes, "MOST_FORMER_ENDS", 3)
    parts = [part async for part in stubs.history.DiffGraph(ParseDict(diff, pb.DiffGraphRequest()))]
    assert sum(len(part.services) for part in parts) == 3
    assert (await stubs.history.ListChanges(ParseDict(near, pb.ListChangesRequest()))).changes
