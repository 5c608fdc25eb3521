"""The database of a command: the one that ``--database-url`` names, or the embedded one."""

import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from server.cli.failures import CommandError

ADVICE = "name one with --database-url or --data-dir, or start a server with 'depgraph serve'"


@contextmanager
def database_failures() -> Iterator[None]:
    """Turn failures of the embedded database into a ``CommandError``."""
    from server.store.embedded import EmbeddedPostgresError

    try:
        yield
    except EmbeddedPostgresError as error:
        raise CommandError(str(error)) from error


@asynccontextmanager
async def reachable(url: str | None, data_dir: Path, *, may_start: bool) -> AsyncIterator[str]:
    """
    Yield ``url``; without one, the URL of the embedded database in ``data_dir``.

    If ``may_start``, one that does not run is started for the length of the context; otherwise that
    is a ``CommandError``.
    """
    from server.store.embedded import EmbeddedPostgres, running_url

    if (known := url or running_url(data_dir)) is not None:
        yield known
        return
    refuse_new(url, data_dir)
    if not may_start:
        raise CommandError(f"there is no database running in {data_dir}: {ADVICE}")
    async with EmbeddedPostgres(data_dir) as embedded:
        yield embedded.url


def refuse_new(url: str | None, data_dir: Path) -> None:
    """Raise ``CommandError`` rather than create a database only to look at it."""
    from server.store.embedded.data_folder import known_home

    if url is None and known_home(data_dir.expanduser().resolve()) is None:
        raise CommandError(f"there is no database in {data_dir}: {ADVICE}")


def postgres_program(name: str) -> str:
    """Find a program of the embedded PostgreSQL, or another one; ``CommandError`` without any."""
    from server.store.embedded import EmbeddedPostgresError
    from server.store.embedded.cluster import programs

    try:
        found = shutil.which(programs(None, lambda _: None) / name)
    except EmbeddedPostgresError:
        found = None
    found = found or shutil.which(name)
    if found is None:
        raise CommandError(f"there is no {name}: install PostgreSQL's client, or depgraph[server]")
    return found
