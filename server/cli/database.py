"""The database of a command: the one that ``--database-url`` names, or the embedded one."""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from server.cli.failures import CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import asyncpg


@contextmanager
def database_failures() -> Iterator[None]:
    """Turn failures of the embedded database into a ``CommandError``."""
    from server.store.embedded import EmbeddedPostgresError

    try:
        yield
    except EmbeddedPostgresError as error:
        raise CommandError(str(error)) from error


@asynccontextmanager
async def database(
    url: str | None, data_dir: Path, *, may_start: bool
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """
    Connect to ``url``; without one, to the embedded database in ``data_dir``.

    If ``may_start``, one that does not run is started for the length of the context; otherwise that
    is a ``CommandError``.
    """
    from server.store.migrations.session import connected

    async with reachable(url, data_dir, may_start=may_start) as address, connected(address) as connection:
        yield connection


@asynccontextmanager
async def reachable(url: str | None, data_dir: Path, *, may_start: bool) -> AsyncIterator[str]:
    """Yield the URL of the database that ``database`` connects to, with the same exceptions."""
    from server.store.embedded import EmbeddedPostgres, running_url

    if (known := url or running_url(data_dir)) is not None:
        yield known
        return
    _refuse(data_dir, may_start=may_start)
    async with EmbeddedPostgres(data_dir) as embedded:
        yield embedded.url


def _refuse(data_dir: Path, *, may_start: bool) -> None:
    """Refuse to create a database only to look at it."""
    is_there = data_dir.exists()
    if not is_there or not may_start:
        raise CommandError(
            f"there is no database {'running ' if is_there else ''}in {data_dir}: "
            "name one with --database-url or --data-dir, or start a server with 'depgraph serve'"
        )
