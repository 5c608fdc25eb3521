"""Calls by HTTP: what the protocol of Connect says, and streams as lines of JSON."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
import pytest_asyncio

from server.app import Application
from server.config import Limits, Settings, WatchSettings
from tests.support.eventually import eventually
from tests.support.http import JSON, PROTO, Failed, Port, Raw, client_of

pytestmark = pytest.mark.one_transport

TRAVERSE = "GraphService/Traverse"
PATH = f"/depgraph.v1.{TRAVERSE}"
CREATE = "CatalogService/CreateService"
BATCH = "CatalogService/BatchUpsertServices"
DEPENDENCIES = "DependencyService/BatchUpsertDependencies"
WATCH = "GraphService/Watch"


@pytest.fixture(scope="module")
def server_settings(database_url: str) -> Settings:
    return Settings(
        listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        database_url=database_url,
        watch=WatchSettings(heartbeat=timedelta(milliseconds=50)),
        limits=Limits(max_watches=2),
    )


@pytest.fixture
def address(application: Application) -> str:
    return application.addresses.http


@pytest_asyncio.fixture(loop_scope="module")
async def port(address: str, cleared: None) -> AsyncIterator[Port]:
    async with client_of(address) as client:
        yield Port(client)


async def test_a_service_is_written_and_read(port: Port) -> None:
    service = {"serviceId": "cart", "team": "shop", "metadata": {"n": 1.5, "list": [None, True]}}
    written = await port.call(CREATE, {"service": service})
    assert service.items() <= written["service"].items()
    read = await port.call("CatalogService/GetService", {"serviceId": "cart"})
    assert read == {"service": written["service"]}


async def test_fields_have_the_names_of_json_or_of_the_contract(port: Port) -> None:
    await port.call(CREATE, {"service": {"service_id": "cart"}})
    assert (await port.call("CatalogService/GetService", {"service_id": "cart"}))["service"]


async def test_a_wrong_request_names_its_field_before_any_handler_sees_it(port: Port) -> None:
    for body, field in (
        ({"foo": 1}, "foo"),
        ({"serviceId": 1}, "serviceId"),
        ({"filter": {"bar": 1}}, "filter.bar"),
        ({"direction": "UP"}, "direction"),
    ):
        failure = await port.failure(TRAVERSE, body)
        assert (failure.code, failure.reason) == ("invalid_argument", "INVALID_FIELD")
        assert failure.fields == [field]
    failure = await port.failure(BATCH, {"services": [{"serviceId": "a"}, {"teams": "t"}]})
    assert failure.fields == ["services[1].teams"]
    assert not (await port.call("CatalogService/ListServices")).get("services")
    # What the handler finds has the names of the contract.
    assert (await port.failure(TRAVERSE)).fields == ["service_id", "direction"]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff", b'{"serviceId": "a"} x'])
async def test_what_is_no_json_object_is_refused(port: Port, body: bytes) -> None:
    assert (await port.failure(TRAVERSE, body)).code == "invalid_argument"


async def test_bytes_that_are_no_message_are_refused(port: Port) -> None:
    response = await port.client.post(PATH, content=b"\xff", headers=PROTO)
    assert (response.status_code, response.json()["code"]) == (400, "invalid_argument")


@pytest.mark.parametrize(
    ("verb", "headers", "outcome", "answer"),
    [
        ("GET", JSON, (405, "unimplemented"), {"allow": "POST"}),
        ("PUT", JSON, (405, "unimplemented"), {"allow": "POST"}),
        ("OPTIONS", JSON, (405, "unimplemented"), {"allow": "POST"}),
        ("POST", {}, (415, "invalid_argument"), {"accept-post": "application/json, application/proto"}),
        ("POST", {"content-type": "text/plain"}, (415, "invalid_argument"), {}),
        ("POST", {"content-type": "application/grpc"}, (415, "invalid_argument"), {}),
        ("POST", {"content-type": "application/x-www-form-urlencoded"}, (415, "invalid_argument"), {}),
        ("POST", JSON | {"content-encoding": "br"}, (501, "unimplemented"), {"accept-encoding": "gzip"}),
        ("POST", JSON | {"connect-protocol-version": "2"}, (400, "invalid_argument"), {}),
        ("POST", JSON | {"connect-timeout-ms": "1s"}, (400, "invalid_argument"), {}),
        ("POST", JSON | {"connect-timeout-ms": "-1"}, (400, "invalid_argument"), {}),
        ("POST", JSON | {"connect-timeout-ms": "1" * 11}, (400, "invalid_argument"), {}),
    ],
)
async def test_a_request_in_another_form_is_refused_with_what_is_wrong(
    port: Port, verb: str, headers: dict[str, str], outcome: tuple[int, str], answer: dict[str, str]
) -> None:
    response = await port.client.request(verb, PATH, headers=headers, content=b"{}")
    assert (response.status_code, response.json()["code"]) == outcome
    assert answer.items() <= response.headers.items()
    named = [name for name in headers if headers[name] != JSON.get(name)]
    assert all(name in response.json()["message"].lower() for name in named[-1:] if "encoding" not in name)


async def test_a_stream_takes_json_alone(port: Port) -> None:
    for kind in ("application/proto", "application/connect+json", "application/connect+proto"):
        response = await port.client.post(
            "/depgraph.v1.GraphService/Watch", content=b"", headers={"content-type": kind}
        )
        assert (response.status_code, response.headers["accept-post"]) == (415, "application/json")


@pytest.mark.parametrize(
    "path",
    [
        "/depgraph.v1.GraphService/Nothing",
        "/depgraph.v1.GraphService/",
        "/nothing",
        "/grpc.health.v1.Health/Check",
        "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    ],
)
async def test_a_method_that_is_not_served_is_unimplemented_and_not_found(port: Port, path: str) -> None:
    response = await port.client.post(path, json={})
    assert (response.status_code, response.json()["code"]) == (404, "unimplemented")
    assert path in response.json()["message"]


async def test_a_charset_and_the_version_of_the_protocol_are_accepted(port: Port) -> None:
    headers = {"content_type": "application/json; charset=utf-8", "connect_protocol_version": "1"}
    await port.call("AccessService/WhoAmI", **headers)


async def test_a_body_packed_by_gzip_is_unpacked(port: Port) -> None:
    body = gzip.compress(json.dumps({"service": {"serviceId": "cart"}}).encode())
    assert (await port.call(CREATE, body, content_encoding="gzip"))["service"]["serviceId"] == "cart"


async def test_what_unpacks_to_more_than_the_method_takes_is_refused(port: Port) -> None:
    body = gzip.compress(b" " * 10_000_000)
    assert len(body) < 64 * 1024
    failure = await port.failure(TRAVERSE, body, content_encoding="gzip")
    assert (failure.code, failure.reason) == ("resource_exhausted", "REQUEST_TOO_LARGE")
    for broken in (b"x", body[:-1], body + b"x", gzip.compress(b"{}") * 2):
        failure = await port.failure(TRAVERSE, broken, content_encoding="gzip")
        assert failure.code in ("invalid_argument", "resource_exhausted")


async def test_a_request_is_bounded_as_text_and_as_message(port: Port) -> None:
    for method, most in ((TRAVERSE, 64 * 1024), (CREATE, 2 * 1024**2), (DEPENDENCIES, 4 * 1024**2)):
        failure = await port.failure(method, b" " * (most + 1))
        assert (failure.code, failure.reason) == ("resource_exhausted", "REQUEST_TOO_LARGE")
        assert failure.details[0]["metadata"]["limit_bytes"] == str(most)
    failure = await port.failure(BATCH, {"services": [{"serviceId": "a"}] * 10_001})
    assert failure.fields == ["services"]


async def test_a_large_request_is_refused_before_it_is_sent(address: str) -> None:
    raw = await Raw.to(address)
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    await raw.send(f"{head}Content-Length: 1000000000\r\n\r\n".encode())
    status, headers = await raw.head()
    assert (status, headers["connection"]) == (429, "close")
    assert b"REQUEST_TOO_LARGE" in await raw.rest()
    raw.close()


async def test_a_client_that_asks_first_is_refused_without_a_body(address: str) -> None:
    raw = await Raw.to(address)
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    await raw.send(f"{head}Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n".encode())
    assert (await raw.head())[0] == 429
    raw.close()
    raw = await Raw.to(address)
    await raw.send(f"{head}Expect: 100-continue\r\nContent-Length: 2\r\n\r\n".encode())
    assert (await raw.head())[0] == 100
    await raw.send(b"{}")
    assert (await raw.head())[0] == 400
    raw.close()


async def test_a_client_that_sends_all_before_it_reads_gets_the_refusal_and_goes_on(address: str) -> None:
    raw = await Raw.to(address)
    head = f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    size = 1_000_000
    await raw.send(f"{head}Content-Length: {size}\r\n\r\n".encode() + b" " * size)
    status, headers = await raw.head()
    assert (status, headers.get("connection")) == (429, None)
    await raw.reader.readexactly(int(headers["content-length"]))
    await raw.send(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
    assert (await raw.head())[0] == 200
    raw.close()


async def test_a_deadline_ends_a_call(port: Port) -> None:
    failure = await port.failure(TRAVERSE, {}, connect_timeout_ms="0")
    assert failure.code == "deadline_exceeded"
    # A stream has one, too.
    lines = await lines_of(port, WATCH, {}, connect_timeout_ms="300")
    assert Failed.of(lines[-1]["error"]).code == "deadline_exceeded"
    assert all("result" in line for line in lines[:-1])


async def test_a_deadline_is_that_of_the_handler(port: Port) -> None:
    token = await port.call("GraphService/GetStatus")
    revision = token["freshness"]["revision"]
    body = {"serviceId": "a", "direction": "DIRECTION_BOTH", "consistency": {"atLeastAsFresh": revision}}
    assert (await port.failure(TRAVERSE, body, connect_timeout_ms="30000")).code == "not_found"


async def lines_of(port: Port, method: str, body: Any, **headers: str) -> list[Any]:
    response = await port.post(method, body, **headers)
    assert (response.status_code, response.headers["content-type"]) == (200, "application/x-ndjson")
    return [json.loads(line) for line in response.text.splitlines()]


async def test_a_stream_that_fails_before_its_first_part_has_a_status(port: Port) -> None:
    body = {"serviceId": "nobody", "direction": "DIRECTION_BOTH"}
    failure = await port.failure("GraphService/StreamTraverse", body)
    assert (failure.code, failure.reason) == ("not_found", "SERVICE_NOT_FOUND")


class Reading:
    """A stream of lines."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def next(self) -> Any:
        return json.loads(await anext(self._lines))

    async def event(self, event: str) -> Any:
        while (part := (await self.next())["result"])["event"] != f"WATCH_EVENT_{event}":
            pass
        return part


async def test_a_watch_sees_a_change_and_its_end_is_noticed(port: Port, application: Application) -> None:
    body = json.dumps({}).encode()
    async with port.client.stream("POST", f"/depgraph.v1.{WATCH}", content=body, headers=JSON) as response:
        watch = Reading(response)
        await watch.event("HEARTBEAT")
        assert len(application.replica.subscriptions) == 1
        await port.call(CREATE, {"service": {"serviceId": "cart"}})
        change = await watch.event("CHANGES")
        assert [each["serviceId"] for each in change["upsertedServices"]] == ["cart"]
    await eventually(lambda: not application.replica.subscriptions)


async def test_limits_of_streams_hold(port: Port, application: Application) -> None:
    async with (
        port.client.stream("POST", f"/depgraph.v1.{WATCH}", json={}) as first,
        port.client.stream("POST", f"/depgraph.v1.{WATCH}", json={}) as second,
    ):
        await Reading(first).next()
        await Reading(second).next()
        # One of the spare places: this caller has less than its share of them no more.
        response = await port.post(WATCH)
        failure = Failed.of(response.json())
        assert (response.status_code, failure.reason) == (429, "OVERLOADED")
        assert response.headers["retry-after"] == "1"
        assert int(response.headers["trailer-grpc-retry-pushback-ms"]) > 0
    await eventually(lambda: not application.replica.subscriptions)


async def test_a_client_that_goes_away_cancels_its_call(
    port: Port, address: str, application: Application, connection: Any
) -> None:
    await port.call(CREATE, {"service": {"serviceId": "cart"}})
    async with connection.transaction():
        await connection.execute("LOCK TABLE services IN ACCESS EXCLUSIVE MODE")
        raw = await Raw.to(address)
        body = b'{"service": {"serviceId": "late"}}'
        head = f"POST /depgraph.v1.{CREATE} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        await raw.send(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await eventually(lambda: application.running_calls == 1)
        raw.close()
        await eventually(lambda: application.running_calls == 0)
    names = [each["serviceId"] for each in (await port.call("CatalogService/ListServices"))["services"]]
    assert names == ["cart"]


async def test_calls_by_http_are_in_the_counts_and_in_the_log(
    port: Port, application: Application, caplog: pytest.LogCaptureFixture
) -> None:
    rpc = application._rpc_server
    assert rpc is not None

    def ended() -> dict[str, int]:
        (calls,) = [each for each in rpc.counts if each.method == "GetService"]
        return dict(calls.ended)

    before = ended()
    await port.failure("CatalogService/GetService", {"serviceId": "nobody"})
    await port.failure("CatalogService/GetService", {"nothing": 1})
    await port.call(CREATE, {"service": {"serviceId": "cart"}})
    await port.call("CatalogService/GetService", {"serviceId": "cart"})
    gained = {code: count - before.get(code, 0) for code, count in ended().items()}
    assert {code: count for code, count in gained.items() if count} == {
        "OK": 1,
        "NOT_FOUND": 1,
        "INVALID_ARGUMENT": 1,
    }


async def test_many_calls_at_once_are_answered(port: Port) -> None:
    await port.call(BATCH, {"services": [{"serviceId": f"s{number}"} for number in range(200)]})
    answers = await asyncio.gather(
        *(port.call("CatalogService/GetService", {"serviceId": f"s{number}"}) for number in range(50))
    )
    assert [each["service"]["serviceId"] for each in answers] == [f"s{number}" for number in range(50)]


async def test_a_long_answer_comes_whole(port: Port) -> None:
    services = [{"serviceId": f"s{number}", "team": "t" * 100} for number in range(2_000)]
    written = await port.call(BATCH, {"services": services})
    assert [each["serviceId"] for each in written["services"]] == [each["serviceId"] for each in services]
