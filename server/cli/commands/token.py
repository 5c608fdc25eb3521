"""``depgraph token``: a revision for clients that write with SQL."""

import asyncio
from pathlib import Path

import typer

from server.cli.database import database_failures, reachable
from server.cli.failures import CommandError
from server.cli.options import DEFAULTS, DatabaseUrl, DataDir


def token(*, database_url: DatabaseUrl = None, data_dir: DataDir = DEFAULTS.data_dir) -> None:
    """
    Print the revision of the database now.

    It covers everything committed until now: a call with it as at_least_as_fresh sees what you have
    just written with SQL.
    """
    with database_failures():
        typer.echo(asyncio.run(_token(database_url, data_dir)))


async def _token(url: str | None, data_dir: Path) -> str:
    import asyncpg

    from server.feed.change_log import revision_now
    from server.store.migrations.session import connected

    async with reachable(url, data_dir, may_start=False) as address, connected(address) as connection:
        try:
            return (await revision_now(connection)).token
        except (asyncpg.InvalidSchemaNameError, asyncpg.UndefinedFunctionError):
            raise CommandError("this database has no schema of depgraph: run 'depgraph migrate up'") from None
        except asyncpg.PostgresError as error:
            raise CommandError(f"the database gives no revision: {error}") from None
