"""``depgraph migrate``: upgrades, downgrades or shows the schema of the database."""

from __future__ import annotations

import asyncio
import sys
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.database import database_failures, reachable, refuse_new
from server.cli.failures import CommandError, confirm
from server.cli.options import DEFAULTS, AsJson, DatabaseUrl, DataDir, Yes
from server.cli.render.text import print_json

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

    from server.store.migrate import Migration

app = typer.Typer(help="Upgrade, downgrade or show the schema.", no_args_is_help=True)

Sql = Annotated[bool, typer.Option("--sql", help="Print the SQL instead of running it; needs no database.")]


@app.command()
def up(
    revision: Annotated[str, typer.Argument(help="Revision to stop at.")] = "head",
    *,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = DEFAULTS.data_dir,
    sql: Sql = False,
    as_json: AsJson = False,
) -> None:
    """Run the migrations that are missing."""
    from server.store import migrate

    if sql:
        typer.echo(asyncio.run(migrate.sql("upgrade", revision)), nl=False)
        return
    ran = _with_database(_alone(database_url, data_dir), lambda url: migrate.upgrade(url, revision))
    _print(ran, "ran", "the schema is up to date: nothing to do", as_json=as_json)


@app.command()
def down(
    revision: Annotated[
        str, typer.Argument(help="Revision to go back to; -1 = one step, base = nothing left.")
    ],
    *,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = DEFAULTS.data_dir,
    sql: Sql = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """
    Undo migrations. Removes their tables with all rows.

    With --sql the revision is a range FROM:TO.
    """
    from server.store import migrate

    if sql:
        typer.echo(asyncio.run(migrate.sql("downgrade", revision)), nl=False)
        return
    refuse_new(database_url, data_dir)
    if not yes:
        _ask(revision)
    ran = _with_database(_alone(database_url, data_dir), lambda url: migrate.downgrade(url, revision))
    _print(ran, "undid", "nothing to undo", as_json=as_json)


@app.command()
def status(
    *, database_url: DatabaseUrl = None, data_dir: DataDir = DEFAULTS.data_dir, as_json: AsJson = False
) -> None:
    """Show the revision and the migrations to run."""
    from server.store import migrate

    # A server may run: its database can be read beside it, though not migrated.
    schema = _with_database(reachable(database_url, data_dir, may_start=True), migrate.status)
    if as_json:
        pending = [step._asdict() for step in schema.pending]
        answer = {"current": schema.current, "head": schema.head, "pending": pending}
        print_json(answer, only_ascii=True)
        return
    typer.echo(f"schema {schema.current or 'none'}, latest {schema.head}")
    for step in schema.pending:
        typer.echo(f"to run: {step.revision} {step.title}")


def _with_database(database: AbstractAsyncContextManager[str], work: Callable[[str], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with database as url:
            return await work(url)

    with database_failures():
        return asyncio.run(run())


@asynccontextmanager
async def _alone(url: str | None, data_dir: Path) -> AsyncIterator[str]:
    """Yield the URL of the database; an embedded one must not be in use."""
    if url is not None:
        yield url
        return
    from server.store.embedded import EmbeddedPostgres

    async with EmbeddedPostgres(data_dir) as embedded:
        yield embedded.url


def _ask(revision: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError(
            "undoing migrations removes rows: confirm with --yes, as there is no terminal to ask at"
        )
    confirm(f"Go back to {revision}? This removes tables with all their rows.")


def _print(ran: Sequence[Migration], done: str, nothing: str, *, as_json: bool) -> None:
    if as_json:
        print_json({"steps": [step._asdict() for step in ran]}, only_ascii=True)
        return
    for step in ran:
        typer.echo(f"{done}: {step.revision} {step.title}")
    if not ran:
        typer.echo(nothing)
