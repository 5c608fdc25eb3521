"""The HTTP port of a server with an auth file: roles, rates, slow watchers."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from server.access.roles import ROLES_OF_METHODS
from server.app import Application
from server.config import AccessSettings, Limits, Settings, WatchSettings
from server.domain.caller import ROLES
from tests.support.eventually import eventually
from tests.support.http import Failed, Port, Raw, client_of
from tests.support.issuer import static_token

pytestmark = pytest.mark.one_transport

WHO_AM_I = "AccessService/WhoAmI"
WATCH = "GraphService/Watch"
ROWS = 20
BURST = 60
LARGE = "UPDATE services SET metadata = jsonb_build_object('n', $1::int, 'text', repeat('x', 200000))"


@pytest.fixture(scope="module")
def server_settings(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    path = tmp_path_factory.mktemp("access") / "auth.toml"
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
        limits=Limits(rate_limit=0.5, rate_burst=BURST),
        watch=WatchSettings(heartbeat=timedelta(milliseconds=50), max_pending_rows=ROWS),
    )


@pytest_asyncio.fixture(loop_scope="module")
async def port(application: Application, cleared: None) -> AsyncIterator[Port]:
    async with client_of(application.addresses.http) as client:
        yield Port(client)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def calls_to_try(*, all_methods: bool) -> list[str]:
    """Choose methods: one for each set of roles that may call it, or all."""
    paths = [
        path for path in ROLES_OF_METHODS if path.startswith("/depgraph.v1.") and not path.endswith("/Watch")
    ]
    return paths if all_methods else list({ROLES_OF_METHODS[path]: path for path in paths}.values())


async def test_roles_are_those_of_grpc(port: Port, pytestconfig: pytest.Config) -> None:
    tried = calls_to_try(all_methods=pytestconfig.getoption("--full"))
    assert len(tried) > 3
    for path in tried:
        method, roles = path.removeprefix("/depgraph.v1."), ROLES_OF_METHODS[path]
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
        responses = await asyncio.gather(*(port.post(WHO_AM_I, **bearer("editor")) for _ in range(BURST + 2)))
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
