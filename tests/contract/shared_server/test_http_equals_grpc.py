"""Each method of the contract, by HTTP as JSON and as bytes: the same as by gRPC."""

import asyncio
import json
import re
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from datetime import datetime
from http import HTTPStatus
from typing import Any

import asyncpg
import grpc
import httpx
import pytest
import pytest_asyncio
from google.protobuf import json_format
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.descriptor_pool import Default
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from depgraph.v1.alert_service_pb2 import CreateAlertRequest
from depgraph.v1.catalog_service_pb2 import AddAliasRequest
from server.app import Application
from server.config import DetectionSettings, Settings
from server.rpc.server import CONTRACT
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.command import ROOT
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.http import PROTO, STATUSES, Failed, client_of
from tests.support.required import required_program

# The HTTP port is the same beside either transport.
pytestmark = pytest.mark.one_transport

METHODS: dict[str, MethodDescriptor] = {
    f"{service.removeprefix('depgraph.v1.')}/{method.name}": method
    for service in CONTRACT
    if service.startswith("depgraph.v1.")
    for method in Default().FindServiceByName(service).methods
}
WATCH = "GraphService/Watch"
SIDE = "SIDE"
FRESH = {"fullyConsistent": True}
EDGE = {
    "communicationMode": "COMMUNICATION_MODE_SYNC",
    "criticality": "DEPENDENCY_CRITICALITY_HARD",
    "discoverySource": "DISCOVERY_SOURCE_MANUAL",
}


def edge(source: str, target: str, **more: Any) -> dict[str, Any]:
    return {"sourceServiceId": source, "targetServiceId": target} | EDGE | more


# A request for each method that succeeds on the sample. What writes does so in a corner of the
# graph: SIDE stands for the side that asks, ALERT and EDGE for the ids of what is its own. MARKED
# is a time that history knows.
REQUESTS: dict[str, Any] = {
    "AccessService/WhoAmI": {},
    "AccessService/ListWrites": {"pageSize": 1},
    "AlertService/CreateAlert": {"cyclePath": ["SIDE-b", "SIDE-c"]},
    "AlertService/GetAlert": {"id": "ALERT"},
    "AlertService/ListAlerts": {},
    "AlertService/AcknowledgeAlert": {"id": "ALERT", "acknowledgedBy": "ann"},
    "AlertService/ResolveAlert": {"id": "ALERT", "resolutionNotes": "cut"},
    "AlertService/CheckCycle": {"cyclePath": ["checkout", "web-shop"]},
    "AlertService/ListAlertEvents": {"id": "ALERT"},
    "AnalysisService/CheckChange": {"consistency": FRESH, "added": [edge("accounts", "checkout")]},
    "AnalysisService/SuggestCuts": {"consistency": FRESH, "serviceId": "checkout"},
    "AnalysisService/AnalyzeImpact": {"consistency": FRESH, "serviceId": "accounts"},
    "AnalysisService/FindPaths": {
        "consistency": FRESH,
        "sourceServiceId": "checkout",
        "targetServiceId": "accounts",
    },
    "AnalysisService/AuditPaths": {"consistency": FRESH},
    "AnalysisService/ListDrift": {"consistency": FRESH},
    "CatalogService/CreateService": {"service": {"serviceId": "SIDE-new", "metadata": {"a": [1, None, "x"]}}},
    "CatalogService/GetService": {"serviceId": "checkout"},
    "CatalogService/ListServices": {"pageSize": 3},
    "CatalogService/UpdateService": {"service": {"serviceId": "SIDE-a", "team": "t"}, "updateMask": "team"},
    "CatalogService/DeleteService": {"serviceId": "SIDE-gone"},
    "CatalogService/BatchUpsertServices": {"services": [{"serviceId": "SIDE-a"}, {"serviceId": "SIDE-d"}]},
    "CatalogService/AddAlias": {"alias": "SIDE-alias", "serviceId": "SIDE-a"},
    "CatalogService/RemoveAlias": {"alias": "SIDE-known"},
    "CatalogService/ListAliases": {},
    "CatalogService/MergeServices": {"fromServiceId": "SIDE-twin", "intoServiceId": "SIDE-b"},
    "CatalogService/SuggestAliases": {"consistency": FRESH},
    "DependencyService/GetDependency": {"id": "EDGE"},
    "DependencyService/ListDependencies": {"pageSize": 3},
    "DependencyService/BatchUpsertDependencies": {"dependencies": [edge("SIDE-a", "SIDE-c", timeoutMs=250)]},
    "DependencyService/DeleteDependency": {"id": "EDGE"},
    "DependencyService/MarkStale": {
        "observedBefore": "2020-01-01T00:00:00Z",
        "discoverySource": "DISCOVERY_SOURCE_SERVICE_MESH",
    },
    "DependencyService/IngestGraph": {
        "discoverySource": "DISCOVERY_SOURCE_SERVICE_MESH",
        "observeTime": "2026-01-01T00:00:00Z",
        "nodes": [{"serviceId": "SIDE-seen"}],
        "edges": [edge("SIDE-seen", "SIDE-a", discoverySource="DISCOVERY_SOURCE_SERVICE_MESH")],
    },
    "DependencyService/ListSources": {},
    "GraphService/Traverse": {
        "consistency": FRESH,
        "serviceId": "checkout",
        "direction": "DIRECTION_BOTH",
    },
    "GraphService/StreamTraverse": {
        "consistency": FRESH,
        "serviceId": "checkout",
        "direction": "DIRECTION_DOWNSTREAM",
    },
    "GraphService/BatchTraverse": {
        "requests": [{"serviceId": "checkout", "direction": "DIRECTION_UPSTREAM"}, {"serviceId": "none"}]
    },
    "GraphService/GetAdjacencyList": {"consistency": FRESH},
    "GraphService/ListComponents": {"consistency": FRESH},
    "GraphService/GetComponent": {"consistency": FRESH, "serviceId": "checkout"},
    "GraphService/Watch": {"includeState": True},
    "GraphService/SearchServices": {"consistency": FRESH, "query": "check"},
    "GraphService/GetNeighbourhood": {"consistency": FRESH, "serviceId": "checkout"},
    "GraphService/GetMap": {"consistency": FRESH},
    "GraphService/GetStatus": {},
    "HistoryService/DiffGraph": {"from": {"time": "MARKED"}},
    "HistoryService/ListChanges": {"since": "MARKED", "pageSize": 5},
}
# Of the same length, because sizes are in answers, too.
SIDES = GRPC, BY_JSON, BY_BYTES = "aaa", "bbb", "ccc"
# What differs from one call to the next.
VARYING = {"revision", "lag", "nextPageToken", "staleSeconds", "uptime"}
ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
TIME = re.compile(r"20\d\d-\d\d-\d\dT[\d:.]+Z")


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(
        listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        database_url=database_url,
        seed_file=ROOT / "examples/online_shop.json",
        # Alerts change by calls alone.
        detection=DetectionSettings(enabled=False),
    )


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def cleared(application: Application) -> None:
    """Leave the rows alone: all tests see the sample, and write into corners of their own."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def channel(application: Application) -> AsyncIterator[grpc.aio.Channel]:
    async with open_channel(application.address) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def client(application: Application) -> AsyncIterator[httpx.AsyncClient]:
    async with client_of(application.addresses.http) as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def own(channel: grpc.aio.Channel, marked_at: str) -> dict[str, dict[str, str]]:
    """The corner of each side: the text of what stands for it in requests."""
    stubs, found = Stubs(channel), {}
    for side in SIDES:
        await stubs.write_services(*(f"{side}-{name}" for name in ("b", "c", "gone", "twin")))
        (written,) = await stubs.write_edges(f"{side}-a>{side}-kept")
        await stubs.catalog.AddAlias(AddAliasRequest(alias=f"{side}-known", service_id=f"{side}-a"))
        path = CreateAlertRequest(cycle_path=[f"{side}-a", f"{side}-b"])
        alert = (await stubs.alerts.CreateAlert(path)).alert.id
        found[side] = {"SIDE": side, "ALERT": alert, "EDGE": written.id, "MARKED": marked_at}
    return found


@pytest_asyncio.fixture(scope="module", loop_scope="module", autouse=True)
async def marked_at(application: Application, database_url: str) -> str:
    """Mark this moment for history; returns when that was."""
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SELECT depgraph_history.mark()")
        at = await connection.fetchval("SELECT max(at) FROM depgraph_history.marks")
    finally:
        await connection.close()
    assert isinstance(at, datetime)
    return at.isoformat()


async def test_each_method_of_the_contract_has_a_request_here() -> None:
    assert set(REQUESTS) == set(METHODS)


def classes(method: str) -> tuple[type[Message], type[Message]]:
    described = METHODS[method]
    return GetMessageClass(described.input_type), GetMessageClass(described.output_type)


Outcome = list[Any] | Failed


async def by_grpc(channel: grpc.aio.Channel, method: str, request: dict[str, Any]) -> Outcome:
    """Call a method; returns its answers, of a watch the first, or its error."""
    asked, answered = classes(method)
    streams = METHODS[method].server_streaming
    make: Any = channel.unary_stream if streams else channel.unary_unary
    call = make(f"/depgraph.v1.{method}", asked.SerializeToString, answered.FromString)(
        json_format.ParseDict(request, asked()), timeout=PATIENCE_SECONDS
    )
    try:
        if not streams:
            return [json_format.MessageToDict(await call)]
        answers = []
        async for each in call:
            answers.append(json_format.MessageToDict(each))
            if method == WATCH:
                call.cancel()
                break
    except grpc.aio.AioRpcError as error:
        return Failed.of_grpc(error)
    return answers


async def by_json(client: httpx.AsyncClient, method: str, request: dict[str, Any]) -> Outcome:
    answers = []
    url = f"/depgraph.v1.{method}"
    async with client.stream("POST", url, json=request) as response:
        assert response.headers["content-type"] in ("application/json", "application/x-ndjson")
        async for line in response.aiter_lines():
            answers.append(json.loads(line))
            if method == WATCH:
                break
    if response.status_code != HTTPStatus.OK:
        assert response.status_code == STATUSES[answers[0]["code"]]
        return Failed.of(answers[0])
    if not METHODS[method].server_streaming:
        return answers
    return [answer["result"] for answer in answers]


async def by_bytes(client: httpx.AsyncClient, method: str, request: dict[str, Any]) -> Outcome:
    asked, answered = classes(method)
    body = json_format.ParseDict(request, asked()).SerializeToString()
    response = await client.post(f"/depgraph.v1.{method}", content=body, headers=PROTO)
    if response.status_code != HTTPStatus.OK:
        return Failed.of(response.json())
    return [json_format.MessageToDict(answered.FromString(response.content))]


def comparable(method: str, outcome: Outcome, side: str) -> Any:
    """Replace what differs between calls; in an answer about the corner of a side, its name."""
    is_own = any(placeholder in json.dumps(REQUESTS[method]) for placeholder in ("SIDE", "ALERT", "EDGE"))
    return without_what_varies(outcome, side if is_own else "no side")


def without_what_varies(content: Any, side: str) -> Any:
    if isinstance(content, dict):
        return {
            name: "…" if name in VARYING else without_what_varies(value, side)
            for name, value in content.items()
        }
    if isinstance(content, list):
        return [without_what_varies(each, side) for each in content]
    if isinstance(content, str):
        return TIME.sub("TIME", ID.sub("ID", content)).replace(side, SIDE)
    return content


def requested(method: str, own: dict[str, str]) -> dict[str, Any]:
    text = json.dumps(REQUESTS[method])
    for placeholder, value in own.items():
        text = text.replace(placeholder, value)
    request: dict[str, Any] = json.loads(text)
    return request


@pytest.mark.parametrize("method", METHODS)
async def test_an_answer_by_http_is_that_of_grpc(
    channel: grpc.aio.Channel, client: httpx.AsyncClient, own: dict[str, dict[str, str]], method: str
) -> None:
    expected = await by_grpc(channel, method, requested(method, own[GRPC]))
    assert isinstance(expected, list), expected
    found = await by_json(client, method, requested(method, own[BY_JSON]))
    assert comparable(method, found, BY_JSON) == comparable(method, expected, GRPC)
    if not METHODS[method].server_streaming:
        found = await by_bytes(client, method, requested(method, own[BY_BYTES]))
        assert comparable(method, found, BY_BYTES) == comparable(method, expected, GRPC)


@pytest.mark.parametrize("method", METHODS)
async def test_an_empty_request_by_http_is_answered_as_by_grpc(
    channel: grpc.aio.Channel, client: httpx.AsyncClient, method: str
) -> None:
    expected = await by_grpc(channel, method, {})
    found = await by_json(client, method, {})
    assert (isinstance(found, Failed)) == (isinstance(expected, Failed))
    if isinstance(expected, Failed):
        assert found == expected
        if not METHODS[method].server_streaming:
            assert await by_bytes(client, method, {}) == expected


async def test_each_unary_method_is_called_by_curl(
    application: Application, own: dict[str, dict[str, str]]
) -> None:
    curl = required_program("curl")
    asked = [method for method in METHODS if not METHODS[method].server_streaming]
    options = []
    for method in asked:
        options += [
            *("--next", "--silent", "--show-error", "--write-out", "\n%{http_code}\n"),
            *("--json", json.dumps(requested(method, own[GRPC]))),
            f"{application.addresses.console}depgraph.v1.{method}",
        ]
    process = await asyncio.create_subprocess_exec(curl, *options[1:], stdout=PIPE, stderr=PIPE)
    printed, errors = await process.communicate()
    assert (process.returncode, errors) == (0, b"")
    lines = [line for line in printed.decode().split("\n") if line]
    for method, text, status in zip(asked, lines[::2], lines[1::2], strict=True):
        # Some have been made already.
        answer = json.loads(text)
        assert int(status) == (STATUSES[answer["code"]] if "code" in answer else HTTPStatus.OK), method
