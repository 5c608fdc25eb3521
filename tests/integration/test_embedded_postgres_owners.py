"""Second services, killed services and what they left on a data folder."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from server.store.embedded import DataFolderInUseError, EmbeddedPostgres
from server.store.embedded.account import database_account, give
from server.store.embedded.cluster import programs
from server.store.embedded.data_folder import FolderLock
from server.store.embedded.processes import GuardedProcess, database_processes
from tests.support.owners import (
    GONE_WITHIN_SECONDS,
    ORDINARY_UID,
    kept_rows,
    kill_without_warning,
    ordinary_python,
    owner,
    wait_until_gone,
)

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process of an ordinary user that has nothing to do with databases."""
    user: dict[str, Any] = {"user": ORDINARY_UID} if os.geteuid() == 0 else {}
    with subprocess.Popen(["/bin/sleep", "600"], **user) as process:
        yield process
        process.kill()


async def test_a_second_service_learns_who_holds_the_folder_and_the_first_goes_on(data_folder: Path) -> None:
    with owner(data_folder) as first:
        with pytest.raises(DataFolderInUseError) as refusal:
            await EmbeddedPostgres(data_folder).start()
        assert refusal.value.pid == first.process.pid
        assert str(data_folder) in str(refusal.value)
        assert str(first.process.pid) in str(refusal.value)
        assert await kept_rows(first.url) == ["committed"]


def test_only_the_owner_can_open_the_lock_even_one_of_an_earlier_version(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    lock.touch(mode=0o644)
    FolderLock(tmp_path).release()
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600
    lock.unlink()
    FolderLock(tmp_path).release()
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_a_lock_that_is_a_link_leaves_its_target_alone(tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("precious")
    (tmp_path / "lock").symlink_to(target)
    with pytest.raises(OSError, match="symbolic links"):
        FolderLock(tmp_path)
    assert target.read_text() == "precious"


@linux_only
async def test_the_database_of_a_killed_service_ends_and_loses_nothing(data_folder: Path) -> None:
    with owner(data_folder) as killed:
        kill_without_warning(killed)
        wait_until_gone(killed.server)
    assert not database_processes(data_folder / "postgres")
    async with EmbeddedPostgres(data_folder) as database:
        assert await kept_rows(database.url) == ["committed"]


@linux_only
async def test_the_next_start_need_not_wait_for_the_killed_one(data_folder: Path) -> None:
    with owner(data_folder) as killed:
        kill_without_warning(killed)
        async with EmbeddedPostgres(data_folder) as database:
            assert database.url == killed.url
            assert await kept_rows(database.url) == ["committed"]


@linux_only
def test_a_killed_service_of_an_ordinary_user_loses_nothing(reachable_folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("the tests run as an ordinary user: all the others show it")
    if (python := ordinary_python()) is None:
        pytest.skip("no interpreter of this version that an ordinary user may run")
    os.chown(reachable_folder, ORDINARY_UID, ORDINARY_UID)
    for starts in (1, 2):
        with owner(reachable_folder / "database", python, uid=ORDINARY_UID) as service:
            assert (service.uid, service.rows) == (ORDINARY_UID, starts)
            kill_without_warning(service)
    wait_until_gone(service.server)


@linux_only
async def test_a_server_that_outlived_its_service_is_shut_down_first(own_postgres: EmbeddedPostgres) -> None:
    await own_postgres.stop()
    cluster = own_postgres.data_dir / "postgres"
    reported: list[str] = []
    command = [
        server_program(own_postgres),
        "-D",
        str(cluster),
        "--listen_addresses=",
        f"--unix_socket_directories={own_postgres.data_dir}/run",
    ]
    orphan = GuardedProcess(command, database_account(cluster), own_postgres.data_dir / "orphan.log")
    while f"{orphan.pid}\n" not in pid_file(cluster):
        assert orphan.exit_code is None
    async with EmbeddedPostgres(own_postgres.data_dir, durable=False, report=reported.append) as database:
        assert orphan.wait(GONE_WITHIN_SECONDS)
        assert orphan.exit_code == 0
        assert database.url == own_postgres.url
    assert any("left running by a killed service" in sentence for sentence in reported)


@linux_only
async def test_a_stale_pid_file_with_the_id_of_another_program_is_ignored(
    own_postgres: EmbeddedPostgres, sleeper: subprocess.Popen[bytes]
) -> None:
    await own_postgres.crash()
    cluster = own_postgres.data_dir / "postgres"
    stale = cluster / "postmaster.pid"
    stale.write_text(f"{sleeper.pid}\n{cluster}\n0\n5432\n\n\n\n")
    give(stale, database_account(cluster))
    await own_postgres.start()
    assert sleeper.poll() is None


def server_program(database: EmbeddedPostgres) -> str:
    return str(
        programs(database_account(database.data_dir / "postgres"), lambda _sentence: None) / "postgres"
    )


def pid_file(cluster: Path) -> str:
    path = cluster / "postmaster.pid"
    return path.read_text() if path.exists() else ""
