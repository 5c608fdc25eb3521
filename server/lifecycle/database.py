"""The database of the process: runs it if embedded, migrates its schema, loads the sample."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog

from server.config import Limits, Settings
from server.domain.errors import DatabaseUnavailableError
from server.domain.services import ServiceFilter
from server.lifecycle.runtime import background
from server.lifecycle.stopping import ClosingTime
from server.postgres import DRIVER_ERRORS, Session, connect, reconnect_pause, remarks
from server.postgres.causes import DISK_FULL
from server.store.database import Database
from server.store.embedded import EmbeddedPostgres, EmbeddedPostgresError, running_url
from server.store.migrations import latest_revision
from server.store.migrations.session import connected, current_revision, domain_errors

log = structlog.get_logger(__name__)

EMBEDDED_LOOK = timedelta(seconds=1)
LONGEST_RESTART_PAUSE = timedelta(seconds=10)
# The time that this process needs to end after the database; the interpreter takes most of it.
_ENDING = timedelta(milliseconds=700)


@asynccontextmanager
async def running_database(
    settings: Settings,
    report: Callable[[str], None],
    closing: ClosingTime,
    *,
    max_connections: int | None = None,
) -> AsyncIterator[str]:
    """
    Give the URL of the database; run the embedded PostgreSQL unless the settings have a URL.

    The embedded database is restarted when it ends by itself, and shut down within the time for
    closing. ``max_connections`` is its setting; None = PostgreSQL's default.
    """
    if settings.database_url is not None:
        yield settings.database_url
        return
    own = {} if max_connections is None else {"max_connections": str(max_connections)}
    embedded = EmbeddedPostgres(settings.data_dir, settings=own, report=report)
    await embedded.start()
    try:
        async with background() as tasks:
            tasks(_keep_running(embedded))
            yield embedded.url
    finally:
        await embedded.stop((closing.left - _ENDING).total_seconds())


def is_embedded(url: str, data_dir: Path) -> bool:
    """Whether the URL leads to the database that runs in a data folder now."""
    try:
        return url == running_url(data_dir)
    except (OSError, ValueError, EmbeddedPostgresError):
        return False


async def _keep_running(embedded: EmbeddedPostgres) -> None:
    """Restart the embedded database whenever it was killed or crashed."""
    pause = EMBEDDED_LOOK
    while True:
        await asyncio.sleep(pause.total_seconds())
        if embedded.pid is not None:
            await embedded.keep_room()
            continue
        log.error("the embedded database has ended by itself; starting it again")
        try:
            await embedded.start()
        except EmbeddedPostgresError as error:
            log.error("the embedded database does not start", error=str(error))  # noqa: TRY400 - the message says it all
            # The cause, such as a full disk, may last, and each attempt is logged.
            pause = min(2 * pause, LONGEST_RESTART_PAUSE)
        else:
            pause = EMBEDDED_LOOK


class SchemaBehindError(Exception):
    """The database lacks migrations, and the settings forbid to run them."""


async def bring_up_to_date(
    url: str,
    report: Callable[[str], None],
    *,
    may_migrate: bool,
    waiting: Callable[[BaseException | None], None] = lambda _: None,
) -> None:
    """
    Wait for the database, then run the migrations that it lacks; raises ``SchemaBehindError``.

    ``waiting`` is called with the reason of each wait, and with None at the end. ``report`` has a
    reason once, until it changes.
    """
    failures = 0
    reported = ""
    while True:
        try:
            await _migrate(url, report, may_migrate=may_migrate)
        except DatabaseUnavailableError as error:
            failures += 1
            waiting(error.__cause__ or error)
            if error.message != reported:
                report(f"warning: waiting for the database: {error.message}")
                reported = error.message
            await asyncio.sleep(reconnect_pause(failures))
        else:
            waiting(None)
            await _warn(url, report)
            return


async def _warn(url: str, report: Callable[[str], None]) -> None:
    """Report settings that work but may cause trouble; ``depgraph doctor`` checks more."""
    with suppress(*DRIVER_ERRORS):
        connection = await connect(url, Session(name="depgraph start"))
        try:
            for remark in await remarks(connection):
                if remark.severity == "bad" or remark.check == "encoding":
                    report(f"warning: {remark.found}; {remark.advice}")
        finally:
            connection.terminate()


async def _migrate(url: str, report: Callable[[str], None], *, may_migrate: bool) -> None:
    with domain_errors():
        async with connected(url) as connection:
            if await current_revision(connection) == latest_revision():
                return
    # Most starts need no Alembic, which takes 30 MiB and a third of a second to import.
    from server.store import migrate  # noqa: PLC0415

    if may_migrate:
        steps = await migrate.upgrade(url)
        if steps:
            count = "one migration" if len(steps) == 1 else f"{len(steps)} migrations"
            report(f"migrated the database to {steps[-1].revision} ({count})")
        return
    status = await migrate.status(url)
    if status.pending:
        raise SchemaBehindError(
            f"the database is at migration {status.current or 'none'} and this program needs {status.head}: "
            "run 'depgraph migrate up', or serve without --no-migrate"
        )


async def seed(database: Database, path: Path, limits: Limits, report: Callable[[str], None]) -> None:
    """
    Load the sample of a file into a database without services; do nothing if it has any.

    If the disk is full, report that and go on without the sample; raise any other failure. Report
    when only a part was written: the next start does not load the rest.
    """
    # Most starts load no sample, and the modules for it are large.
    from server.formats.native import batches, read_native  # noqa: PLC0415
    from server.rpc.dependency.reports import ingest_batch  # noqa: PLC0415
    from server.store.dependencies import DependencyRepository  # noqa: PLC0415
    from server.store.services import ServiceRepository  # noqa: PLC0415

    if (await ServiceRepository(database).page(ServiceFilter(), 1, None)).rows:
        return
    dependencies = DependencyRepository(database)
    reports = read_native(path.read_bytes())  # noqa: ASYNC240 - no call is served yet
    requests = [batch for found in reports for batch in batches(found)]
    for written, request in enumerate(requests):
        try:
            await dependencies.ingest(ingest_batch(request, limits, now=datetime.now(UTC)))
        except DatabaseUnavailableError as error:
            is_full = error.message == str(DISK_FULL)
            if written:
                report(
                    f"warning: only {written} of {len(requests)} batches of {path} were loaded, "
                    f"and the next start does not load the rest: {error.message}"
                )
            elif is_full:
                report(f"warning: {path} was not loaded into the empty database: {error.message}")
            if is_full:
                return
            raise
    report(f"loaded {path} into the empty database")
