"""Renew the answers of tools in docs/mcp.md: ask each of its questions on the sample topology."""

import asyncio
import json
import re
import tempfile
from pathlib import Path

import asyncpg

from server.store.embedded.sockets import running_url
from tests.support.agents import Agent, agent_by_stdio, cycle_found
from tests.support.command import ROOT
from tests.support.past_shop import deploy
from tests.support.plain_sql import connected
from tests.support.serving import serving

PAGE = ROOT / "docs" / "mcp.md"
# A block begins with the name of a tool and its arguments, an empty line follows, then the answer.
_BLOCK = re.compile(r"```\n(?P<tool>\w+) (?P<arguments>\{.*?\})\n\n.*?\n```", re.DOTALL)
_VARYING = (
    (
        re.compile(r"^(?:fresh|OLD): .*$", re.MULTILINE),
        "fresh: at most 0.3 s behind the database",
    ),
    (re.compile(r"\b[0-9a-f]{8}\b"), "9af59f98"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\dZ"), "2026-11-30T20:54Z"),
    # The deployment, and the mark before it.
    (re.compile(r"(?<!as of )(?<!as of: )\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-11-30T20:34:12Z"),
    (re.compile(r"(?<=as of )\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-11-30T20:14:07Z"),
    (re.compile(r"(?<=as of: )\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "2026-11-30T20:14:07Z"),
)
# From the first of its questions on, a deployment has been.
_DEPLOYED = "what_changed"


async def renewed(page: str, agent: Agent, connection: asyncpg.Connection) -> str:
    """Return the page with the answers that the agent gets now; what varies is always the same."""
    parts, end, is_deployed = [], 0, False
    for block in _BLOCK.finditer(page):
        tool, arguments = block["tool"], block["arguments"]
        if tool == _DEPLOYED and not is_deployed:
            await deploy(connection)
            is_deployed = True
        result = await agent.call(tool, **json.loads(arguments))
        (content,) = result.content
        answer = getattr(content, "text", "")
        for pattern, usual in _VARYING:
            answer = pattern.sub(usual, answer)
        said = f"error: {answer}" if result.is_error else answer
        parts += [page[end : block.start()], f"```\n{tool} {arguments}\n\n{said}\n```"]
        end = block.end()
    return "".join([*parts, page[end:]])


async def _renew() -> None:
    with tempfile.TemporaryDirectory() as folder:
        sample = str(ROOT / "examples/online_shop.json")
        async with (
            serving("--data-dir", f"{folder}/data", "--seed-file", sample) as served,
            agent_by_stdio(served.address) as agent,
        ):
            await cycle_found(agent)
            async with connected(running_url(Path(folder) / "data") or "") as connection:
                PAGE.write_text(await renewed(PAGE.read_text(), agent, connection))


if __name__ == "__main__":
    asyncio.run(_renew())
