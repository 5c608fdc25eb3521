"""Renew the answers of tools in docs/mcp.md: ask each of its questions on the sample topology."""

import asyncio
import json
import re
import tempfile

from tests.support.agents import Agent, agent_by_stdio, cycle_found
from tests.support.command import ROOT
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
)


async def renewed(page: str, agent: Agent) -> str:
    """Return the page with the answers that the agent gets now; what varies is always the same."""
    parts, end = [], 0
    for block in _BLOCK.finditer(page):
        tool, arguments = block["tool"], block["arguments"]
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
            PAGE.write_text(await renewed(PAGE.read_text(), agent))


if __name__ == "__main__":
    asyncio.run(_renew())
