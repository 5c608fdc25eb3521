"""The HTTP port of ``depgraph serve``: the end of streams, workers, what is printed."""

import asyncio
import json
import signal

import pytest

from server.config import Addresses
from tests.support.agents import agent_by_http
from tests.support.http import Failed, Port, client_of
from tests.support.serving import serving
from tests.support.workers import many_workers

pytestmark = pytest.mark.one_transport

WATCH = "GraphService/Watch"


@pytest.mark.usefixtures("servers_without_numba")
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


@pytest.mark.usefixtures("servers_without_numba")
async def test_workers_share_the_port(database_url: str, pytestconfig: pytest.Config) -> None:
    if not pytestconfig.getoption("--full"):
        pytest.skip("starts a server with workers for this alone: --full does")
    arguments = ("--http-listen", "127.0.0.1:0", "--database-url", database_url)
    async with many_workers(*arguments) as running:
        (console,) = running.others
        url = console.split(" ")[0]
        seen: set[int] = set()
        async with asyncio.timeout(60):
            while seen != {1, 2}:
                async with client_of(url) as client:
                    seen.add((await Port(client).call("GraphService/GetStatus"))["worker"])
                async with agent_by_http(url.removeprefix("http://").rstrip("/")) as agent:
                    assert await agent.rows("find_services", "services") == []


def test_the_console_is_a_url() -> None:
    assert str(Addresses("127.0.0.1:1", http="[::1]:2")) == "127.0.0.1:1, http://[::1]:2/ (console)"
    assert Addresses(http="localhost:2", is_https=True).console == "https://localhost:2/"
    assert Addresses("a:1").console == ""
