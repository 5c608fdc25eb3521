"""
A real PostgreSQL for tests, and new databases in it.

The first that is to be had: ``TEST_DATABASE_URL`` (its user must be allowed to create databases), a
container where a Docker engine answers (``TEST_POSTGRES_IMAGE``, by default the newest supported),
the embedded one.
"""

import asyncio
import gc
import os
import warnings
from collections.abc import AsyncIterator, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import docker  # type: ignore[import-untyped]  # it ships no types

from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from tests.support.folders import open_folder

Value = TypeVar("Value")
FIRST_WITH_STRATEGY = 15


@dataclass(frozen=True, slots=True)
class DatabaseServer:
    """A running PostgreSQL; ``url`` leads to a database of it from which others are created."""

    url: str

    def url_of(self, database: str) -> str:
        """Address another database of the same server."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    @asynccontextmanager
    async def new_database(self, template: str = "template1") -> AsyncIterator[str]:
        """Copy the template to a new database and give its URL; at the end drop it by force."""
        name = await self._copy_of(template)
        try:
            yield self.url_of(name)
        finally:
            await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    @contextmanager
    def shared_database(self, template: str) -> Iterator[str]:
        """Do the same for a fixture that outlives the event loops of its tests."""
        name = run_apart(self._copy_of(template))
        try:
            yield self.url_of(name)
        finally:
            run_apart(self._execute(f'DROP DATABASE "{name}" WITH (FORCE)'))

    @contextmanager
    def migrated_template(self) -> Iterator[str]:
        """Create a template database with the whole schema, and give its name."""
        name = f"depgraph_template_{uuid4().hex}"
        run_apart(self._execute(f'CREATE DATABASE "{name}"'))
        try:
            run_apart(migrate.upgrade(self.url_of(name)))
            yield name
        finally:
            run_apart(self._execute(f'DROP DATABASE "{name}" WITH (FORCE)'))

    async def _copy_of(self, template: str) -> str:
        name = f"test_{uuid4().hex}"
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(
                f'CREATE DATABASE "{name}" TEMPLATE "{template}" {_strategy(connection)}'
            )
        finally:
            await connection.close()
        return name

    async def _execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.url)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()


@contextmanager
def running_server() -> Iterator[DatabaseServer]:
    """Use the server that the environment offers, or run one for as long as the context lasts."""
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield DatabaseServer(url)
    elif _docker_answers():
        with _container() as url:
            yield DatabaseServer(url)
    else:
        with open_folder() as folder:
            embedded = EmbeddedPostgres(folder, durable=False)
            run_apart(embedded.start())
            try:
                yield DatabaseServer(embedded.url)
            finally:
                run_apart(embedded.stop())


def run_apart(work: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine on a loop and a thread of its own, apart from the loops of tests."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def _strategy(connection: "asyncpg.Connection[asyncpg.Record]") -> str:
    # Half the time of the default, where the server knows the word.
    return "STRATEGY FILE_COPY" if connection.get_server_version().major >= FIRST_WITH_STRATEGY else ""


def _docker_answers() -> bool:
    # Where no engine answers, the client leaves its socket to the garbage collector, which warns.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        answer = _ping_docker()
        gc.collect()
    return answer


def _ping_docker() -> bool:
    with suppress(docker.errors.DockerException, OSError):
        engine = docker.from_env(timeout=2)
        try:
            return bool(engine.ping())
        finally:
            engine.close()
    return False


@contextmanager
def _container() -> Iterator[str]:
    # Imported here, since it looks for an engine and warns where there is none.
    from testcontainers.community.postgres import PostgresContainer  # noqa: PLC0415

    image = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:18-alpine")
    with PostgresContainer(image, driver=None) as container:
        yield container.get_connection_url()
