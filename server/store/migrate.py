"""
Upgrades and downgrades the schema, and reports its revision.

Concurrent runs wait for each other, by a lock on the database that belongs to a session. So connect
directly, not through a pooler that gives each transaction another session.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, NamedTuple

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from server.store.migrations.session import (
    MigrationError,
    UnknownRevisionError,
    alone_in_process,
    connected,
    current_revision,
    domain_errors,
    first_line,
    lock,
    translated,
)

__all__ = [
    "LOCK_PATIENCE",
    "Migration",
    "MigrationError",
    "MigrationStatus",
    "downgrade",
    "sql",
    "status",
    "status_on",
    "upgrade",
]

LOCK_PATIENCE = timedelta(minutes=1)
_TRIES = 5
Command = Callable[[Config, str], None]


class Migration(NamedTuple):
    """One step of the schema."""

    revision: str
    title: str


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where a database stands; ``current`` None = no schema yet, ``pending`` in order."""

    current: str | None
    head: str
    pending: tuple[Migration, ...]


async def status(url: str) -> MigrationStatus:
    """
    Read the revision of a database; changes nothing, takes no lock.

    ``MigrationError`` when a newer program migrated it, ``DatabaseUnavailableError`` when it can't
    be reached.
    """
    with _domain_errors():
        async with connected(url) as connection:
            return await status_on(connection)


async def status_on(connection: asyncpg.Connection) -> MigrationStatus:
    """Do the same over an open connection."""
    with _domain_errors():
        return await _read(connection)


async def upgrade(
    url: str, revision: str = "head", *, patience: timedelta = LOCK_PATIENCE
) -> tuple[Migration, ...]:
    """
    Run the steps up to ``revision`` and return them; none when the database is there already.

    Each step is one transaction, so what is returned before a failure stays. A step that meets a
    deadlock with writers runs again. Waits up to ``patience`` for another run. Raises like
    ``status``; ``MigrationError`` also when ``revision`` is unknown or the database refuses a step.
    """
    return await _run(command.upgrade, url, revision, patience)


async def downgrade(url: str, revision: str, *, patience: timedelta = LOCK_PATIENCE) -> tuple[Migration, ...]:
    """
    Undo the steps after ``revision``, dropping their tables, and return them in that order.

    "base" = all of them, "-1" = the last. Waits and raises like ``upgrade``.
    """
    return await _run(command.downgrade, url, revision, patience)


async def sql(direction: Literal["upgrade", "downgrade"], revision: str) -> str:
    """
    Write the same steps as a script for ``psql``; needs no database.

    ``revision`` is a target or a range ``from:to``; a downgrade needs the range, else
    ``MigrationError``.
    """
    script = io.StringIO()
    config = _config()
    config.output_buffer = script
    run = command.upgrade if direction == "upgrade" else command.downgrade
    with _domain_errors():
        async with alone_in_process():
            run(config, revision, sql=True)
    return script.getvalue()


@contextmanager
def _domain_errors() -> Iterator[None]:
    """Raise errors of Alembic, SQLAlchemy and the driver as domain errors."""
    try:
        with domain_errors():
            yield
    except CommandError as error:
        raise UnknownRevisionError(f"{first_line(error)}.") from error
    except DBAPIError as error:
        # SQLAlchemy wraps its own translation of the driver's error, which has the SQLSTATE.
        wrapped = error.orig or error
        cause = wrapped.__cause__ or wrapped
        raise translated(cause) from cause


async def _run(run: Command, url: str, revision: str, patience: timedelta) -> tuple[Migration, ...]:
    config = _config()
    for retries_left in reversed(range(_TRIES)):
        with _domain_errors():
            try:
                return await _run_once(run, config, url, revision, patience)
            except asyncpg.DeadlockDetectedError:
                # A step that locks several tables waits for writers who may wait for it. It was
                # undone. After others, "-1" would mean another step than before.
                is_relative = revision[0] in "+-" and bool(config.attributes.get("ran"))
                if is_relative or not retries_left:
                    raise
    raise AssertionError


async def _run_once(
    run: Command, config: Config, url: str, revision: str, patience: timedelta
) -> tuple[Migration, ...]:
    async with connected(url) as connection:
        await lock(connection, patience)
        before = await _read(connection)
        if before.current is None and run is command.downgrade:
            return ()
        async with alone_in_process():
            return await _alembic(run, config, connection, revision)


async def _alembic(
    run: Command, config: Config, connection: asyncpg.Connection, revision: str
) -> tuple[Migration, ...]:
    """Run an Alembic command on an open connection, and close that; returns all steps that ran."""

    def on(sync_connection: Connection) -> None:
        config.attributes["connection"] = sync_connection
        run(config, revision)

    async def opened() -> asyncpg.Connection:
        return connection

    # Handing over the open connection keeps the lock, and keeps the URL out of SQLAlchemy, whose
    # URLs differ.
    engine = create_async_engine("postgresql+asyncpg://", async_creator=opened, poolclass=NullPool)
    async with engine.connect() as adapted:
        await adapted.run_sync(on)
    return tuple(Migration(step.revision, step.doc.rstrip(".")) for step in config.attributes.get("ran", ()))


async def _read(connection: asyncpg.Connection) -> MigrationStatus:
    current = await current_revision(connection)
    steps = _steps()
    revisions = [step.revision for step in steps]
    if current is not None and current not in revisions:
        raise MigrationError(
            f"The database's schema has revision {current}, which this program doesn't know (its latest is "
            f"{revisions[-1]}): a newer depgraph migrated it, or another program."
            " Use that one, or another database."
        )
    done = 0 if current is None else revisions.index(current) + 1
    return MigrationStatus(current, revisions[-1], steps[done:])


def _steps() -> tuple[Migration, ...]:
    """All steps, oldest first."""
    newest_first = ScriptDirectory.from_config(_config()).walk_revisions()
    return tuple(Migration(step.revision, step.doc.rstrip(".")) for step in newest_first)[::-1]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "server.store:migrations")
    return config
