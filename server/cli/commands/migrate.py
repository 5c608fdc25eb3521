"""``depgraph migrate``: the schema of the database up, down, and where it stands."""

from __future__ import annotations

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from server.cli.failures import CommandError, database_failures
from server.cli.settings import DEFAULTS, AsJson, DatabaseUrl, DataDir

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
    from pathlib import Path

    from server.store.migrate import Migration

app = typer.Typer(
    help="Bring the database's schema up to date, take it back, see where it stands.", no_args_is_help=True
)

Sql = Annotated[
    bool, typer.Option("--sql", help="Print the script instead of running it; needs no database.")
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]


@app.command()
def up(
    revision: Annotated[str, typer.Argument(help="Where to stop.")] = "head",
    *,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = DEFAULTS.data_dir,
    sql: Sql = False,
    as_json: AsJson = False,
) -> None:
    """Run the steps that are missing."""
    from server.store import migrate

    if sql:
        typer.echo(asyncio.run(migrate.sql("upgrade", revision)), nl=False)
        return
    ran = _with_database(database_url, data_dir, lambda url: migrate.upgrade(url, revision))
    _tell(ran, "ran", "the schema is up to date: nothing to do", as_json=as_json)


@app.command()
def down(
    revision: Annotated[
        str, typer.Argument(help="What to go back to: a revision, -1 = one step, base = nothing left.")
    ],
    *,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = DEFAULTS.data_dir,
    sql: Sql = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Take steps back; their tables go, with all rows. With --sql the revision is a range FROM:TO."""
    from server.store import migrate

    if sql:
        typer.echo(asyncio.run(migrate.sql("downgrade", revision)), nl=False)
        return
    _refuse_new(database_url, data_dir)
    if not yes:
        _ask(revision)
    ran = _with_database(database_url, data_dir, lambda url: migrate.downgrade(url, revision))
    _tell(ran, "took back", "nothing to take back", as_json=as_json)


@app.command()
def status(
    *, database_url: DatabaseUrl = None, data_dir: DataDir = DEFAULTS.data_dir, as_json: AsJson = False
) -> None:
    """Tell where the schema stands; changes nothing."""
    from server.store import migrate

    _refuse_new(database_url, data_dir)
    stands = _with_database(database_url, data_dir, migrate.status)
    if as_json:
        pending = [step._asdict() for step in stands.pending]
        typer.echo(json.dumps({"current": stands.current, "head": stands.head, "pending": pending}, indent=2))
        return
    typer.echo(f"schema {stands.current or 'none'}, latest {stands.head}")
    for step in stands.pending:
        typer.echo(f"to run: {step.revision} {step.title}")


def _with_database(url: str | None, data_dir: Path, work: Callable[[str], Awaitable[Any]]) -> Any:
    async def within() -> Any:
        async with _database(url, data_dir) as reachable:
            return await work(reachable)

    with database_failures():
        return asyncio.run(within())


@asynccontextmanager
async def _database(url: str | None, data_dir: Path) -> AsyncIterator[str]:
    if url is not None:
        yield url
        return
    from server.store.embedded import EmbeddedPostgres

    async with EmbeddedPostgres(data_dir) as embedded:
        yield embedded.url


def _refuse_new(url: str | None, data_dir: Path) -> None:
    """Keep a look at a database that is not there from making one."""
    if url is None and not data_dir.exists():
        raise CommandError(
            f"there is no database in {data_dir}: name one with --database-url or --data-dir, "
            f"or make one with 'depgraph migrate up'"
        )


def _ask(revision: str) -> None:
    if not sys.stdin.isatty():
        raise CommandError("taking the schema back removes rows: say --yes when nobody is there to be asked")
    if not typer.confirm(f"Take the schema back to {revision}? Tables go, with all their rows."):
        raise typer.Abort


def _tell(ran: Sequence[Migration], done: str, nothing: str, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps({"steps": [step._asdict() for step in ran]}, indent=2))
        return
    for step in ran:
        typer.echo(f"{done}: {step.revision} {step.title}")
    if not ran:
        typer.echo(nothing)
