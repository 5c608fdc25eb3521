"""``depgraph backup`` and ``depgraph restore``, compared by plain SQL."""

import asyncio
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.support.command import depgraph, depgraph_here

pytestmark = pytest.mark.one_transport

ROWS = """
INSERT INTO services (service_id, team, metadata)
VALUES ('web', 'shop', '{"é": "\\\\ \\"quoted\\""}'), ('db', NULL, '{}');
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT source.id, target.id, 'sync' FROM services AS source, services AS target
WHERE source.service_id = 'web' AND target.service_id = 'db';
"""
CONTENT = """
SELECT (SELECT json_agg(to_json(s) ORDER BY service_id) FROM services AS s)::text,
       (SELECT json_agg(to_json(d)) FROM service_dependencies AS d)::text,
       (SELECT version_num FROM alembic_version)
"""


async def execute(url: str, statements: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statements)
    finally:
        await connection.close()


async def content(url: str) -> tuple[Any, ...]:
    connection = await asyncpg.connect(url)
    try:
        found = await connection.fetchrow(CONTENT)
        assert found is not None
        return tuple(found)
    finally:
        await connection.close()


async def command(*arguments: str) -> tuple[int, str, str]:
    finished = await asyncio.to_thread(depgraph_here, *arguments)
    return finished.returncode, finished.stdout, finished.stderr


async def test_a_backup_restores_into_an_empty_database_and_over_other_rows(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    await execute(database_url, ROWS)
    before = await content(database_url)
    file = tmp_path / "graph.dump"
    assert await command("backup", str(file), "--database-url", database_url) == (0, "", "")
    assert file.stat().st_mode & 0o777 == 0o600
    code, said, _ = await command("restore", str(file), "--database-url", empty_database_url)
    assert (code, said) == (0, f"restored schema {before[2]}\n")
    assert await content(empty_database_url) == before

    await execute(
        empty_database_url, "DELETE FROM services; INSERT INTO services (service_id) VALUES ('new')"
    )
    code, _, said = await command("restore", str(file), "--database-url", empty_database_url)
    assert code == 1
    assert "confirm with --yes" in said
    assert (await content(empty_database_url))[0] != before[0]
    whole = ("restore", "-", "--database-url", empty_database_url, "--yes")
    assert (await asyncio.to_thread(depgraph, *whole, stdin=file.read_bytes())).returncode == 0
    assert await content(empty_database_url) == before


async def test_a_backup_of_an_older_schema_restores_and_is_migrated_by_the_next_step(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    file, newer = str(tmp_path / "graph.dump"), ("--database-url", database_url)
    older = ("--database-url", empty_database_url)
    assert (await command("migrate", "up", "0008", *older))[0] == 0
    await execute(empty_database_url, ROWS)
    assert (await command("backup", file, *older))[0] == 0
    head = (await content(database_url))[2]
    code, said, _ = await command("restore", file, *newer, "--yes")
    assert code == 0
    assert said.startswith(f"restored schema 0008\nit is older than {head}, the latest: ")
    assert (await content(database_url))[1:] == (await content(empty_database_url))[1:]
    assert (await command("migrate", "up", *newer))[0] == 0
    assert (await content(database_url))[2] == head


@pytest.mark.parametrize("kept", [0.0, 0.4])
async def test_a_file_that_is_no_whole_backup_changes_nothing(
    kept: float, database_url: str, tmp_path: Path
) -> None:
    await execute(database_url, ROWS)
    before, file = await content(database_url), tmp_path / "graph.dump"
    assert (await command("backup", str(file), "--database-url", database_url))[0] == 0
    whole = file.read_bytes()
    file.write_bytes(whole[: round(len(whole) * kept)] or b"no dump")
    code, _, said = await command("restore", str(file), "--database-url", database_url, "--yes")
    assert code == 1
    assert said.startswith("depgraph: nothing was changed: ")
    assert await content(database_url) == before


async def test_a_backup_of_another_database_changes_nothing(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    await execute(empty_database_url, "CREATE TABLE shopping_list (item text)")
    before, file = await content(database_url), str(tmp_path / "other.dump")
    assert (await command("backup", file, "--database-url", empty_database_url))[0] == 0
    code, _, said = await command("restore", file, "--database-url", database_url, "--yes")
    assert code == 1
    assert "alembic_version" in said
    assert await content(database_url) == before


async def test_a_backup_of_a_newer_schema_changes_nothing(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    file, newer = str(tmp_path / "graph.dump"), ("--database-url", empty_database_url)
    assert (await command("migrate", "up", *newer))[0] == 0
    await execute(empty_database_url, "UPDATE alembic_version SET version_num = '9999'")
    assert (await command("backup", file, *newer))[0] == 0
    await execute(database_url, ROWS)
    before = await content(database_url)
    code, _, said = await command("restore", file, "--database-url", database_url, "--yes")
    assert code == 1
    assert said.startswith("depgraph: nothing was changed: ERROR:  the schema of the dump has revision 9999")
    assert await content(database_url) == before


async def test_a_backup_is_never_written_into_a_file_of_another_user(
    database_url: str, tmp_path: Path
) -> None:
    file, victim = tmp_path / "graph.dump", tmp_path / "victim"
    (tmp_path / "graph.dump.part").symlink_to(victim)
    assert (await command("backup", str(file), "--database-url", database_url))[0] == 0
    assert not file.is_symlink()
    assert not victim.exists()


async def test_an_option_that_pg_dump_does_not_know_is_named(database_url: str, tmp_path: Path) -> None:
    file = str(tmp_path / "graph.dump")
    code, _, said = await command("backup", file, "--database-url", database_url, "--", "--bogus")
    assert code == 1
    assert "unrecognized option '--bogus'" in said


def test_a_file_that_is_not_there_is_no_backup(tmp_path: Path) -> None:
    file = tmp_path / "graph.dump"
    finished = depgraph_here("restore", str(file), "--data-dir", str(tmp_path))
    assert (finished.returncode, finished.stderr) == (2, f"depgraph: {file} is no file\n")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_a_database_is_not_backed_up(tmp_path: Path) -> None:
    folder, file = tmp_path / "not-mounted", tmp_path / "graph.dump"
    folder.mkdir()
    finished = depgraph_here("backup", str(file), "--data-dir", str(folder))
    assert finished.returncode == 1
    assert f"there is no database in {folder}" in finished.stderr
    assert list(tmp_path.rglob("*")) == [folder]


def test_a_backup_overwrites_no_file(tmp_path: Path) -> None:
    file = tmp_path / "graph.dump"
    file.write_text("a backup of last week")
    finished = depgraph_here("backup", str(file), "--data-dir", str(tmp_path))
    assert (finished.returncode, finished.stderr) == (2, f"depgraph: {file} exists: name a new file\n")
    assert file.read_text() == "a backup of last week"


def test_a_backup_that_fails_leaves_no_file(tmp_path: Path) -> None:
    file = tmp_path / "graph.dump"
    url = f"postgresql://nobody@/nothing?host={tmp_path}"
    finished = depgraph_here("backup", str(file), "--database-url", url)
    assert finished.returncode == 1
    assert "pg_dump: error: connection" in finished.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_database_moves_to_another_folder_by_a_backup(
    data_folder: Path, reachable_folder: Path
) -> None:
    old, new, file = str(data_folder), str(reachable_folder / "new"), str(reachable_folder / "graph.dump")
    added = depgraph("sql", "--data-dir", old, "--", "-c", "INSERT INTO services (service_id) VALUES ('web')")
    assert added.returncode == 0
    assert depgraph("backup", file, "--data-dir", old).returncode == 0
    assert depgraph_here("restore", file, "--data-dir", new).returncode == 0
    read = depgraph("sql", "--data-dir", new, "--", "-Atc", "SELECT service_id FROM services")
    assert read.stdout == "web\n"
