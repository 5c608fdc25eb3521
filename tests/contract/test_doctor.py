"""``depgraph doctor`` and ``depgraph token`` with the real database, and a server beside it."""

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import asyncpg
import grpc
import pytest
from structlog.testing import capture_logs

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import Consistency
from server.cli.main import run as run_here
from server.config import FeedSettings, Settings
from server.store import migrate
from tests.support.calls import Stubs
from tests.support.command import depgraph_here
from tests.support.command import serving as serving_process
from tests.support.pgbouncer import pgbouncer
from tests.support.plain_sql import connected
from tests.support.postgres import DatabaseServer
from tests.support.roles import role_of, role_with_database

# What the command prints does not depend on the transport.
pytestmark = [pytest.mark.one_transport, pytest.mark.usefixtures("servers_without_numba")]

Connection = asyncpg.Connection
Run = Callable[..., Awaitable[subprocess.CompletedProcess[str]]]
UNUSED_ADDRESS = "127.0.0.1:1"


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str]) -> Iterator[Run]:
    """
    Run the command in a thread of this process, which is quicker than a process of its own.

    What the server logs is kept away from what the command prints.
    """

    async def call(*arguments: str, address: str = UNUSED_ADDRESS) -> subprocess.CompletedProcess[str]:
        capsys.readouterr()
        code = await asyncio.to_thread(run_here, [*arguments, *address_of(arguments, address)])
        printed = capsys.readouterr()
        return subprocess.CompletedProcess(arguments, code, printed.out, printed.err)

    with capture_logs():
        yield call


def address_of(arguments: tuple[str, ...], address: str) -> list[str]:
    """The option that says where the server is, which only the doctor looks at."""
    return ["--address", address] if arguments[0] == "doctor" else []


@pytest.fixture
def run(here: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command with the test's database named in the environment."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    return here


@pytest.fixture
def server_settings(database_url: str) -> Settings:
    feed = FeedSettings(poll_interval=timedelta(milliseconds=50), reread_interval=timedelta(0))
    return Settings(listen="127.0.0.1:0", database_url=database_url, feed=feed)


@pytest.fixture
async def other(database_url: str) -> AsyncIterator[Connection]:
    """One more connection, whose transactions may stay open."""
    opened = await asyncpg.connect(database_url)
    try:
        yield opened
    finally:
        await opened.close()


async def test_a_healthy_database_passes_without_a_server(run: Run) -> None:
    seen = await run("doctor")
    assert seen.returncode == 0, seen.stdout
    assert "BAD" not in seen.stdout
    assert "ok   migrations: at " in seen.stdout
    assert f"note server: no answer from {UNUSED_ADDRESS}" in seen.stdout


async def test_names_that_new_services_may_not_have_are_listed(run: Run, connection: Connection) -> None:
    await connection.execute(
        "INSERT INTO services (service_id) SELECT E'a\\n' || number FROM generate_series(1, 6) AS number"
    )
    seen = await run("doctor")
    assert seen.returncode == 0, seen.stdout
    assert "note names: new services may not have such a name: 'a\\n1' holds U+000A" in seen.stdout
    assert "and 1 more" in seen.stdout
    assert "UPDATE services SET service_id" in seen.stdout
    await connection.execute("UPDATE services SET service_id = 'a' || id WHERE service_id LIKE E'a\\n%'")
    assert "names:" not in (await run("doctor")).stdout


async def test_doctor_prints_json(run: Run) -> None:
    answer = json.loads((await run("doctor", "--json")).stdout)
    assert answer["repaired"] == []
    checks = {finding["check"]: finding["severity"] for finding in answer["findings"]}
    assert checks["triggers"] == "good"
    assert checks["pruning"] == "good"
    assert set(checks) >= {"migrations", "standby", "notifications", "change log", "transactions", "orphans"}


async def test_triggers_are_put_back_only_with_repair_and_the_server_reads_again(
    run: Run, connection: Connection, server_address: str, channel: grpc.aio.Channel
) -> None:
    await connection.execute("DROP TRIGGER depgraph_feed_insert ON services")
    await connection.execute("ALTER TABLE services DISABLE TRIGGER depgraph_feed_delete")
    await connection.execute("INSERT INTO services (service_id) VALUES ('unseen')")
    looked = await run("doctor", address=server_address)
    assert looked.returncode == 1
    assert "BAD  triggers: services.depgraph_feed_insert is missing" in looked.stdout
    assert "BAD  triggers: services.depgraph_feed_delete is disabled" in looked.stdout
    assert "doctor --repair" in looked.stdout
    assert len(await connection.fetch("SELECT FROM depgraph_feed.missing_triggers()")) == 2

    repaired = await run("doctor", "--repair", address=server_address)
    assert repaired.returncode == 0, repaired.stdout
    assert "repaired: created services.depgraph_feed_insert" in repaired.stdout
    assert "repaired: enabled services.depgraph_feed_delete" in repaired.stdout
    request = pb.GetComponentRequest(service_id="unseen", consistency=Consistency(fully_consistent=True))
    assert (await Stubs(channel).graph.GetComponent(request)).component.members == ["unseen"]


async def test_history_triggers_are_put_back_with_repair_and_history_begins_anew(
    run: Run, connection: Connection
) -> None:
    assert await connection.fetchval("SELECT depgraph_history.mark()") == "marked"
    assert "ok   history: goes back " in (await run("doctor")).stdout
    await connection.execute("DROP TRIGGER depgraph_history_update ON service_dependencies")
    await connection.execute("ALTER TABLE services ENABLE TRIGGER depgraph_history_delete")
    looked = await run("doctor")
    assert looked.returncode == 1
    assert "BAD  history: service_dependencies.depgraph_history_update is missing" in looked.stdout
    assert "BAD  history: services.depgraph_history_delete is missing, disabled or altered" in looked.stdout

    repaired = await run("doctor", "--repair")
    assert repaired.returncode == 0, repaired.stdout
    assert "repaired: created service_dependencies.depgraph_history_update" in repaired.stdout
    assert "repaired: enabled services.depgraph_history_delete" in repaired.stdout
    assert "note history: begins anew with the next mark" in repaired.stdout
    assert await connection.fetchval("SELECT depgraph_history.mark()") == "marked"
    assert "ok   history: goes back 0:00:0" in (await run("doctor")).stdout
    await connection.execute("SELECT depgraph_history.set_switch(false)")
    assert "note history: switched off" in (await run("doctor")).stdout


async def test_missing_migrations_are_named_with_the_command_to_run(run: Run, database_url: str) -> None:
    await migrate.downgrade(database_url, "0003")
    seen = await run("doctor")
    assert seen.returncode == 1
    assert "BAD  migrations: at 0003; 0004" in seen.stdout
    assert "depgraph migrate up" in seen.stdout


async def test_dangling_dependencies_are_listed(run: Run, connection: Connection) -> None:
    key, source = uuid4(), uuid4()
    await connection.execute("SET session_replication_role = replica")
    await connection.execute(
        """INSERT INTO service_dependencies (id, source_service_id, target_service_id, communication_mode)
        VALUES ($1, $2, $3, 'sync')""",
        key,
        source,
        uuid4(),
    )
    seen = await run("doctor")
    assert seen.returncode == 1
    assert (
        f"BAD  orphans: 1 dependencies wait outside the graph: {key} lacks its source and target"
        in seen.stdout
    )


async def test_aliases_that_mean_nothing_are_listed(run: Run, connection: Connection) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('web'), ('db')")
    await connection.execute(
        """SET session_replication_role = replica;
        INSERT INTO service_aliases (alias, service_id)
        SELECT alias, id FROM services, unnest(ARRAY['db', 'shop']) AS alias WHERE service_id = 'web';
        INSERT INTO service_aliases (alias, service_id) VALUES ('gone', gen_random_uuid())"""
    )
    seen = await run("doctor")
    assert seen.returncode == 1
    assert (
        "BAD  aliases: 2 aliases mean nothing: 'db' is the name of a service; 'gone' lacks its service"
        in seen.stdout
    )


async def test_disabled_notifications_are_noted(run: Run, connection: Connection) -> None:
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE \"{name}\" SET depgraph.notify = 'off'")
    seen = await run("doctor")
    assert seen.returncode == 0
    assert "note notifications: switched off for everyone" in seen.stdout


async def test_a_session_pooler_is_noted_and_works(here: Run, database_url: str) -> None:
    async with pgbouncer(database_url, "session") as through:
        seen = await here("doctor", "--database-url", through)
    assert seen.returncode == 0, seen.stdout
    assert "ok   connections: the feed, the pool and detection can connect" in seen.stdout
    assert "note pooler: a connection pooler stands before the server and pools by session" in seen.stdout


async def test_a_transaction_pooler_is_named_with_advice(here: Run, database_url: str) -> None:
    async with pgbouncer(database_url, "transaction") as through:
        seen = await here("doctor", "--database-url", through)
    assert seen.returncode == 1
    assert "BAD  database: Can't connect to the database: a connection pooler gives each" in seen.stdout
    assert "pool_mode=session" in seen.stdout


async def test_settings_imposed_by_a_role_are_named(here: Run, postgres: DatabaseServer) -> None:
    imposed = {
        "default_transaction_read_only": "on",
        "synchronous_commit": "off",
        "work_mem": "'64kB'",
        "jit": "on",
    }
    async with role_with_database(postgres, imposed) as url:
        seen = await here("doctor", "--database-url", url)
    assert seen.returncode == 1
    assert "BAD  settings: default_transaction_read_only = on, imposed by the user" in seen.stdout
    assert "note settings: synchronous_commit = off, imposed by the user" in seen.stdout
    assert "note settings: imposed by role or database, and left as it is: work_mem = 64" in seen.stdout
    assert "jit" not in seen.stdout


async def test_each_connection_of_a_server_is_tried(here: Run, postgres: DatabaseServer) -> None:
    async with role_with_database(postgres, {}) as url:
        async with connected(postgres.url) as connection:
            await connection.execute(f"ALTER ROLE {role_of(url)} CONNECTION LIMIT 1")
        seen = await here("doctor", "--database-url", url)
    assert seen.returncode == 1
    for part in ("feed", "pool", "detection"):
        assert f"BAD  connection of the {part}: the role or database has no connection left" in seen.stdout


async def test_parameters_of_the_url_without_effect_are_noted(here: Run, database_url: str) -> None:
    joint = "&" if "?" in database_url else "?"
    seen = await here("doctor", "--database-url", f"{database_url}{joint}keepalives_idle=9")
    assert seen.returncode == 0, seen.stdout
    assert "note database URL: without effect here: keepalives_idle" in seen.stdout


async def test_an_unreachable_database_is_one_finding(run: Run) -> None:
    seen = await run("doctor", "--database-url", "postgresql://u:secret@127.0.0.1:1/x")
    assert seen.returncode == 1
    assert "BAD  database: Can't connect" in seen.stdout
    assert "secret" not in seen.stdout + seen.stderr


@pytest.mark.parametrize("command", ["doctor", "token"])
async def test_a_folder_without_a_database_is_not_changed(command: str, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    seen = await asyncio.to_thread(depgraph_here, command, "--data-dir", str(nowhere))
    assert seen.returncode == 1
    assert f"there is no database in {nowhere}" in seen.stderr
    assert not nowhere.exists()


async def test_a_read_with_a_token_sees_what_sql_has_written(
    run: Run, connection: Connection, channel: grpc.aio.Channel
) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('by sql')")
    token = (await run("token")).stdout.strip()
    request = pb.GetComponentRequest(service_id="by sql", consistency=Consistency(at_least_as_fresh=token))
    assert (await Stubs(channel).graph.GetComponent(request)).component.members == ["by sql"]


async def test_a_snapshot_as_postgresql_prints_it_is_a_token_too(
    connection: Connection, channel: grpc.aio.Channel
) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('by sql')")
    plain = await connection.fetchval("SELECT depgraph_feed.revision()")
    request = pb.GetComponentRequest(service_id="by sql", consistency=Consistency(at_least_as_fresh=plain))
    assert (await Stubs(channel).graph.GetComponent(request)).component.members == ["by sql"]


async def test_token_without_the_schema_says_what_to_run(run: Run, empty_database_url: str) -> None:
    seen = await run("token", "--database-url", empty_database_url)
    assert seen.returncode == 1
    assert "depgraph migrate up" in seen.stderr


def test_doctor_and_token_use_the_embedded_database_of_a_running_server(data_folder: Path) -> None:
    there = ("--data-dir", str(data_folder))
    with serving_process(*there) as (address, _):
        seen = depgraph_here("doctor", *there, "--address", address)
        assert seen.returncode == 0, seen.stdout
        assert f"ok   server: {address} holds 0 services" in seen.stdout
        assert depgraph_here("token", *there).stdout.strip()
    ended = depgraph_here("token", *there)
    assert (ended.returncode, "no database running" in ended.stderr) == (1, True)
    assert depgraph_here("doctor", *there, "--address", address).returncode == 0
