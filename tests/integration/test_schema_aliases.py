"""service_aliases: what the database itself holds, for plain SQL and concurrent writers too."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import product
from uuid import uuid4

import asyncpg
import pytest

from server.domain.errors import AlreadyExistsError
from server.domain.services import ServiceDraft
from server.store import migrate
from server.store.aliases import AliasRepository
from server.store.database import Database
from server.store.services import ServiceRepository
from tests.support.following import broken_names, tables
from tests.support.random_writer import connect

Connection = asyncpg.Connection

SHOP = """
INSERT INTO services (service_id) VALUES ('web'), ('db');
INSERT INTO service_aliases (alias, service_id)
SELECT 'alias of ' || service_id, id FROM services WHERE service_id IN ('web', 'db');
"""
TO_WEB = "(SELECT id FROM services WHERE service_id = 'web')"
REFUSED = (asyncpg.UniqueViolationError, asyncpg.SerializationError, asyncpg.DeadlockDetectedError)


@pytest.fixture
async def shop(connection: Connection) -> Connection:
    await connection.execute(SHOP)
    return connection


async def aliases(connection: Connection) -> dict[str, str]:
    rows = await connection.fetch(
        """SELECT a.alias, s.service_id
        FROM service_aliases AS a
        LEFT JOIN services AS s ON s.id = a.service_id"""
    )
    return {row["alias"]: row["service_id"] for row in rows}


@pytest.mark.parametrize(
    ("statement", "constraint"),
    [
        ("INSERT INTO services (service_id) VALUES ('new'), ('alias of web')", "uq_service_or_alias"),
        (
            """INSERT INTO services (service_id) VALUES ('db'), ('alias of web')
            ON CONFLICT (service_id) DO UPDATE SET team = 'both'""",
            "uq_service_or_alias",
        ),
        ("UPDATE services SET service_id = 'alias of ' || service_id", "uq_service_or_alias"),
        (f"INSERT INTO service_aliases (alias, service_id) VALUES ('db', {TO_WEB})", "uq_alias_or_service"),
        (f"INSERT INTO service_aliases (alias, service_id) VALUES ('web', {TO_WEB})", "uq_alias_or_service"),
        ("UPDATE service_aliases SET alias = 'db' WHERE alias = 'alias of web'", "uq_alias_or_service"),
        ("UPDATE service_aliases SET alias = 'same'", "uq_service_alias"),
        ("UPDATE service_aliases SET alias = ''", "ck_aliases_alias_not_empty"),
        ("UPDATE service_aliases SET service_id = gen_random_uuid()", "fk_alias_service"),
        (
            "INSERT INTO service_aliases (alias, service_id) VALUES ('new', gen_random_uuid())",
            "fk_alias_service",
        ),
        ("UPDATE services SET id = gen_random_uuid()", "fk_alias_service"),
        ("UPDATE service_aliases SET created_at = 'infinity'", "ck_aliases_created_at_range"),
    ],
)
async def test_a_row_that_breaks_a_rule_is_refused_and_changes_nothing(
    shop: Connection, statement: str, constraint: str
) -> None:
    before = await tables(shop)
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        await shop.execute(statement)
    assert caught.value.constraint_name == constraint
    assert await tables(shop) == before


async def test_copy_can_not_give_a_service_the_name_of_an_alias(shop: Connection) -> None:
    with pytest.raises(asyncpg.UniqueViolationError, match="is an alias of a service"):
        await shop.copy_records_to_table("services", columns=["service_id"], records=[("alias of web",)])


@pytest.mark.parametrize(
    ("statements", "left"),
    [
        ("DELETE FROM services WHERE service_id = 'web'", {"alias of db": "db"}),
        ("TRUNCATE services CASCADE", {}),
        ("TRUNCATE services, service_dependencies", {}),
        ("DELETE FROM services", {}),
        (
            "UPDATE services SET service_id = service_id || '!'",
            {"alias of web": "web!", "alias of db": "db!"},
        ),
        (
            """DELETE FROM services WHERE service_id = 'web';
            INSERT INTO service_aliases (alias, service_id) SELECT 'web', id FROM services""",
            {"alias of db": "db", "web": "db"},
        ),
        (
            """DELETE FROM service_aliases WHERE alias = 'alias of web';
            INSERT INTO services (service_id) VALUES ('alias of web')""",
            {"alias of db": "db"},
        ),
        (
            """UPDATE services SET id = CASE service_id
                WHEN 'web' THEN (SELECT id FROM services WHERE service_id = 'db')
                ELSE (SELECT id FROM services WHERE service_id = 'web') END""",
            {"alias of web": "db", "alias of db": "web"},
        ),
    ],
)
@pytest.mark.parametrize("isolation", ["read committed", "repeatable read", "serializable"])
async def test_aliases_follow_their_services(
    shop: Connection, statements: str, left: dict[str, str], isolation: str
) -> None:
    await shop.execute("ALTER TABLE services DROP CONSTRAINT services_pkey CASCADE")
    await shop.execute("ALTER TABLE services ADD CONSTRAINT services_pkey PRIMARY KEY (id) DEFERRABLE")
    await shop.execute(f"BEGIN ISOLATION LEVEL {isolation}; {statements}; COMMIT")
    assert await aliases(shop) == left


async def test_who_may_only_write_services_needs_no_right_on_aliases(
    shop: Connection, database_url: str
) -> None:
    role = f"test_{uuid4().hex}"
    await shop.execute(f"CREATE ROLE {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON services TO {role}")
    try:
        await shop.execute(f"SET ROLE {role}")
        await shop.execute("INSERT INTO services (service_id) VALUES ('new')")
        await shop.execute("UPDATE services SET service_id = 'newer' WHERE service_id = 'new'")
        await shop.execute("DELETE FROM services WHERE service_id = 'web'")
        with pytest.raises(asyncpg.UniqueViolationError):
            await shop.execute("INSERT INTO services (service_id) VALUES ('alias of db')")
        await shop.execute("RESET ROLE")
        assert await aliases(shop) == {"alias of db": "db"}
    finally:
        await shop.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


async def test_who_could_write_services_and_read_the_log_before_may_do_so_with_aliases(
    shop: Connection, database_url: str
) -> None:
    role = f"test_{uuid4().hex}"
    await migrate.downgrade(database_url, "0011")
    await shop.execute(
        f"CREATE ROLE {role}; GRANT INSERT ON services TO {role};"
        f"GRANT SELECT ON depgraph_feed.change_log TO {role}"
    )
    try:
        await migrate.upgrade(database_url)
        for table, right in (("public.service_aliases", "INSERT"), ("depgraph_feed.alias_log", "SELECT")):
            assert await shop.fetchval("SELECT has_table_privilege($1, $2, $3)", role, table, right)
    finally:
        await shop.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


NAME = "contended"
NAMED = {
    "create": f"INSERT INTO services (service_id) VALUES ('{NAME}')",
    "rename": f"UPDATE services SET service_id = '{NAME}' WHERE service_id = 'db'",
}
ALIASED = {
    "add": f"INSERT INTO service_aliases (alias, service_id) VALUES ('{NAME}', {TO_WEB})",
    "change": f"UPDATE service_aliases SET alias = '{NAME}' WHERE alias = 'alias of web'",
}
ISOLATIONS = ("READ COMMITTED", "REPEATABLE READ", "SERIALIZABLE")
RACES = [
    pytest.param(one[0], other[0], id=f"{one[1]} and {other[1]}")
    for named, aliased in product(NAMED.items(), ALIASED.items())
    for one, other in ((named[::-1], aliased[::-1]), (aliased[::-1], named[::-1]))
]


@asynccontextmanager
async def two_sessions(url: str) -> AsyncIterator[tuple[Connection, Connection]]:
    one, other = await connect(url), await connect(url)
    try:
        yield one, other
    finally:
        await one.close()
        await other.close()


async def begin(session: Connection, isolation: str) -> None:
    """Begin a transaction, and let it take its snapshot."""
    await session.execute(f"BEGIN ISOLATION LEVEL {isolation}; SELECT FROM services, service_aliases")


async def finish(session: Connection, statement: str) -> bool:
    """Run the statement and commit; False = it was refused, and rolled back."""
    try:
        await session.execute(statement)
        await session.execute("COMMIT")
    except REFUSED:
        await session.execute("ROLLBACK")
        return False
    return True


@pytest.mark.parametrize(("one", "other"), RACES)
async def test_whoever_takes_a_name_later_is_refused_whatever_its_snapshot_shows(
    shop: Connection, database_url: str, one: str, other: str
) -> None:
    async with two_sessions(database_url) as (_, late):
        for isolation in ISOLATIONS:
            await begin(late, isolation)
            await shop.execute("BEGIN")
            assert await finish(shop, one)
            assert not await finish(late, other), isolation
            assert broken_names(await tables(shop)) == 0
            await reset(shop)


@pytest.mark.parametrize(("one", "other"), RACES)
async def test_of_two_that_take_a_name_at_once_one_is_refused(
    shop: Connection, database_url: str, one: str, other: str
) -> None:
    async with two_sessions(database_url) as (early, late):
        for first, second, keeps in product(ISOLATIONS, ISOLATIONS, (True, False)):
            await begin(early, first)
            await begin(late, second)
            await early.execute(one)
            waiting = asyncio.create_task(finish(late, other))
            await until_blocked(shop, late, waiting)
            await early.execute("COMMIT" if keeps else "ROLLBACK")
            assert await waiting is not keeps, (first, second, keeps)
            assert broken_names(await tables(shop)) == 0
            await reset(shop)


@pytest.mark.parametrize("isolation", ISOLATIONS)
@pytest.mark.parametrize("adds", [True, False], ids=["added first", "deleted first"])
async def test_no_alias_is_left_of_a_service_that_is_deleted_meanwhile(
    shop: Connection, database_url: str, isolation: str, *, adds: bool
) -> None:
    first, second = (ALIASED["add"], "DELETE FROM services WHERE service_id = 'web'")[:: 1 if adds else -1]
    async with two_sessions(database_url) as (early, late):
        await begin(early, isolation)
        await begin(late, isolation)
        # Its subquery would find no service later.
        web = await shop.fetchval(f"SELECT {TO_WEB}")
        first, second = (text.replace(TO_WEB, f"'{web}'") for text in (first, second))
        await early.execute(first)
        waiting = asyncio.create_task(refused(late, second))
        await until_blocked(shop, late, waiting)
        await early.execute("COMMIT")
        await waiting
        assert broken_names(await tables(shop)) == 0


async def test_of_calls_that_take_a_name_at_once_one_succeeds_and_the_others_say_who_has_it(
    shop: Connection, database_url: str
) -> None:
    async with Database.open(database_url) as database:
        services, aliases_of = ServiceRepository(database), AliasRepository(database)
        for number in range(8):
            name = f"{NAME}-{number}"
            answers = await asyncio.gather(
                services.create(ServiceDraft(name)),
                services.create(ServiceDraft(name)),
                aliases_of.add(name, "web"),
                aliases_of.add(name, "db"),
                return_exceptions=True,
            )
            refusals = [answer for answer in answers if isinstance(answer, Exception)]
            assert all(isinstance(error, AlreadyExistsError) for error in refusals), refusals
            assert len(refusals) == 3
    assert broken_names(await tables(shop)) == 0


async def test_an_alias_gives_up_waiting_so_that_others_can_create_services(
    shop: Connection, database_url: str
) -> None:
    # Three seconds in earnest.
    await shop.execute("ALTER FUNCTION depgraph_feed.check_new_aliases() SET lock_timeout = '50ms'")
    async with two_sessions(database_url) as (slow, other):
        await slow.execute("BEGIN; INSERT INTO services (service_id) VALUES ('slow')")
        with pytest.raises(asyncpg.LockNotAvailableError):
            await other.execute(ALIASED["add"])
        await other.execute("INSERT INTO services (service_id) VALUES ('quick')")
        await slow.execute("COMMIT")
        await other.execute(ALIASED["add"])


async def refused(session: Connection, statement: str) -> bool:
    try:
        return not await finish(session, statement)
    except asyncpg.ForeignKeyViolationError:
        await session.execute("ROLLBACK")
        return True


async def reset(connection: Connection) -> None:
    await connection.execute(f"TRUNCATE services CASCADE; {SHOP}")


async def until_blocked(connection: Connection, session: Connection, waiting: "asyncio.Task[bool]") -> None:
    """Wait until the session waits for a lock, or is done."""
    async with asyncio.timeout(30):
        while not waiting.done() and not await connection.fetchval(
            "SELECT cardinality(pg_blocking_pids($1))", session.get_server_pid()
        ):
            await asyncio.sleep(0.002)
