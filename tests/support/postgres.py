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
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import docker  # type: ignore[import-untyped]  # it ships no types

from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from tests.support.folders import copy_with_owners, open_folder

Value = TypeVar("Value")
_PATIENCE_SECONDS = 60.0


class DatabaseServer:
    """
    A running PostgreSQL; ``url`` leads to a database of it from which others are created.

    Databases are made and dropped over one connection, in a thread and on an event loop of its own,
    apart from those of tests: connecting each time would cost as much as copying.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._connection: asyncpg.Connection[asyncpg.Record] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._one_at_a_time = asyncio.Lock()

    def url_of(self, database: str) -> str:
        """Address another database of the same server."""
        return urlunsplit(urlsplit(self.url)._replace(path=f"/{database}"))

    @asynccontextmanager
    async def new_database(self, template: str = "template1") -> AsyncIterator[str]:
        """Copy the template to a new database and give its URL; at the end drop it by force."""
        name = _new_name()
        await asyncio.wrap_future(self._start(self._copy(template, name)))
        try:
            yield self.url_of(name)
        finally:
            await asyncio.wrap_future(self._start(self._drop(name)))

    @contextmanager
    def shared_database(self, template: str = "template1") -> Iterator[str]:
        """Do the same for a fixture that outlives the event loops of its tests."""
        name = _new_name()
        self._start(self._copy(template, name)).result()
        try:
            yield self.url_of(name)
        finally:
            self._start(self._drop(name)).result()

    @contextmanager
    def migrated_template(self) -> Iterator[str]:
        """Create a template database with the whole schema, and give its name."""
        with self.shared_database() as url:
            run_apart(migrate.upgrade(url))
            yield urlsplit(url).path.removeprefix("/")

    def close(self) -> None:
        """Disconnect; the databases stay."""
        self._start(self._disconnect()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _start(self, work: Coroutine[Any, Any, None]) -> Future[None]:
        return asyncio.run_coroutine_threadsafe(work, self._loop)

    async def _copy(self, template: str, name: str) -> None:
        # Half the time of the default strategy.
        await self._execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')

    async def _drop(self, name: str) -> None:
        await self._execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    async def _execute(self, statement: str) -> None:
        async with self._one_at_a_time:
            if self._connection is None or self._connection.is_closed():
                self._connection = await asyncpg.connect(self.url)
            async with asyncio.timeout(_PATIENCE_SECONDS):
                while True:
                    # PostgreSQL waits five seconds for sessions that are ending, such as an
                    # autovacuum of the template; on a crowded machine they take longer.
                    with suppress(asyncpg.ObjectInUseError):
                        await self._connection.execute(statement)
                        return

    async def _disconnect(self) -> None:
        if self._connection is not None:
            await self._connection.close()


@contextmanager
def running_server(data_folder: Callable[[], Path]) -> Iterator[DatabaseServer]:
    """Use the server that the environment offers, or run one on a copy of this data folder."""
    with _server_url(data_folder) as url, closing(DatabaseServer(url)) as server:
        yield server


@contextmanager
def _server_url(data_folder: Callable[[], Path]) -> Iterator[str]:
    if url := os.environ.get("TEST_DATABASE_URL"):
        yield url
    elif _docker_answers():
        with _container() as url:
            yield url
    else:
        with open_folder() as folder:
            copy_with_owners(data_folder(), folder / "database")
            embedded = EmbeddedPostgres(folder / "database", durable=False)
            run_apart(embedded.start())
            try:
                yield embedded.url
            finally:
                run_apart(embedded.stop())


def run_apart(work: Coroutine[Any, Any, Value]) -> Value:
    """Run a coroutine on a loop and a thread of its own, apart from the loops of tests."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        return thread.submit(asyncio.run, work).result()


def _new_name() -> str:
    return f"test_{uuid4().hex}"


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
