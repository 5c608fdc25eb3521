"""``depgraph mcp`` as a program that works with agents starts it: a process of its own."""

import asyncio
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import httpx2
import pytest

from server.app import Application
from server.config import Settings
from tests.support.agents import WAITING, Agent, agent_by_http, agent_by_stdio
from tests.support.command import ROOT, clean_environment, depgraph_here
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.plain_sql import connected

pytestmark = pytest.mark.one_transport

INITIALIZE = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
CHANGE: dict[str, Any] = {"add": [{"source": "a", "target": "b"}, {"source": "b", "target": "a"}]}


@pytest.fixture
def silent_address() -> Iterator[str]:
    """An address that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


class Process:
    """A ``depgraph mcp`` whose input and output the test writes and reads itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.process, self.stdin, self.stdout = process, process.stdin, process.stdout

    async def send(self, method: str, number: int | None, **params: Any) -> None:
        """Send a request, or a notification without a number."""
        message: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "params": params}
        message |= {} if number is None else {"id": number}
        self.stdin.write(json.dumps(message).encode() + b"\n")
        await self.stdin.drain()

    async def received(self) -> dict[str, Any]:
        """Read the next message; every line of the output is one."""
        message: dict[str, Any] = json.loads(await self.stdout.readline())
        assert message["jsonrpc"] == "2.0"
        return message


@asynccontextmanager
async def started(address: str) -> AsyncIterator[Process]:
    """Start the command and shake hands; then ask something that is never answered."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "server.cli", "mcp", "--address", address, "--timeout", "3600"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=ROOT,
        env=clean_environment(),
    )
    running = Process(process)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await running.send("initialize", 1, **INITIALIZE)
            assert (await running.received())["result"]["serverInfo"]["name"] == "depgraph"
            await running.send("notifications/initialized", None)
            await running.send("tools/call", 2, name="find_services", arguments={})
            await running.send("tools/call", 3, name="impact", arguments={})
            refused = await running.received()
            assert refused["id"] == 3
            assert refused["result"]["content"][0]["text"] == "service: is required"
            yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def test_it_ends_with_its_input_though_a_call_waits(
    silent_address: str, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--full"):
        pytest.skip("starts a process for this alone: --full does")
    async with started(silent_address) as running:
        running.stdin.close()
        assert await running.process.wait() == 0
        given_up = await running.received()
        assert (given_up["id"], await running.stdout.read()) == (2, b"")
        assert given_up["error"]["message"] == "Connection closed"


async def test_it_ends_with_a_signal_though_a_call_waits(
    silent_address: str, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.getoption("--full"):
        pytest.skip("starts a process for this alone: --full does")
    async with started(silent_address) as running:
        running.process.send_signal(signal.SIGTERM)
        assert await running.process.wait() == 0
        assert await running.stdout.read() == b""


async def test_a_server_that_comes_back_is_asked_again_and_both_ways_answer_alike(database_url: str) -> None:
    settings = Settings(listen="127.0.0.1:0", http_listen="127.0.0.1:0", database_url=database_url)
    async with Application(settings, report=lambda _: None) as first:
        listening = first.addresses
        async with agent_by_http(listening.http) as agent:
            by_http = await agent.call("check_change", **CHANGE)
    async with agent_by_stdio(listening.plain) as agent:
        gone = await agent.refusal("find_services")
        async with Application(replace(settings, listen=listening.plain), report=lambda _: None):
            by_stdio = await agent.call("check_change", **CHANGE)
            await _cancel_a_waiting_call(agent, database_url)
            both = await asyncio.gather(*(agent.text("find_services") for _ in range(20)))
    assert "start a server with 'depgraph serve'" in gone
    varying = {"revision": "", "lag_seconds": 0}
    assert by_stdio.structured_content | varying == by_http.structured_content | varying
    assert all(text.startswith("0 services\n") for text in both)


async def _cancel_a_waiting_call(agent: Agent, database_url: str) -> None:
    """Give up a call that waits for a table; the server must see that."""
    async with connected(database_url) as connection, connection.transaction():
        await connection.execute("LOCK circular_dependency_alerts IN ACCESS EXCLUSIVE MODE")
        asking = asyncio.create_task(agent.call("cycles"))
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not await connection.fetchval(WAITING):
                await asyncio.sleep(0.01)
            asking.cancel()
            while await connection.fetchval(WAITING):
                await asyncio.sleep(0.01)


def test_without_the_extra_the_command_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "mcp"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    finished = depgraph_here("mcp")
    assert (finished.returncode, finished.stdout) == (1, "")
    assert finished.stderr.startswith("depgraph: tools for agents need the extra mcp (mcp")
    assert "pip install 'depgraph[server,mcp]" in finished.stderr


async def test_a_server_without_the_extra_says_so(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcp.server.lowlevel", None)
    monkeypatch.delitem(sys.modules, "server.web.mcp.protocol", raising=False)
    settings = Settings(listen="127.0.0.1:0", http_listen="127.0.0.1:0", database_url=database_url)
    async with Application(settings, report=lambda _: None) as running, httpx2.AsyncClient() as http:
        answered = await http.post(f"http://{running.addresses.http}/mcp", json={})
    assert answered.status_code == 501
    assert answered.json()["message"].startswith("tools for agents need the server's extra mcp")


def test_help_and_servers_load_nothing_of_the_protocol() -> None:
    program = (
        "import sys, server.app, server.web.transport, server.web.mcp.http; from server.cli.main import run; "
        "run(['--help']); loaded = {'pydantic'} & set(sys.modules); "
        # Typer itself loads pydantic for the options of a command.
        "run(['mcp', '--help']); loaded |= {'mcp', 'mcp_types', 'jsonschema'} & set(sys.modules); "
        "print(loaded, file=sys.stderr)"
    )
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert finished.stderr == "set()\n"
