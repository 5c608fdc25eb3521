"""The embedded database by itself: starting, stopping, crashing, and saying what is wrong."""

import asyncio
import os
import shutil
import signal
import stat
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from server.store.embedded import DataFolderInUseError, EmbeddedPostgres, EmbeddedPostgresError, data_folder
from server.store.embedded.processes import database_processes
from tests.support.owners import kept_rows


async def keep(url: str, note: str) -> None:
    connection = await asyncpg.connect(url)
    await connection.execute("CREATE TABLE IF NOT EXISTS kept (note text)")
    await connection.execute("INSERT INTO kept VALUES ($1)", note)
    await connection.close()


async def ask(url: str, query: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def socket_folder_of(url: str) -> Path:
    return Path(parse_qs(urlsplit(url).query)["host"][0])


async def test_rows_and_url_are_the_same_after_stop_and_start(own_postgres: EmbeddedPostgres) -> None:
    url = own_postgres.url
    await keep(url, "before")
    await own_postgres.stop()
    assert own_postgres.pid is None
    with pytest.raises((ConnectionError, FileNotFoundError)):
        await asyncpg.connect(url)
    await own_postgres.start()
    assert own_postgres.url == url
    assert await kept_rows(url) == ["before"]


async def test_a_crash_loses_nothing_committed(own_postgres: EmbeddedPostgres) -> None:
    await keep(own_postgres.url, "committed")
    await own_postgres.crash()
    await own_postgres.start()
    assert await kept_rows(own_postgres.url) == ["committed"]


async def test_another_launcher_finds_the_rows_of_the_first(reachable_folder: Path) -> None:
    for expected in (["once"], ["once", "once"]):
        async with EmbeddedPostgres(reachable_folder / "new" / "folder", durable=False) as database:
            await keep(database.url, "once")
            assert await kept_rows(database.url) == expected


async def test_starting_twice_and_stopping_twice_change_nothing(own_postgres: EmbeddedPostgres) -> None:
    pid = own_postgres.pid
    await own_postgres.start()
    assert own_postgres.pid == pid
    await own_postgres.stop()
    await own_postgres.stop()
    assert own_postgres.pid is None


async def test_sqlalchemy_reads_the_url_too(own_postgres: EmbeddedPostgres) -> None:
    engine = create_async_engine(own_postgres.url.replace("postgresql:", "postgresql+asyncpg:"))
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT current_database()"))).scalar() == "depgraph"
    await engine.dispose()


async def test_only_the_owner_reaches_it_and_only_by_its_socket(own_postgres: EmbeddedPostgres) -> None:
    assert await ask(own_postgres.url, "SHOW listen_addresses") == ""
    assert stat.S_IMODE(socket_folder_of(own_postgres.url).stat().st_mode) == 0o700


async def test_text_is_ordered_alike_on_every_system(own_postgres: EmbeddedPostgres) -> None:
    query = (
        "SELECT datlocprovider::text || ' ' || datlocale FROM pg_database WHERE datname = current_database()"
    )
    assert await ask(own_postgres.url, query) == "b C.UTF-8"


async def test_the_database_is_durable_by_default(data_folder: Path) -> None:
    async with EmbeddedPostgres(data_folder, settings={"work_mem": "5MB"}) as database:
        assert await ask(database.url, "SHOW fsync") == "on"
        assert await ask(database.url, "SHOW synchronous_commit") == "on"
        assert await ask(database.url, "SHOW work_mem") == "5MB"


@pytest.mark.parametrize("name", ["a" * 100, "with, comma and space, mit Ümlaut, per%20cent"])
async def test_a_data_folder_may_have_any_path(reachable_folder: Path, name: str) -> None:
    database = EmbeddedPostgres(reachable_folder / name, durable=False)
    async with database:
        assert await ask(database.url, "SELECT 1") == 1
    sockets = socket_folder_of(database.url)
    assert not sockets.exists()
    assert not sockets.is_relative_to(reachable_folder)


async def test_only_the_first_start_reports_progress(reachable_folder: Path) -> None:
    reported: list[str] = []
    database = EmbeddedPostgres(reachable_folder / "database", durable=False, report=reported.append)
    async with database:
        cluster = reachable_folder / "database" / "postgres"
        assert reported == [f"creating the database cluster in {cluster} (first start)"]
    async with database:
        assert len(reported) == 1


async def test_an_interrupted_first_start_is_repeated(reachable_folder: Path) -> None:
    half = reachable_folder / "database" / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    async with EmbeddedPostgres(reachable_folder / "database", durable=False) as database:
        assert await ask(database.url, "SELECT 1") == 1
    assert not half.exists()


async def test_a_cancelled_start_leaves_no_process_and_frees_the_folder(reachable_folder: Path) -> None:
    folder = reachable_folder / "database"
    begun = asyncio.Event()
    starting = asyncio.create_task(
        EmbeddedPostgres(folder, durable=False, report=lambda _sentence: begun.set()).start()
    )
    await begun.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert not database_processes(folder / "postgres")
    async with EmbeddedPostgres(folder, durable=False) as database:
        assert await ask(database.url, "SELECT 1") == 1


async def test_a_server_that_does_not_start_is_explained_and_releases_the_folder(
    data_folder: Path,
) -> None:
    wrong = EmbeddedPostgres(data_folder, durable=False, settings={"shared_buffers": "lots"})
    with pytest.raises(
        EmbeddedPostgresError, match='invalid value for parameter "shared_buffers": "lots"'
    ) as failure:
        await wrong.start()
    assert str(data_folder) in str(failure.value)
    async with EmbeddedPostgres(data_folder, durable=False) as database:
        assert await ask(database.url, "SELECT 1") == 1


async def test_a_bounded_stop_does_not_wait_for_a_session_that_hangs(data_folder: Path) -> None:
    reported: list[str] = []
    database = EmbeddedPostgres(data_folder, durable=False, report=reported.append)
    await database.start()
    session = await asyncpg.connect(database.url)
    hung = session.get_server_pid()
    os.kill(hung, signal.SIGSTOP)
    await database.stop(within=0.0)
    assert reported[-1] == "the embedded database is still ending; the next start waits for it"
    # PostgreSQL itself would kill it five seconds later.
    os.kill(hung, signal.SIGCONT)
    session.terminate()
    async with EmbeddedPostgres(data_folder, durable=False) as again:
        assert await ask(again.url, "SELECT 1") == 1


async def test_a_cluster_of_another_major_version_is_refused(own_postgres: EmbeddedPostgres) -> None:
    await own_postgres.stop()
    version = own_postgres.data_dir / "postgres" / "PG_VERSION"
    ours = version.read_text()
    version.write_text("17\n")
    with pytest.raises(EmbeddedPostgresError, match="were made by PostgreSQL 17, this is 18"):
        await own_postgres.start()
    version.write_text(ours)
    await own_postgres.start()
    assert await ask(own_postgres.url, "SELECT 1") == 1


async def test_a_data_folder_that_is_a_file_is_refused(reachable_folder: Path) -> None:
    taken = reachable_folder / "file"
    taken.touch()
    with pytest.raises(EmbeddedPostgresError, match=f"the data folder {taken} is not a folder"):
        await EmbeddedPostgres(taken).start()
    with pytest.raises(EmbeddedPostgresError, match=r"/file/x can't be made: its path leads through a file"):
        await EmbeddedPostgres(taken / "x").start()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has /proc")
async def test_a_data_folder_that_can_not_be_made_is_refused_in_plain_words() -> None:
    with pytest.raises(EmbeddedPostgresError) as refused:
        await EmbeddedPostgres(Path("/proc/x")).start()
    assert str(refused.value) == (
        "the data folder /proc/x can't be made: its file system takes no new folders; choose another folder"
    )


async def test_a_second_launcher_in_the_same_process_is_refused(own_postgres: EmbeddedPostgres) -> None:
    pid = own_postgres.pid
    with pytest.raises(DataFolderInUseError, match=str(own_postgres.data_dir)):
        await EmbeddedPostgres(own_postgres.data_dir).start()
    assert own_postgres.pid == pid
    assert await ask(own_postgres.url, "SELECT 1") == 1


def test_there_is_no_url_before_the_first_start(tmp_path: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="before its first start"):
        _ = EmbeddedPostgres(tmp_path).url


def test_room_for_a_start_is_kept_while_there_is_plenty_and_used_when_there_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def free(mebibytes: int) -> None:
        usage = SimpleNamespace(free=mebibytes * 2**20)
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)

    reported: list[str] = []
    reserve = tmp_path / data_folder.RESERVE
    free(100)
    data_folder.keep_room(tmp_path)
    assert not reserve.exists()
    free(200)
    reserve.touch()  # by a version before that was killed while it made it
    assert not data_folder.is_kept(tmp_path)
    data_folder.give_room(tmp_path, reported.append)
    data_folder.keep_room(tmp_path)
    assert data_folder.is_kept(tmp_path)
    assert (reserve.stat().st_size, stat.S_IMODE(reserve.stat().st_mode)) == (data_folder.NEEDED_BYTES, 0o600)
    data_folder.give_room(tmp_path, reported.append)
    assert reserve.exists()
    free(31)
    (tmp_path / "reserve.new").touch()
    for _ in range(2):
        data_folder.give_room(tmp_path, reported.append)
        assert not reserve.exists()
    assert not list(tmp_path.iterdir())
    assert len(reported) == 1
    assert f"the disk of {tmp_path} is full: 31.0 MiB are free" in reported[0]
