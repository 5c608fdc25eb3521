"""The night of docs/history.md: what happens, at times of its own, and what its commands print."""

import asyncio
import re
import shlex
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from unittest.mock import patch

from depgraph import Client
from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from tests.support.calls import FRESH
from tests.support.command import ROOT, depgraph_here
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.marking import mark

if TYPE_CHECKING:
    import asyncpg

    Connection = asyncpg.Connection[asyncpg.Record]

PAGE = ROOT / "docs" / "history.md"
# Last night, which every server still knows; the page gives it a date.
NIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=1)
BEGAN = NIGHT - timedelta(days=12)

_BLOCK = re.compile(r"```console\n(?P<steps>.*?)```", re.DOTALL)
_COMMAND = re.compile(r"^\$ depgraph (?P<command>.*)$", re.MULTILINE)
_VARYING = (
    (re.compile(r"^[0-9a-f]{8}(?=  )", re.MULTILINE), "9af59f98"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(?=  )"), "2026-11-15 00:00"),
    (re.compile(f"{NIGHT:%Y-%m-%d}"), "2026-11-27"),
    (re.compile(f"{BEGAN:%Y-%m-%d}"), "2026-11-15"),
)

Run = Callable[..., Awaitable[str]]
MORE_TIME = """
UPDATE service_dependencies AS d SET timeout_ms = 400
FROM services AS a, services AS b
WHERE (a.id, b.id) = (d.source_service_id, d.target_service_id)
    AND (a.service_id, b.service_id, d.discovery_source) = ('checkout', 'pricing', 'manual')
"""
DEPLOYMENT = """
INSERT INTO service_dependencies (
    source_service_id, target_service_id, communication_mode, criticality, protocol, timeout_ms,
    discovery_source
)
SELECT a.id, b.id, 'sync', 'hard', 'grpc', 2000, 'manual'
FROM services AS a, services AS b
WHERE (a.service_id, b.service_id) = ('pricing', 'payments')
"""

DATES = [
    f"UPDATE depgraph_history.{log} SET at = $1 WHERE at > $2"
    for log in ("service_changes", "dependency_changes", "alias_changes")
]
# Those that the server has made meanwhile.
DOUBLE_MARKS = """
DELETE FROM depgraph_history.marks AS m
WHERE m.at > $1 AND m.at < (SELECT max(l.at) FROM depgraph_history.marks AS l)
"""


async def renewed(page: str, address: str, connection: "Connection") -> str:
    """Return the page with what its commands print, as if that night were now."""

    async def run(*arguments: str, clock: datetime = NIGHT) -> str:
        with patch("server.cli.times.present", return_value=clock):
            finished = await asyncio.to_thread(depgraph_here, *arguments, "--address", address)
        assert finished.returncode in {0, 3}, finished.stderr
        return finished.stdout

    await _happen(run, connection)
    clock = NIGHT.replace(hour=3, minute=12, second=40)
    parts, end = [], 0
    for block in _BLOCK.finditer(page):
        parts.append(f"{page[end : block.start()]}```console\n")
        for found in _COMMAND.finditer(block["steps"]):
            await asyncio.to_thread(_catch_up, address)
            printed = await run(*shlex.split(found["command"]), clock=clock)
            parts.append(f"$ depgraph {found['command']}\n{_usual(printed)}")
            clock += timedelta(minutes=2)
        parts.append("```")
        end = block.end()
    return "".join([*parts, page[end:]])


def _catch_up(address: str) -> None:
    """Wait until the server holds what commands have written."""
    with Client(address) as client:
        client.graph.ListComponents(ListComponentsRequest(consistency=FRESH))


async def _happen(run: Run, connection: "Connection") -> None:
    """Let the night go by until 03:12."""
    began = await connection.fetchval("SELECT clock_timestamp()")
    await run("import", "json", str(ROOT / "examples/online_shop.json"))
    await _date(connection, began, BEGAN)
    await _write(connection, "bob", MORE_TIME)
    await _date(connection, began, NIGHT.replace(hour=2, minute=41, second=7))
    await _write(connection, "deploy-bot", DEPLOYMENT)
    await _date(connection, began, NIGHT.replace(hour=3, minute=5, second=32))
    async with asyncio.timeout(PATIENCE_SECONDS):
        while " 5 " not in await run("alerts", "list", "--service", "payments"):
            await asyncio.sleep(0.05)


async def _write(connection: "Connection", who: str, statement: str) -> None:
    async with connection.transaction():
        await connection.execute("SELECT set_config('depgraph.principal', $1, true)", who)
        assert await connection.execute(statement) in {"UPDATE 1", "INSERT 0 1"}


async def _date(connection: "Connection", began: datetime, moment: datetime) -> None:
    """Mark, and let what happened since ``began`` have happened at a time of the story."""
    await mark(connection)
    for statement in DATES:
        await connection.execute(statement, moment, began)
    await connection.execute(DOUBLE_MARKS, began)
    await connection.execute(
        "UPDATE depgraph_history.marks SET at = $1 WHERE at > $2", moment + timedelta(seconds=6), began
    )


def _usual(printed: str) -> str:
    for pattern, usual in _VARYING:
        printed = pattern.sub(usual, printed)
    return printed
