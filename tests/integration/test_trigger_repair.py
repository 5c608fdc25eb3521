"""
Feed triggers that were dropped or disabled are restored.

Every replica then rereads what it missed.
"""

import asyncpg
import pytest

from tests.support.auditing import audited
from tests.support.catalog import schema_of
from tests.support.following import assert_caught_up

Connection = asyncpg.Connection
INSTALL = "SELECT table_name, trigger_name, deed FROM depgraph_feed.install_triggers()"
TRIGGERS = [
    (table, f"depgraph_feed_{event}")
    for table in ("services", "service_dependencies", "service_aliases")
    for event in ("insert", "update", "delete", "truncate")
]


async def test_where_all_are_in_place_nothing_is_done(connection: Connection) -> None:
    assert await connection.fetch(INSTALL) == []
    for log in ("change_log", "alias_log"):
        assert await connection.fetchval(f"SELECT count(*) FROM depgraph_feed.{log}") == 0


async def test_dropped_triggers_are_created_just_as_the_migration_made_them(
    connection: Connection, database_url: str
) -> None:
    before = await schema_of(database_url)
    for table, trigger in TRIGGERS:
        await connection.execute(f"DROP TRIGGER {trigger} ON {table}")
    assert await schema_of(database_url) != before
    done = sorted(tuple(row) for row in await connection.fetch(INSTALL))
    assert done == sorted((table, trigger, "created") for table, trigger in TRIGGERS)
    assert await schema_of(database_url) == before


@pytest.mark.parametrize("how", ["DISABLE", "ENABLE", "ENABLE REPLICA"])
async def test_triggers_that_do_not_always_fire_are_enabled(
    connection: Connection, database_url: str, how: str
) -> None:
    before = await schema_of(database_url)
    await connection.execute(f"ALTER TABLE services {how} TRIGGER depgraph_feed_update")
    assert [tuple(row) for row in await connection.fetch(INSTALL)] == [
        ("services", "depgraph_feed_update", "enabled")
    ]
    assert await schema_of(database_url) == before


@pytest.mark.parametrize(
    ("table", "unseen"),
    [
        ("services", "UPDATE services SET team = 'unseen'"),
        ("service_aliases", "UPDATE service_aliases SET alias = 'unseen'"),
    ],
)
async def test_a_replica_reads_what_it_missed(
    connection: Connection, database_url: str, table: str, unseen: str
) -> None:
    await connection.execute("INSERT INTO services (service_id) VALUES ('a')")
    await connection.execute("INSERT INTO service_aliases (alias, service_id) SELECT 'b', id FROM services")
    async with audited(database_url) as followed:
        await connection.execute(f"DROP TRIGGER depgraph_feed_update ON {table}")
        await connection.execute(unseen)
        await connection.execute(INSTALL)
        await assert_caught_up(followed.replica, connection)
