"""The embedded database of the process, started again when it ends by itself."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import structlog

from server.lifecycle.background import background
from server.lifecycle.stopping import ClosingTime
from server.store.embedded import EmbeddedPostgres, EmbeddedPostgresError, running_url

log = structlog.get_logger(__name__)

EMBEDDED_LOOK = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(seconds=10)
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


def is_embedded(url: str, data_dir: Path) -> bool:
    """Whether the URL is that of the database that runs in a folder now, started by this process or its supervisor."""
    try:
        return url == running_url(data_dir)
    except (OSError, ValueError, EmbeddedPostgresError):
        return False


async def _keep_running(embedded: EmbeddedPostgres) -> None:
    """Start the embedded database again whenever it has ended by itself: killed, out of memory, crashed."""
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
            # What keeps it from starting, a full disk say, may last, and each attempt is logged.
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            pause = EMBEDDED_LOOK
