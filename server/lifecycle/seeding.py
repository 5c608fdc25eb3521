"""The sample that an empty database starts with."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from server.config import Limits
from server.domain.errors import DatabaseUnavailableError
from server.domain.services import ServiceFilter
from server.formats.batches import batches
from server.formats.native import read_native
from server.rpc.decode import ingest_batch
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository


async def seed(database: Database, path: Path, limits: Limits, report: Callable[[str], None]) -> None:
    """
    Load the sample into a database without services; one that has any is left alone.

    One that takes no writes now, its disk being full say, stays empty, and is served.
    """
    try:
        await _seed(database, path, limits, report)
    except DatabaseUnavailableError as error:
        report(f"warning: {path} was not loaded into the empty database: {error.message}")


async def _seed(database: Database, path: Path, limits: Limits, report: Callable[[str], None]) -> None:
    if (await ServiceRepository(database).page(ServiceFilter(), 1, None)).rows:
        return
    dependencies = DependencyRepository(database)
    reports = read_native(path.read_bytes())  # noqa: ASYNC240 - nobody is served yet
    for request in (batch for found in reports for batch in batches(found)):
        await dependencies.ingest(ingest_batch(request, limits, now=datetime.now(UTC)))
    report(f"loaded {path} into the empty database")
