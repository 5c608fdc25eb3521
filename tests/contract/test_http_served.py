"""The HTTP port of a whole server: roles, rates, slow watchers, workers, what is printed."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from server.access.roles import ROLES_OF_METHODS
from server.app import Application
from server.config import AccessSettings, Addresses, Limits, Settings, WatchSettings
from server.domain.caller import ROLES
from tests.support.eventually import eventually
from tests.support.http import Failed, Port, Raw, client_of
from tests.support.issuer import static_token
from tests.support.serving import serving
from tests.support.workers import many_workers

pytestmark = pytest.mark.one_transport

WHO_AM_I = "AccessService/WhoAmI"
WATCH = "GraphService/Watch"
ROWS = 20
LARGE = "UPDATE services SET metadata = jsonb_build_object('n', $1::int, 'text', repeat('x', 200000))"


@pytest.fixture
def server_settings(database_url: str, tmp_path: Path) -> Settings:
    path = tmp_path / "auth.toml"
    # An ingester is for sources.
    path.write_text(
        "\n".join(
            static_token(role, role, sources=("manual",) if role == "ingester" else ()) for role in ROLES
        )
    )
    return Settings(
        listen="127.0.0.1:0",
        http_listen="127.0.0.1:0",
        database_url=database_url,
        access=AccessSettings(auth_file=path),
        limits=Limits(rate_limit=0.5, rate_burst=80),
        watch=WatchSettings(heartbeat=timedelta(milliseconds=50), max_pending_rows=ROWS),
    )


@pytest.fixture
async def port(application: Application) -> AsyncIterator[Port]:
    async with client_of(application.addresses.http) as client:
        yield Port(client)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


async def test_roles_are_those_of_grpc(port: Port) -> None:
    for path, roles in ROLES_OF_METHODS.items():
        if not path.startswith("/depgraph.v1.") or path.endswith("/Watch"):
            continue
        method = path.removeprefix("/depgraph.v1.")
        for role in ROLES:
            response = await port.post(method, **bearer(role))
            assert (response.status_code == 403) == (role not in roles), (method, role, response.text)
            assert response.status_code != 401


async def test_who_does_not_say_who_it_is_is_refused_before_it_has_sent_all(
    port: Port, application: Application
) -> None:
    for headers in ({}, bearer("nobody"), {"authorization": "Basic x"}):
        response = await port.post(WHO_AM_I, **headers)
        assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"
    raw = await Raw.to(application.addresses.http)
    await raw.send(
        f"POST /depgraph.v1.{WHO_AM_I} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer admin\r\n"
        "Authorization: Bearer reader\r\nContent-Type: application/json\r\nContent-Length: 10\r\n"
        "Expect: 100-continue\r\n\r\n".encode()
    )
    assert (await raw.head())[0] == 401
    raw.close()


async def test_a_stream_of_who_may_not_call_it_has_a_status(port: Port) -> None:
    failure = await port.failure(WATCH)
    assert failure.code == "unauthenticated"
    answer = await port.call(WHO_AM_I, **bearer("reader"))
    assert answer["principal"] == "reader"


async def test_who_calls_too_often_is_told_when_to_come_back(port: Port) -> None:
    refused: Any = None
    while refused is None:
        responses = await asyncio.gather(*(port.post(WHO_AM_I, **bearer("reader")) for _ in range(50)))
        refused = next((each for each in responses if each.status_code == 429), None)
    assert Failed.of(refused.json()).reason == "RATE_LIMITED"
    assert refused.headers["retry-after"] in ("1", "2")
    assert int(refused.headers["trailer-grpc-retry-pushback-ms"]) >= 1
    # Another caller has its own.
    assert (await port.post(WHO_AM_I, **bearer("admin"))).status_code == 200


async def test_a_watcher_that_does_not_read_is_dropped(
    application: Application, connection: asyncpg.Connection
) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('a')")
    raw = await Raw.to(application.addresses.http)
    body = b'{"includeState": true}'
    await raw.send(
        f"POST /depgraph.v1.{WATCH} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer reader\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
        + body
    )
    assert (await raw.head())[0] == 200
    subscriptions = application.replica.subscriptions
    await eventually(lambda: len(subscriptions) == 1)
    # What is not read stays with the reader's system, then with the server.
    raw.writer.transport.pause_reading()  # type: ignore[attr-defined]
    number = 0
    async with asyncio.timeout(60):
        while len(subscriptions) == 1:
            number += 1
            await connection.execute(LARGE, number)
            await asyncio.sleep(0)
    raw.writer.transport.resume_reading()  # type: ignore[attr-defined]
    lines = [line for line in (await raw.rest()).split(b"\r\n") if line.startswith(b"{")]
    failure = Failed.of(json.loads(lines[-1])["error"])
    assert (failure.code, failure.reason) == ("resource_exhausted", "WATCHER_TOO_SLOW")
    assert all("result" in json.loads(line) for line in lines[:-1])
    raw.close()


async def test_a_watch_ends_with_the_server_and_says_so(database_url: str) -> None:
    arguments = ("--http-listen", "127.0.0.1:0", "--database-url", database_url)
    async with serving(*arguments) as server:
        plain, console = server.address.split(", ")
        url, kind = console.split(" ")
        assert (url.startswith("http://127.0.0.1:"), url.endswith("/"), kind) == (True, True, "(console)")
        assert not plain.startswith("http")
        async with client_of(url) as client:
            async with client.stream("POST", f"/depgraph.v1.{WATCH}", json={}) as response:
                lines = response.aiter_lines()
                assert "result" in json.loads(await anext(lines))
                server.process.send_signal(signal.SIGTERM)
                last = [json.loads(line) async for line in lines][-1]
            failure = Failed.of(last["error"])
            assert (failure.code, failure.reason) == ("unavailable", "NOT_READY")
        assert await server.exit_code() == 0


async def test_workers_share_the_port(database_url: str) -> None:
    arguments = ("--http-listen", "127.0.0.1:0", "--database-url", database_url)
    async with many_workers(*arguments) as running:
        (console,) = running.others
        url = console.split(" ")[0]
        seen: set[int] = set()
        async with asyncio.timeout(60):
            while seen != {1, 2}:
                async with client_of(url) as client:
                    seen.add((await Port(client).call("GraphService/GetStatus"))["worker"])


def test_the_console_is_a_url() -> None:
    assert str(Addresses("127.0.0.1:1", http="[::1]:2")) == "127.0.0.1:1, http://[::1]:2/ (console)"
    assert Addresses(http="localhost:2", is_https=True).console == "https://localhost:2/"
    assert Addresses("a:1").console == ""
