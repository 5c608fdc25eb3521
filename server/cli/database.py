"""The database that a command looks at: the one that is named, or the embedded one, which a server may be running."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from server.cli.failures import CommandError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    import asyncpg


@asynccontextmanager
async def database(
    url: str | None, data_dir: Path, *, may_start: bool
) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    """
    Connect to ``url``; without one, to the embedded database that runs in ``data_dir``.

    If none runs there it is started for as long as the context lasts, where that is allowed; ``CommandError`` otherwise.
    """
    from server.store.migrations.session import connected

    async with reachable(url, data_dir, may_start=may_start) as address, connected(address) as connection:
        yield connection


@asynccontextmanager
async def reachable(url: str | None, data_dir: Path, *, may_start: bool) -> AsyncIterator[str]:
    """Give the URL of that database, with the same exceptions."""
    from server.store.embedded import EmbeddedPostgres, running_url

    if (known := url or running_url(data_dir)) is not None:
        yield known
        return
    _refuse(data_dir, may_start=may_start)
    async with EmbeddedPostgres(data_dir) as embedded:
        yield embedded.url


def _refuse(data_dir: Path, *, may_start: bool) -> None:
    """Keep a look at a database that is not there from making one."""
    is_there = data_dir.exists()
    if not is_there or not may_start:
        raise CommandError(
            f"there is no database {'running ' if is_there else ''}in {data_dir}: name one with --database-url or "
            "--data-dir, or start a server with 'depgraph serve'"
        )
