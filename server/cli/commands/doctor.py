"""``depgraph doctor``: what is wrong with database and server, what it means, what to do."""

from __future__ import annotations

import asyncio
import json
import time
from contextlib import AsyncExitStack
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.failures import FAILED, CommandError, database_failures
from server.cli.render.text import printable
from server.cli.settings import DEFAULTS, Address, AsJson, DatabaseUrl, DataDir

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import asyncpg

    from depgraph.v1.graph_service_pb2 import GetStatusResponse
    from server.feed.checkup import Finding

Repair = Annotated[bool, typer.Option("--repair", help="Put missing or disabled feed triggers back.")]
TIMEOUT_SECONDS = 3.0
REPAIR_PATIENCE_SECONDS = 5.0
_MARKS = {"good": "ok", "note": "note", "bad": "BAD"}


def doctor(
    *,
    repair: Repair = False,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = DEFAULTS.data_dir,
    address: Address = DEFAULTS.listen,
    as_json: AsJson = False,
) -> None:
    """
    Look over the database and, if one answers, the server. Exit code 1 when something needs care.

    Changes nothing without --repair, which puts feed triggers back and lets every replica read anew what it may have missed.
    """
    with database_failures():
        repaired, findings = asyncio.run(_examine(database_url, data_dir, repair=repair))
    findings = [*findings, *_server(address, patience=REPAIR_PATIENCE_SECONDS if repaired else 0)]
    if as_json:
        answer = {"repaired": repaired, "findings": [asdict(finding) for finding in findings]}
        typer.echo(json.dumps(answer, indent=2))
    else:
        _tell(repaired, findings)
    if any(finding.severity == "bad" for finding in findings):
        raise typer.Exit(FAILED)


async def _examine(url: str | None, data_dir: Path, *, repair: bool) -> tuple[list[str], list[Finding]]:
    from server.cli.commands.connecting_check import ignored_parameters, try_connections, unusual
    from server.cli.database import reachable
    from server.domain.errors import DatabaseUnavailableError
    from server.feed import checkup
    from server.feed.checkup import Finding
    from server.store.migrations.session import connected

    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(reachable(url, data_dir, may_start=True))
        try:
            connection = await stack.enter_async_context(connected(address))
        except DatabaseUnavailableError as error:
            return [], [Finding("database", "bad", error.message, "see that it runs and lets you in")]
        way = [*ignored_parameters(address), *await try_connections(address), *await unusual(connection)]
        migrations = await _migrations(connection)
        if migrations.severity == "bad":
            # Without its schema nothing else can be looked at.
            return [], [*way, migrations]
        repaired = await _repair(connection) if repair else []
        return repaired, [*way, migrations, *[finding async for finding in checkup.examine(connection)]]


async def _migrations(connection: asyncpg.Connection[asyncpg.Record]) -> Finding:
    from server.feed.checkup import Finding
    from server.store import migrate

    stands = await migrate.status_on(connection)
    if not stands.pending:
        return Finding("migrations", "good", f"at {stands.current}, the latest")
    steps = ", ".join(step.revision for step in stands.pending)
    found = f"at {stands.current or 'none'}; {steps} did not run yet, so this program can't work with it"
    return Finding("migrations", "bad", found, "run 'depgraph migrate up', or start a server, which does")


async def _repair(connection: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    import asyncpg

    from server.feed import checkup

    try:
        return list(await checkup.repair(connection))
    except asyncpg.LockNotAvailableError:
        raise CommandError("the tables are busy: nothing was repaired, try again") from None
    except asyncpg.PostgresError as error:
        raise CommandError(f"the database refused the repair: {error}") from None


def _server(address: str, *, patience: float) -> Sequence[Finding]:
    from server.feed.checkup import Finding

    try:
        status = _status(address, patience)
    except CommandError as error:
        return [
            Finding(
                "server", "note", str(error), "the database alone was looked at; --address names a server"
            )
        ]
    lag = status.freshness.lag.ToTimedelta().total_seconds()
    held = f"{address} holds {status.service_count:,} services and {status.dependency_count:,} dependencies"
    return [
        Finding("server", "good", f"{held}, confirmed {lag:.1f} s ago"),
        *(Finding("server", "bad", problem, "see above, or the server's log") for problem in status.problems),
    ]


def _status(address: str, patience: float) -> GetStatusResponse:
    """Ask the server; one with problems gets so many seconds to notice that they are repaired."""
    from depgraph.v1.graph_service_pb2 import GetStatusRequest
    from server.cli.connection import connected

    deadline = time.monotonic() + patience
    with connected(address, timeout=TIMEOUT_SECONDS) as client:
        while True:
            status = client.graph.GetStatus(GetStatusRequest())
            if not status.problems or time.monotonic() >= deadline:
                return status
            time.sleep(0.1)


def _tell(repaired: Sequence[str], findings: Sequence[Finding]) -> None:
    for deed in repaired:
        typer.echo(f"repaired: {printable(deed)}")
    for finding in findings:
        typer.echo(f"{_MARKS[finding.severity]:5}{finding.check}: {printable(finding.found)}")
        if finding.advice:
            typer.echo(f"     → {printable(finding.advice)}")
