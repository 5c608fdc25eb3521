"""What ``depgraph doctor`` finds out about the way to the database: it connects as each part of a server does."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    import asyncpg

    from server.feed.checkup import Finding

LIMIT = timedelta(seconds=10)


def ignored_parameters(url: str) -> Iterable[Finding]:
    """List what the URL asks for and makes no difference."""
    from server.feed.checkup import Finding
    from server.postgres import parse_database_url

    if names := ", ".join(parse_database_url(url).ignored):
        found = f"without effect here: {names}"
        return [Finding("database URL", "note", found, "leave them out: the server has deadlines of its own")]
    return []


async def try_connections(url: str) -> list[Finding]:
    """Open a connection as the feed does, one as the pool and one as detection; a finding for each that fails."""
    from server.feed.checkup import Finding

    failed = [finding async for finding in _failures(url)]
    return failed or [Finding("connections", "good", "the feed, the pool and detection can connect")]


async def _failures(url: str) -> AsyncIterator[Finding]:
    from server.domain.errors import DatabaseUnavailableError
    from server.feed.checkup import Finding
    from server.postgres import DRIVER_ERRORS, explain

    for name, attempt in {"feed": _as_the_feed, "pool": _as_the_pool, "detection": _as_detection}.items():
        try:
            await attempt(url)
        except DatabaseUnavailableError as error:
            yield Finding(f"connection of the {name}", "bad", error.message)
        except DRIVER_ERRORS as error:
            cause = explain(error)
            yield Finding(f"connection of the {name}", "bad", cause.found, cause.advice)


async def _as_the_feed(url: str) -> None:
    from server.feed.connection import FeedConnection

    async with FeedConnection.open(url, LIMIT, wake=lambda: None):
        pass


async def _as_the_pool(url: str) -> None:
    from server.store.database import Database

    async with await Database.open(url, acquire_timeout=LIMIT) as database:
        await database.ping()


async def _as_detection(url: str) -> None:
    from server.postgres import connect
    from server.store.single_runner import runner_session

    connection = await connect(url, runner_session("detection", LIMIT))
    connection.terminate()


async def unusual(connection: asyncpg.Connection[asyncpg.Record]) -> list[Finding]:
    """Say what is unusual about the database and what it imposes on sessions."""
    from server.feed.checkup import Finding
    from server.postgres import remarks

    return [
        Finding(remark.check, "bad" if remark.is_bad else "note", remark.found, remark.advice)
        for remark in await remarks(connection)
    ]
