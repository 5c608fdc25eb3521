"""Which of several hosts is taken, for how long each is waited for, and under which name."""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from urllib.parse import quote

import asyncpg
import pytest

from server.postgres import DatabaseUrl, DatabaseUrlError, Session, connect, explain, parse_database_url
from tests.support.eventually import PATIENCE_SECONDS

PATIENT = Session(name="depgraph test", limit=timedelta(seconds=PATIENCE_SECONDS))


@pytest.fixture
def meant(database_url: str) -> DatabaseUrl:
    return parse_database_url(database_url)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A reserved port of the loopback where nothing listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


@pytest.fixture
async def mute_port() -> AsyncIterator[int]:
    """A port of the loopback that accepts connections and never answers."""

    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


def behind(port: int, meant: DatabaseUrl, parameters: str = "") -> str:
    """Write a URL of two hosts, of which the second is the database."""
    [(host, real)] = meant.addresses
    login = f"{meant.user}:{quote(meant.password or '', safe='')}"
    return (
        f"postgresql://{login}@127.0.0.1:{port},{quote(host, safe='')}:{real}/{meant.database}?{parameters}"
    )


async def name_of_database(url: str, session: Session = PATIENT) -> str:
    connection = await connect(url, session)
    try:
        name: str = await connection.fetchval("SELECT current_database()")
        return name
    finally:
        await connection.close()


async def test_after_a_host_that_refuses_the_next_host_is_tried(meant: DatabaseUrl, closed_port: int) -> None:
    assert await name_of_database(behind(closed_port, meant)) == meant.database


async def test_after_a_host_that_does_not_answer_the_next_host_is_tried(
    meant: DatabaseUrl, mute_port: int
) -> None:
    assert await name_of_database(behind(mute_port, meant, "connect_timeout=2")) == meant.database


async def test_all_hosts_are_tried_in_random_order(meant: DatabaseUrl, closed_port: int) -> None:
    url = behind(closed_port, meant, "load_balance_hosts=random")
    for _ in range(5):
        assert await name_of_database(url) == meant.database


async def test_a_primary_is_accepted_by_prefer_standby_and_refused_by_standby(
    meant: DatabaseUrl, closed_port: int
) -> None:
    url = behind(closed_port, meant, "target_session_attrs=prefer-standby")
    assert await name_of_database(url) == meant.database
    with pytest.raises((asyncpg.TargetServerAttributeNotMatched, OSError)):
        await connect(url.replace("prefer-standby", "standby"), PATIENT)


async def test_parameters_missing_in_the_url_come_from_the_environment(
    meant: DatabaseUrl, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(host, port)] = meant.addresses
    said = {
        "HOST": host,
        "PORT": str(port),
        "USER": meant.user,
        "PASSWORD": meant.password,
        "DATABASE": meant.database,
    }
    for name, value in said.items():
        if value:
            monkeypatch.setenv(f"PG{name}", value)
    assert await name_of_database("postgresql://") == meant.database


async def test_the_application_name_of_the_url_replaces_depgraph(database_url: str) -> None:
    joint = "&" if "?" in database_url else "?"
    connection = await connect(f"{database_url}{joint}application_name=shop", PATIENT)
    assert await connection.fetchval("SHOW application_name") == "shop test"
    await connection.close()


async def test_a_database_that_does_not_exist_is_named_as_the_cause(meant: DatabaseUrl) -> None:
    [(host, port)] = meant.addresses
    url = f"postgresql://{meant.user}:{meant.password or ''}@{quote(host, safe='')}:{port}/not_there"
    with pytest.raises(asyncpg.PostgresError) as refused:
        await connect(url, PATIENT)
    assert str(explain(refused.value)).startswith("the database does not exist: create it")


@pytest.mark.parametrize("setting", ["no_such_setting%3D1", "work_mem%3Dmuch", "ignore_system_indexes%3Don"])
async def test_a_setting_that_the_server_refuses_is_named_and_nothing_stays_open(
    database_url: str, connection: asyncpg.Connection, setting: str
) -> None:
    joint = "&" if "?" in database_url else "?"
    named = f"the server refuses the setting {setting.partition('%')[0]} of options in the database URL"
    with pytest.raises(DatabaseUrlError, match=named):
        await connect(f"{database_url}{joint}options=-c{setting}", PATIENT)
    with pytest.raises(DatabaseUrlError):
        await connect(f"{database_url}{joint}no_such_parameter=1", PATIENT)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while await connection.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ):
            await asyncio.sleep(0.01)
