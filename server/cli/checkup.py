"""The checks of ``depgraph doctor``, of the database and of the server."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import asyncpg

from depgraph.v1.graph_service_pb2 import GetStatusRequest, GetStatusResponse
from server.cli.asked import AskedServer
from server.cli.connection import connected
from server.cli.database import reachable
from server.cli.failures import CommandError, RefusedError
from server.domain.errors import DatabaseUnavailableError
from server.domain.services import name_problem
from server.feed import checkup as feed_checkup
from server.feed.connection import FeedConnection
from server.postgres import DRIVER_ERRORS, Finding, connect, explain, parse_database_url, remarks
from server.store import history_checkup, migrate
from server.store.database import Database
from server.store.migrations.session import connected as database_connected
from server.store.single_runner import runner_session

CONNECT_TIMEOUT = timedelta(seconds=10)


async def examine_database(
    url: str | None, data_dir: Path, *, repair: bool
) -> tuple[list[str], list[Finding]]:
    """
    Examine the database; returns what ``repair`` put back, and the findings.

    Without the schema of this version, nothing behind the schema is looked at.
    """
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(reachable(url, data_dir, may_start=True))
        try:
            connection = await stack.enter_async_context(database_connected(address))
        except DatabaseUnavailableError as error:
            return [], [Finding("database", "bad", error.message, "see that it runs and lets you in")]
        findings = [
            *_ignored_parameters(address),
            *await _connections(address),
            *await remarks(connection),
            migrations := await _migrations(connection),
        ]
        if migrations.severity == "bad":
            return [], findings
        repaired = await _repair(connection) if repair else []
        findings += [finding async for finding in feed_checkup.examine(connection)]
        findings += await history_checkup.examine(connection)
        return repaired, [*findings, *await _names(connection)]


def examine_server(server: AskedServer, *, patience: float) -> list[Finding]:
    """Ask the server for its problems, for ``patience`` seconds or until it has none."""
    try:
        status = _status(server, patience)
    except CommandError as error:
        advice = "only the database was checked"
        if not isinstance(error, RefusedError):
            advice += "; --address names a server"
        return [Finding("server", "note", str(error), advice)]
    lag = status.freshness.lag.ToTimedelta().total_seconds()
    rows = f"{status.service_count:,} services and {status.dependency_count:,} dependencies"
    held = f"{server.address} holds {rows}"
    return [
        Finding("server", "good", f"{held}, confirmed {lag:.1f} s ago"),
        *(Finding("server", "bad", problem, "see above, or the server's log") for problem in status.problems),
    ]


def _ignored_parameters(url: str) -> Iterable[Finding]:
    if names := ", ".join(parse_database_url(url).ignored):
        found = f"without effect here: {names}"
        yield Finding("database URL", "note", found, "leave them out: the server has deadlines of its own")


async def _connections(url: str) -> list[Finding]:
    """Connect as the feed, the pool and detection do; a finding for each that fails."""
    failed = [finding async for finding in _failed_connections(url)]
    return failed or [Finding("connections", "good", "the feed, the pool and detection can connect")]


async def _failed_connections(url: str) -> AsyncIterator[Finding]:
    for name, attempt in {"feed": _as_feed, "pool": _as_pool, "detection": _as_detection}.items():
        try:
            await attempt(url)
        except DatabaseUnavailableError as error:
            yield Finding(f"connection of the {name}", "bad", error.message)
        except DRIVER_ERRORS as error:
            cause = explain(error)
            yield Finding(f"connection of the {name}", "bad", cause.found, cause.advice)


async def _as_feed(url: str) -> None:
    async with FeedConnection.open(url, CONNECT_TIMEOUT, wake=lambda: None):
        pass


async def _as_pool(url: str) -> None:
    async with Database.open(url, acquire_timeout=CONNECT_TIMEOUT) as database:
        await database.ping()


async def _as_detection(url: str) -> None:
    connection = await connect(url, runner_session("detection", CONNECT_TIMEOUT))
    connection.terminate()


async def _migrations(connection: asyncpg.Connection[asyncpg.Record]) -> Finding:
    schema = await migrate.status_on(connection)
    if not schema.pending:
        return Finding("migrations", "good", f"at {schema.current}, the latest")
    steps = ", ".join(step.revision for step in schema.pending)
    found = f"at {schema.current or 'none'}; {steps} did not run yet, so this program can't work with it"
    return Finding("migrations", "bad", found, "run 'depgraph migrate up', or start a server, which does")


async def _names(connection: asyncpg.Connection[asyncpg.Record]) -> list[Finding]:
    """List services whose names were given before the rule of ``name_problem``. O(services)."""
    async with connection.transaction():
        cursor = connection.cursor("SELECT service_id FROM public.services", prefetch=10_000)
        found = [
            f"{record['service_id']!a} {problem.split(';')[0]}"
            async for record in cursor
            if (problem := name_problem(record["service_id"]))
        ]
    if not found:
        return []
    more = (
        f" and {len(found) - feed_checkup.MOST_SHOWN:,} more" if len(found) > feed_checkup.MOST_SHOWN else ""
    )
    return [
        Finding(
            "names",
            "note",
            f"new services may not have such a name: {', '.join(found[: feed_checkup.MOST_SHOWN])}{more}",
            "they go on working; UPDATE services SET service_id = ... renames one and keeps its dependencies",
        )
    ]


async def _repair(connection: asyncpg.Connection[asyncpg.Record]) -> list[str]:
    try:
        return [*await feed_checkup.repair(connection), *await history_checkup.repair(connection)]
    except asyncpg.LockNotAvailableError:
        raise CommandError("the tables are busy: nothing was repaired, try again") from None
    except asyncpg.PostgresError as error:
        raise CommandError(f"the database refused the repair: {error}") from None


def _status(server: AskedServer, patience: float) -> GetStatusResponse:
    deadline = time.monotonic() + patience
    with connected(server) as client:
        while True:
            status = client.graph.GetStatus(GetStatusRequest())
            if not status.problems or time.monotonic() >= deadline:
                return status
            time.sleep(0.1)
