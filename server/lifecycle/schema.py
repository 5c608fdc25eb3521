"""The schema of the database, brought up to date before anything else is done with it."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta

from server.domain.errors import DatabaseUnavailableError
from server.postgres import DRIVER_ERRORS, Session, connect, remarks
from server.store.migrations import latest_revision
from server.store.migrations.session import connected, current_revision, domain_errors

LONGEST_PAUSE = timedelta(seconds=5)


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
    Wait for the database for as long as it is away, then run what migrations it lacks, or raise ``SchemaBehindError``.

    ``waiting`` is told why it waits, and None when it does so no more.
    """
    failures = 0
    while True:
        try:
            await _migrate(url, report, may_migrate=may_migrate)
        except DatabaseUnavailableError as error:
            failures += 1
            longest = min(LONGEST_PAUSE.total_seconds(), 0.1 * 2 ** min(failures, 10))
            waiting(error.__cause__ or error)
            report(f"waiting for the database: {error.message}")
            await asyncio.sleep(random.uniform(0, longest))  # noqa: S311 - jitter, no secret
        else:
            waiting(None)
            await _warn(url, report)
            return


async def _warn(url: str, report: Callable[[str], None]) -> None:
    """Report what works and will surprise all the same. ``depgraph doctor`` looks at more."""
    with suppress(*DRIVER_ERRORS):
        connection = await connect(url, Session(name="depgraph start"))
        try:
            for remark in await remarks(connection):
                if remark.is_bad or remark.check == "encoding":
                    report(f"warning: {remark.found}; {remark.advice}")
        finally:
            connection.terminate()


async def _is_current(url: str) -> bool:
    """Whether the schema is the one that this program needs."""
    with domain_errors():
        async with connected(url) as connection:
            return await current_revision(connection) == latest_revision()


async def _migrate(url: str, report: Callable[[str], None], *, may_migrate: bool) -> None:
    if await _is_current(url):
        return
    # Alembic weighs 30 MiB and takes a third of a second to import, for which most starts have no use.
    from server.store import migrate  # noqa: PLC0415

    if may_migrate:
        for step in await migrate.upgrade(url):
            report(f"migrated the database to {step.revision}: {step.title}")
        return
    status = await migrate.status(url)
    if status.pending:
        raise SchemaBehindError(
            f"the database is at migration {status.current or 'none'} and this program needs {status.head}: "
            "run 'depgraph migrate up', or serve without --no-migrate"
        )
