"""``depgraph backup`` and ``depgraph restore``: dumps of the database, by PostgreSQL's programs."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from server.cli.database import database_failures, postgres_program, reachable
from server.cli.failures import CommandError, InputError, confirm
from server.cli.options import DEFAULTS, DatabaseUrl, DataDir, Yes

MoreOptions = Annotated[
    list[str] | None, typer.Argument(metavar="OPTION", help="More options of PostgreSQL's program, after --.")
]

_CHECK = """
DO $$
DECLARE
    found text COLLATE "C" := (SELECT version_num FROM public.alembic_version);
BEGIN
    IF found IS NULL OR found > '{head}' THEN
        RAISE EXCEPTION 'the schema of the dump has revision %, which this program does not know (its latest '
            'is {head}): restore it with the depgraph that made it', COALESCE(found, 'none');
    END IF;
END
$$
"""


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The new file; - = standard output.")],
    options: MoreOptions = None,
    *,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = DEFAULTS.data_dir,
) -> None:
    """
    Dump the database into a file.

    That is the one that --database-url names, or the embedded one, whether a server runs or not.
    Servers go on meanwhile. The file has pg_dump's custom format.
    """
    is_output = str(file) == "-"
    if not is_output and file.exists():
        raise InputError(f"{file} exists: name a new file")
    with database_failures():
        asyncio.run(_back_up(database_url, data_dir, None if is_output else file, options or []))


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The dump; - = standard input, with --yes.")],
    options: MoreOptions = None,
    *,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = DEFAULTS.data_dir,
    yes: Yes = False,
) -> None:
    """
    Replace the database by a dump.

    All of it is replaced, or nothing. It is the one that --database-url names, or the embedded one,
    which is created if there is none. Servers may run: they read everything again, and refuse
    earlier revisions.
    """
    if str(file) != "-" and not file.is_file():
        raise InputError(f"{file} is no file")
    with database_failures():
        revision, head = asyncio.run(_restore(database_url, data_dir, file, options or [], yes=yes))
    typer.echo(f"restored schema {revision}")
    if revision != head:
        typer.echo(f"it is older than {head}, the latest: run 'depgraph migrate up', or start a server")


async def _back_up(url: str | None, data_dir: Path, file: Path | None, options: list[str]) -> None:
    command = [postgres_program("pg_dump"), "--format=custom", *options]
    async with reachable(url, data_dir, may_start=True) as address:
        if file is None:
            _run(command, address, sys.stdout.fileno())
        else:
            _write(file, command, address)


def _write(file: Path, command: list[str], address: str) -> None:
    """Run a program with its output in a new file; an interrupted one does not look whole."""
    # A name that no other user can take before, and a mode that no other user can read.
    output, part = tempfile.mkstemp(prefix=f"{file.name}.", suffix=".part", dir=file.parent)
    try:
        _run(command, address, output)
        os.fsync(output)
    except BaseException:
        Path(part).unlink()
        raise
    finally:
        os.close(output)
    Path(part).replace(file)


async def _restore(
    url: str | None, data_dir: Path, file: Path, options: list[str], *, yes: bool
) -> tuple[str, str]:
    """Return the revision of the restored schema, and the latest."""
    from server.store import migrate
    from server.store.embedded import EmbeddedPostgres, running_url

    known = url or running_url(data_dir)
    if known is None:
        async with EmbeddedPostgres(data_dir) as embedded:
            return await _restore(embedded.url, data_dir, file, options, yes=yes)
    schema = await migrate.status(known)
    if schema.current is not None and not yes:
        _ask()
    removal = await _removal(schema.current)
    _replace(known, removal, file, options, schema.head)
    restored = (await migrate.status(known)).current
    return str(restored), schema.head


def _replace(url: str, removal: str, file: Path, options: list[str], head: str) -> None:
    """Run ``removal``, then the dump, in one transaction; refuses a schema newer than ``head``."""
    to_script, psql = postgres_program("pg_restore"), postgres_program("psql")
    with tempfile.TemporaryDirectory(prefix="depgraph-") as folder:
        first, then = Path(folder, "removal.sql"), Path(folder, "content.sql")
        first.write_text(removal, encoding="utf-8")
        dump = [] if str(file) == "-" else [str(file)]
        _run([to_script, "--no-owner", f"--file={then}", *options, *dump])
        silent = ["--no-psqlrc", "--quiet", f"--output={os.devnull}"]
        whole = ["--single-transaction", "--set=ON_ERROR_STOP=1", f"--file={first}", f"--file={then}"]
        _run([psql, *silent, *whole, f"--command={_CHECK.format(head=head)}"], url)


async def _removal(revision: str | None) -> str:
    """Write SQL, to run inside a transaction, that removes the schema and all of its rows."""
    from server.store import migrate

    if revision is None:
        return ""
    script = await migrate.sql("downgrade", f"{revision}:base")
    return "".join(line for line in script.splitlines(keepends=True) if line not in {"BEGIN;\n", "COMMIT;\n"})


def _run(command: list[str], database: str | None = None, output: int | None = None) -> None:
    """Run a program of PostgreSQL, on a database if one is given; its errors end the command."""
    from server.postgres.url import conninfo

    where, password = conninfo(database) if database else ("", None)
    target = [f"--dbname={where}"] if database else []
    secret = {} if password is None else {"PGPASSWORD": password}
    done = subprocess.run(  # noqa: S603 - PostgreSQL's program
        [*command[:1], *target, *command[1:]],
        env=os.environ | secret,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if "error: " in line.lower()] or said
        cause = errors[0] if errors else f"{command[0]} exited with {done.returncode}"
        raise CommandError(cause if output is not None else f"nothing was changed: {cause}")


def _ask() -> None:
    if not sys.stdin.isatty():
        raise CommandError(
            "the database is in use: confirm with --yes that its rows are replaced, "
            "as there is no terminal to ask at"
        )
    confirm("Replace everything that the database holds?")
