"""``depgraph serve`` as a child process, and ``migrate``, on an embedded and a given database."""

import asyncio
import json
import signal
from pathlib import Path

import pytest

from tests.support.command import depgraph, depgraph_here, serving

pytestmark = pytest.mark.usefixtures("servers_without_numba")

SHOP = "examples/online_shop.json"


@pytest.mark.one_transport
@pytest.mark.parametrize("workers", [1, 2])
def test_serve_seeds_a_new_data_folder_stops_cleanly_and_logs_lines_of_one_form(
    reachable_folder: Path, workers: int
) -> None:
    lines: list[str] = []
    options = ("--data-dir", str(reachable_folder / "new"), "--seed-file", SHOP, "--workers", str(workers))
    with serving(*options, "--metrics-listen", "127.0.0.1:0", said=lines) as (address, process):
        assert depgraph_here("status", "--address", address).returncode == 0
        assert "checkout" in depgraph_here("show", "payments", "--address", address).stdout
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=60) == 0
    events = [json.loads(line) for line in lines]
    assert all({"event", "level", "logger", "timestamp"} <= event.keys() for event in events)
    said = " ".join(event["event"] for event in events)
    for progress in ("creating the database cluster", "migrated the database", "loaded ", "metrics at "):
        assert progress in said


@pytest.mark.one_transport
def test_a_data_folder_in_use_can_be_read_and_not_migrated(data_folder: Path) -> None:
    folder = str(data_folder)
    with serving("--data-dir", folder) as (address, process):
        for run, command in (
            (depgraph, ("serve", "--listen", "127.0.0.1:0")),
            (depgraph_here, ("migrate", "up")),
        ):
            second = run(*command, "--data-dir", folder)
            assert second.returncode == 1
            assert f"is in use by process {process.pid}" in second.stderr
            assert "Traceback" not in second.stderr
        schema = depgraph_here("migrate", "status", "--data-dir", folder)
        assert (schema.returncode, schema.stderr) == (0, "")
        assert schema.stdout.startswith("schema ")
        assert depgraph_here("status", "--address", address).returncode == 0


@pytest.mark.one_transport
def test_migrate_upgrades_downgrades_and_shows_the_schema(empty_database_url: str) -> None:
    there = ("--database-url", empty_database_url)
    before = json.loads(depgraph_here("migrate", "status", *there, "--json").stdout)
    assert before["current"] is None

    went_up = json.loads(depgraph("migrate", "up", *there, "--json").stdout)
    assert went_up["steps"] == before["pending"]
    assert depgraph_here("migrate", "up", *there).stdout == "the schema is up to date: nothing to do\n"

    after = json.loads(depgraph_here("migrate", "status", *there, "--json").stdout)
    assert (after["current"], after["pending"]) == (before["head"], [])

    went_down = json.loads(depgraph_here("migrate", "down", "base", "--yes", *there, "--json").stdout)
    assert went_down["steps"] == went_up["steps"][::-1]


@pytest.mark.one_transport
def test_no_migrate_refuses_a_schema_that_is_behind(empty_database_url: str) -> None:
    finished = depgraph(
        "serve", "--no-migrate", "--listen", "127.0.0.1:0", "--database-url", empty_database_url
    )
    assert finished.returncode == 1
    last = json.loads(finished.stderr.splitlines()[-1])
    assert last["level"] == "error"
    assert last["event"].startswith("the database is at migration none")
    assert "Traceback" not in finished.stderr


async def test_an_address_in_use_is_named(server_address: str, empty_database_url: str) -> None:
    there = ("--listen", server_address, "--database-url", empty_database_url)
    finished = await asyncio.to_thread(depgraph, "serve", *there)
    assert finished.returncode == 1
    assert server_address in finished.stderr
    assert "Traceback" not in finished.stderr


@pytest.mark.one_transport
def test_the_sql_of_migrations_needs_no_database() -> None:
    up = depgraph_here("migrate", "up", "--sql")
    assert "CREATE TABLE" in up.stdout
    down = depgraph_here("migrate", "down", "head:base", "--sql")
    assert "DROP TABLE" in down.stdout
