"""The embedded database of the process, started again when it ends by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import structlog

from server.lifecycle.background import background
from server.lifecycle.stopping import ClosingTime
from server.store.embedded import EmbeddedPostgres, EmbeddedPostgresError

log = structlog.get_logger(__name__)

EMBEDDED_LOOK = timedelta(seconds=1)
# What our own process needs to end once the database has: the interpreter takes most of it.
_ENDING = timedelta(milliseconds=700)


@asynccontextmanager
async def embedded_database(
    data_dir: Path,
    report: Callable[[str], None],
    closing: ClosingTime,
    *,
    max_connections: int | None = None,
) -> AsyncIterator[str]:
    """
    Run PostgreSQL in a folder and give its URL, the same after every restart; ``max_connections`` None = as it is set there.

    At the end it is shut down within what is left of the time for closing.
    """
    settings = {} if max_connections is None else {"max_connections": str(max_connections)}
    embedded = EmbeddedPostgres(data_dir, settings=settings, report=report)
    await embedded.start()
    try:
        async with background() as tasks:
            tasks(_keep_running(embedded))
            yield embedded.url
    finally:
        await embedded.stop((closing.left - _ENDING).total_seconds())


async def _keep_running(embedded: EmbeddedPostgres) -> None:
    """Start the embedded database again whenever it has ended by itself: killed, out of memory, crashed."""
    while True:
        await asyncio.sleep(EMBEDDED_LOOK.total_seconds())
        if embedded.pid is not None:
            continue
        log.error("the embedded database has ended by itself; starting it again")
        try:
            await embedded.start()
        except EmbeddedPostgresError as error:
            log.error("the embedded database does not start", error=str(error))  # noqa: TRY400 - the message says it all
