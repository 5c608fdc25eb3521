"""The table of the account of writes: who may touch it, and what becomes of it in a dump."""

from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from server.domain.caller import Caller, acting_as
from server.domain.services import ServiceDraft
from server.domain.writes import WritingCall, writing_for
from server.store import migrate
from server.store.database import Database
from server.store.services import ServiceRepository
from server.store.writes import WriteRepository
from tests.support.dumps import dump, restore
from tests.support.plain_sql import connected
from tests.support.postgres import DatabaseServer
from tests.support.roles import role_of, role_with_database

ANN = Caller("ann", frozenset({"editor"}))
CALL = WritingCall("depgraph.v1.CatalogService/CreateService", "")
RIGHTS = "SELECT, INSERT, UPDATE, DELETE"


def on_database_of(url: str, url_of_role: str) -> str:
    """Return the URL of one database, for the role of another URL."""
    return urlunsplit(urlsplit(url_of_role)._replace(path=urlsplit(url).path))


async def create(database: Database, name: str) -> None:
    with acting_as(ANN), writing_for(CALL):
        await ServiceRepository(database).create(ServiceDraft(service_id=name))


async def test_of_roles_with_rights_of_their_own_only_servers_reach_the_account(
    postgres: DatabaseServer, empty_database_url: str
) -> None:
    async with (
        role_with_database(postgres, {}) as server_url,
        role_with_database(postgres, {}) as writer_url,
        connected(empty_database_url) as connection,
    ):
        server, writer = role_of(server_url), role_of(writer_url)
        try:
            await migrate.upgrade(empty_database_url, "0009")
            await connection.execute(
                f"GRANT {RIGHTS} ON services TO {server}, {writer};"
                f"GRANT {RIGHTS} ON depgraph_feed.ingestions TO {server}"
            )
            await migrate.upgrade(empty_database_url)
            async with Database.open(on_database_of(empty_database_url, server_url)) as opened:
                await create(opened, "a")
                assert [
                    write.principal for write in (await WriteRepository(opened).page(2, None)).writes
                ] == ["ann"]
            async with connected(on_database_of(empty_database_url, writer_url)) as plain:
                await plain.execute("INSERT INTO services (service_id) VALUES ('b')")
                for statement in ("SELECT FROM writes", "DELETE FROM writes"):
                    with pytest.raises(asyncpg.InsufficientPrivilegeError):
                        await plain.execute(statement)
        finally:
            await connection.execute(f"DROP OWNED BY {server}, {writer}")


async def test_a_time_that_no_answer_can_hold_is_refused(connection: asyncpg.Connection) -> None:
    with pytest.raises(asyncpg.CheckViolationError, match="ck_writes_written_at_range"):
        await connection.execute(
            "INSERT INTO writes (written_at, principal, method, feed_id) VALUES ('infinity', '', '', '')"
        )


async def test_a_dump_brings_the_account_along_and_writes_go_on_in_it(
    database_url: str, connection: asyncpg.Connection, tmp_path: Path
) -> None:
    async with Database.open(database_url) as database:
        account = WriteRepository(database)
        await create(database, "a")
        saved = await dump(database_url, tmp_path / "dump")
        [before] = (await account.page(2, None)).writes
        await create(database, "lost")
        await restore(saved, database_url)
        await create(database, "b")
        new, old = (await account.page(3, None)).writes
    assert old == before
    assert new.id > old.id
    assert new.revision.partition("/")[0] != old.revision.partition("/")[0]
