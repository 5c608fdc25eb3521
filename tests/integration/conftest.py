"""A database for tests that only write a few rows; each of them leaves it empty."""

from collections.abc import AsyncIterator, Iterator

import asyncpg
import pytest

from tests.support.postgres import DatabaseServer


@pytest.fixture(scope="session")
def shared_database_url(postgres: DatabaseServer, migrated_template: str) -> Iterator[str]:
    """The URL of a database with the whole schema, one for each worker."""
    with postgres.shared_database(migrated_template) as url:
        yield url


@pytest.fixture
async def shared_connection(shared_database_url: str) -> AsyncIterator[asyncpg.Connection]:
    """
    A connection of the test's own to the shared database, whose tables are empty.

    Rows are deleted, not rolled back: errors, which tests expect, would end the transaction.
    """
    opened = await asyncpg.connect(shared_database_url)
    try:
        yield opened
        await opened.execute("DELETE FROM public.services; DELETE FROM public.circular_dependency_alerts")
    finally:
        await opened.close()
