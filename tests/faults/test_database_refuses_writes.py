"""A database that answers but takes no writes: read-only, or its disk is full."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1.types_pb2 import Service
from server.app import Application
from server.config import Settings
from server.store import migrate
from server.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from server.store.embedded.processes import database_processes
from tests.support.backends import terminate_backends
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.command import ROOT
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.failures import failure_of
from tests.support.plain_sql import connected
from tests.support.scene import Record
from tests.support.serving import postmaster
from tests.support.small_disk import small_disk, use_up
from tests.support.unready import create, served, traverse, until_problem, until_refused, until_written
from tests.support.whole_server import BATCH, FIRST, HUB, WholeServer, teams_in_tables

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

SAMPLE = ROOT / "examples" / "online_shop.json"
LARGE_BATCH = 4_000


async def set_read_only(connection: asyncpg.Connection, value: str) -> None:
    """Make new sessions read-only, or writable again; sessions that are open are terminated."""
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = {value}')
    await terminate_backends(connection)


async def assert_refused(server: WholeServer) -> None:
    failure = await failure_of(server.write_batch("second"))
    assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
    assert failure.retry_after is not None


async def test_a_database_that_became_read_only_refuses_writes_and_answers_reads(
    database_url: str, connection: asyncpg.Connection, record: Record
) -> None:
    async with WholeServer.opened(database_url, record) as server:
        await server.stubs.write_services("keeps a connection open")
        await set_read_only(connection, "on")
        for _ in range(3):
            await assert_refused(server)
        await server.reads_go_on()
        listed = await server.stubs.catalog.ListServices(catalog.ListServicesRequest(team=FIRST))
        assert {service.service_id for service in listed.services} == {HUB, *BATCH}
        assert await teams_in_tables(database_url) == {FIRST}
        await set_read_only(connection, "off")
        await server.recovers("read-only database")


@pytest.fixture
async def postgres_on_a_small_disk(reachable_folder: Path) -> AsyncIterator[tuple[EmbeddedPostgres, Path]]:
    with small_disk(reachable_folder) as disk:
        async with EmbeddedPostgres(disk / "database", durable=False) as server:
            await migrate.upgrade(server.url)
            yield server, disk


def large_batch() -> catalog.BatchUpsertServicesRequest:
    """More new rows than the free space in the files of the tables takes."""
    names = (f"large-{number}-{'x' * 200}" for number in range(LARGE_BATCH))
    return catalog.BatchUpsertServicesRequest(services=[Service(service_id=name) for name in names])


async def test_a_full_disk_refuses_writes_and_answers_reads(
    postgres_on_a_small_disk: tuple[EmbeddedPostgres, Path], record: Record
) -> None:
    postgres, disk = postgres_on_a_small_disk
    async with WholeServer.opened(postgres.url, record) as server:
        ballast = use_up(disk)
        failure = await failure_of(server.stubs.catalog.BatchUpsertServices(large_batch()))
        assert (failure.code, failure.reason) == (grpc.StatusCode.UNAVAILABLE, "DATABASE_UNAVAILABLE")
        assert "disk" in failure.message
        await server.reads_go_on()
        ballast.unlink()
        async with connected(postgres.url) as connection:
            assert (
                await connection.fetchval("SELECT count(*) FROM services WHERE service_id LIKE 'large%'") == 0
            )
        await server.stubs.catalog.BatchUpsertServices(large_batch())
        await server.recovers("full disk")


async def test_a_server_starts_on_a_database_whose_disk_is_full(
    postgres_on_a_small_disk: tuple[EmbeddedPostgres, Path],
) -> None:
    postgres, disk = postgres_on_a_small_disk
    # The first server that ever reads a database writes down which run of it this is.
    async with served(postgres.url):
        ballast = use_up(disk)
    reported: list[str] = []
    settings = Settings(listen="127.0.0.1:0", database_url=postgres.url, seed_file=SAMPLE)
    async with (
        Application(settings, reported.append) as application,
        open_channel(application.address) as channel,
    ):
        stubs = Stubs(channel)
        assert any("was not loaded" in sentence and "disk" in sentence for sentence in reported), reported
        assert "the disk of the database is full" in (await failure_of(create(stubs, "shop"))).message
        await until_problem(stubs, "the disk of the database is full")
        ballast.unlink()
        await create(stubs, "shop")
        await until_problem(stubs, "")


async def test_the_embedded_database_starts_on_a_full_disk_and_reads_are_answered(
    reachable_folder: Path,
) -> None:
    with small_disk(reachable_folder) as disk:
        folder = disk / "data"
        settings = Settings(listen="127.0.0.1:0", data_dir=folder, seed_file=SAMPLE)
        reported: list[str] = []
        async with Application(settings, reported.append):
            os.kill(postmaster(folder), signal.SIGKILL)
        while database_processes(folder / "postgres"):
            await asyncio.sleep(0.01)
        ballast = use_up(disk)
        async with (
            Application(settings, reported.append) as application,
            open_channel(application.address) as channel,
        ):
            stubs = Stubs(channel)
            assert f"warning: the disk of {folder} is full: 0.0 MiB are free" in reported[-1]
            await until_refused(stubs, "the disk of the database is full")
            assert len((await stubs.graph.Traverse(traverse("checkout"))).service_ids) > 1
            await until_problem(stubs, f"the disk of {folder} is full")
            ballast.unlink()
            await until_written(stubs, "shop")
            await until_problem(stubs, "")
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not (folder / "reserve").exists():
                    await asyncio.sleep(0.02)


async def test_a_full_disk_that_holds_nothing_for_a_start_is_named(reachable_folder: Path) -> None:
    with small_disk(reachable_folder) as disk:
        database = EmbeddedPostgres(disk / "data")
        full = f"the disk of {disk / 'data'} is full: 0.0 MiB are free, and the database needs up to 32.0 MiB"
        ballast = use_up(disk)
        with pytest.raises(EmbeddedPostgresError, match=full):
            await database.start()
        ballast.unlink()
        await database.start()
        await database.stop()
        (disk / "data" / "reserve").unlink()
        ballast = use_up(disk)
        with pytest.raises(EmbeddedPostgresError, match=full):
            await database.start()
        ballast.unlink()
        await database.start()
        await database.stop()
