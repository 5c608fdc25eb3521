"""``depgraph sql``: psql on the database of a server."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path
from typing import Annotated

import typer

from server.cli.database import database_failures, postgres_program, reachable
from server.cli.options import DEFAULTS, DatabaseUrl, DataDir


def sql(
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="ARGUMENT", help="Arguments of psql, after --: -- -c 'SELECT 1'."),
    ] = None,
    *,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = DEFAULTS.data_dir,
) -> None:
    """
    Open psql on the database.

    That is the one that --database-url names, or the embedded one, whether a server runs or not.
    docs/running.md describes its tables. The exit code is psql's.
    """
    with database_failures():
        raise typer.Exit(asyncio.run(_psql(database_url, data_dir, arguments or [])))


async def _psql(url: str | None, data_dir: Path, arguments: list[str]) -> int:
    from server.postgres.url import conninfo

    program = postgres_program("psql")
    async with reachable(url, data_dir, may_start=True) as address:
        where, password = conninfo(address)
        secret = {} if password is None else {"PGPASSWORD": password}
        # Ctrl-C is psql's: it cancels a query and does not end the session.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            command = [program, f"--dbname={where}", *arguments]
            return subprocess.run(command, env=os.environ | secret, check=False).returncode  # noqa: ASYNC221, S603 - nothing else runs meanwhile
        finally:
            signal.signal(signal.SIGINT, before)
