"""An agent's end of the Model Context Protocol: the official client."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp_types import CallToolResult, TextContent

from tests.support.command import ROOT, clean_environment

PATIENCE_SECONDS = 60.0
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'circular_dependency_alerts'::regclass"
)
"""Counts calls that wait for the table of alerts, as ``cycles`` does while it is locked."""


class Agent:
    """A client that calls tools, and is told what each answers."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, **arguments: Any) -> CallToolResult:
        """Call a tool, whatever comes of it."""
        return await self.client.call_tool(tool, arguments)

    async def text(self, tool: str, **arguments: Any) -> str:
        """Return the text of an answer; the call must go well."""
        return text_of(await self.call(tool, **arguments))

    async def rows(self, tool: str, table: str, **arguments: Any) -> list[list[Any]]:
        """Return the rows of a table of an answer."""
        content = (await self.call(tool, **arguments)).structured_content
        rows: list[list[Any]] = content["tables"][table]["rows"]
        return rows

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """Return why a tool has no answer."""
        result = await self.call(tool, **arguments)
        assert result.is_error
        assert result.structured_content is None
        return _only_text(result)


async def cycle_found(agent: Agent) -> None:
    """Wait until detection has written the alert of the sample's one cycle."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while "alerts (1 of 1)" not in await agent.text("cycles"):
            await asyncio.sleep(0.05)


def text_of(result: CallToolResult) -> str:
    """Return the text of an answer that went well."""
    assert not result.is_error, result.content
    return _only_text(result)


def _only_text(result: CallToolResult) -> str:
    (content,) = result.content
    assert isinstance(content, TextContent)
    return content.text


@asynccontextmanager
async def agent_by_http(address: str, *, token: str | None = None) -> AsyncIterator[Agent]:
    """Connect to ``/mcp`` of an HTTP port."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    async with (
        create_mcp_http_client(headers=headers) as http,
        Client(
            streamable_http_client(f"http://{address}/mcp", http_client=http),
            read_timeout_seconds=PATIENCE_SECONDS,
        ) as client,
    ):
        yield Agent(client)


@asynccontextmanager
async def agent_by_stdio(
    address: str, *options: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[Agent]:
    """Start ``depgraph mcp``, and end it."""
    command = StdioServerParameters(
        command=sys.executable,
        args=["-m", "server.cli", "mcp", "--address", address, *options],
        env=clean_environment() | dict(environment or {}),
        cwd=ROOT,
    )
    async with Client(command, read_timeout_seconds=PATIENCE_SECONDS) as client:
        yield Agent(client)
