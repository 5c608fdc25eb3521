"""The sample that an empty database starts with."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from server.config import Limits
from server.domain.errors import DatabaseUnavailableError
from server.domain.services import ServiceFilter
from server.formats.batches import batches
from server.formats.native import read_native
from server.postgres.causes import DISK_FULL
from server.rpc.dependency.messages import ingest_batch
from server.store.database import Database
from server.store.dependencies import DependencyRepository
from server.store.services import ServiceRepository


async def seed(database: Database, path: Path, limits: Limits, report: Callable[[str], None]) -> None:
    """
    Load the sample into a database without services; do nothing if it has any.

    If the disk is full, report that and go on without the sample; raise any other failure. Report
    when only a part was written: the next start does not load the rest.
    """
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
