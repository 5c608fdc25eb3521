"""A database that answers but takes no writes: read-only, or its disk is full."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import grpc
import pytest

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1.types_pb2 import Service
from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from tests.support.backends import terminate_backends
from tests.support.failures import failure_of
from tests.support.plain_sql import connected
from tests.support.scene import Record
from tests.support.whole_server import BATCH, FIRST, HUB, WholeServer, teams_in_tables

SMALL_DISK_MIB = 256
LARGE_BATCH = 4_000


async def set_read_only(connection: asyncpg.Connection, value: str) -> None:
    """Let transactions of sessions that begin from now on be read-only, or not; no session goes on as it was."""
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


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """Mount a file system of a few megabytes; skips where that is not allowed."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SMALL_DISK_MIB}m,mode=0711", "tmpfs", str(disk)],  # noqa: S607 - wherever the system has it
        capture_output=True,
        text=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"a small disk needs the right to mount one: {mounted.stderr.strip()}")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)  # noqa: S607 - wherever the system has it


@pytest.fixture
async def postgres_on_a_small_disk(reachable_folder: Path) -> AsyncIterator[tuple[EmbeddedPostgres, Path]]:
    with small_disk(reachable_folder) as disk:
        async with EmbeddedPostgres(disk / "database", durable=False) as server:
            await migrate.upgrade(server.url)
            yield server, disk


def use_up(disk: Path) -> Path:
    """Fill a disk to the last block with one file."""
    ballast = disk / "ballast"
    free = os.statvfs(disk)
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free.f_bfree * free.f_bsize)
    return ballast


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
