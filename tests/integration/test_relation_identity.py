"""
The tables and functions that the feed relies on are swapped or altered.

Within a step the graph equals the tables again, or a problem says what is wrong.
"""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

import asyncpg
import pytest

from server.config import FeedSettings
from server.domain.errors import RevisionUnknownError
from server.domain.live_graph import AtLeastAsFresh, FullyConsistent
from server.domain.revision import Revision
from server.feed import ChangeLogReader, Vitals
from server.feed.change_log import prune
from tests.support.auditing import audited
from tests.support.eventually import eventually
from tests.support.following import (
    PATIENCE,
    SETTINGS,
    assert_caught_up,
    following,
    log_is_free,
    memory,
    tables,
)

Connection = asyncpg.Connection

ROWS = """
INSERT INTO services (service_id, team, created_at)
SELECT 's' || n, 'before', '2020-01-01Z' FROM generate_series(1, 6) AS n;
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT a.id, b.id, 'sync'
FROM services AS a
JOIN services AS b ON substr(b.service_id, 2)::int = substr(a.service_id, 2)::int + 1;
INSERT INTO service_aliases (alias, service_id) SELECT 'alias', id FROM services WHERE service_id = 's1';
"""
UNSEEN_ALIAS = "UPDATE service_aliases SET alias = 'unseen'"
UNSEEN = "UPDATE services SET team = 'unseen'"


@dataclass(frozen=True, slots=True)
class Swap:
    """
    Statements that change rows past the log, or could.

    ``fault`` is part of the problem that they leave behind, if any. ``changes_rows``: the graph
    would be wrong if the feed missed the change.
    """

    statements: tuple[str, ...]
    fault: str = ""
    changes_rows: bool = True


SWAPS = {
    "columns computed anew": Swap(
        ("ALTER TABLE services ALTER COLUMN team TYPE varchar(255) USING upper(team)",)
    ),
    "a column dropped and added": Swap(
        (
            "ALTER TABLE services DROP COLUMN team",
            "ALTER TABLE services ADD COLUMN team varchar(255) DEFAULT 'other'",
        )
    ),
    "columns that change places": Swap(
        (
            "ALTER TABLE services RENAME COLUMN created_at TO moved",
            "ALTER TABLE services RENAME COLUMN updated_at TO created_at",
            "ALTER TABLE services RENAME COLUMN moved TO updated_at",
        )
    ),
    "a table made unlogged": Swap(
        ("ALTER TABLE service_dependencies SET UNLOGGED",),
        changes_rows=False,
    ),
    "another table of that name": Swap(
        (
            "CREATE TABLE other (LIKE service_dependencies INCLUDING ALL)",
            "INSERT INTO other SELECT * FROM service_dependencies LIMIT 2",
            "ALTER TABLE service_dependencies RENAME TO former",
            "ALTER TABLE other RENAME TO service_dependencies",
        ),
        fault="service_dependencies.depgraph_feed_insert",
    ),
    "a table moved away and another moved in": Swap(
        (
            "CREATE SCHEMA attic",
            "CREATE TABLE attic.other (LIKE service_dependencies INCLUDING ALL)",
            "ALTER TABLE service_dependencies SET SCHEMA attic",
            "ALTER TABLE attic.other RENAME TO former",
            "ALTER TABLE attic.service_dependencies RENAME TO kept",
            "ALTER TABLE attic.former RENAME TO service_dependencies",
            "ALTER TABLE attic.service_dependencies SET SCHEMA public",
        ),
        fault="service_dependencies.depgraph_feed_insert",
    ),
    "triggers off and on again": Swap(
        (
            "ALTER TABLE services DISABLE TRIGGER depgraph_feed_update",
            UNSEEN,
            "ALTER TABLE services ENABLE ALWAYS TRIGGER depgraph_feed_update",
        )
    ),
    "a trigger made anew, for some columns only": Swap(
        (
            """CREATE OR REPLACE TRIGGER depgraph_feed_update AFTER UPDATE OF criticality ON services
            FOR EACH STATEMENT EXECUTE FUNCTION depgraph_feed.log_truncate(1)""",
            "ALTER TABLE services ENABLE ALWAYS TRIGGER depgraph_feed_update",
            UNSEEN,
        ),
        fault="services.depgraph_feed_update",
    ),
    "a function of a trigger swapped": Swap(
        (
            """CREATE OR REPLACE FUNCTION depgraph_feed.log_update() RETURNS trigger
            LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'""",
            UNSEEN,
        ),
        fault="services.depgraph_feed_update",
    ),
    "the log truncated": Swap((UNSEEN, "TRUNCATE depgraph_feed.change_log")),
    "the log replaced": Swap(
        (
            UNSEEN,
            "ALTER TABLE depgraph_feed.change_log RENAME TO former",
            "CREATE TABLE depgraph_feed.change_log (LIKE depgraph_feed.former INCLUDING ALL)",
        )
    ),
    "marks of pruning replaced": Swap(
        (
            "ALTER TABLE depgraph_feed.pruned RENAME TO former",
            "CREATE TABLE depgraph_feed.pruned (LIKE depgraph_feed.former INCLUDING ALL)",
        ),
        changes_rows=False,
    ),
    "the incarnation replaced by a copy": Swap(
        (
            "ALTER TABLE depgraph_feed.incarnation RENAME TO former",
            "CREATE UNLOGGED TABLE depgraph_feed.incarnation (LIKE depgraph_feed.former INCLUDING ALL)",
            "INSERT INTO depgraph_feed.incarnation SELECT * FROM depgraph_feed.former",
        ),
        changes_rows=False,
    ),
    "another table of aliases": Swap(
        (
            "CREATE TABLE other (LIKE service_aliases INCLUDING ALL)",
            "ALTER TABLE service_aliases RENAME TO former",
            "ALTER TABLE other RENAME TO service_aliases",
        ),
        fault="service_aliases.depgraph_feed_insert",
    ),
    "triggers of aliases off and on again": Swap(
        (
            "ALTER TABLE service_aliases DISABLE TRIGGER depgraph_feed_update",
            UNSEEN_ALIAS,
            "ALTER TABLE service_aliases ENABLE ALWAYS TRIGGER depgraph_feed_update",
        )
    ),
    "the function of the triggers of aliases swapped": Swap(
        (
            """CREATE OR REPLACE FUNCTION depgraph_feed.log_alias() RETURNS trigger
            LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'""",
            UNSEEN_ALIAS,
        ),
        fault="service_aliases.depgraph_feed_update",
    ),
    "the log of aliases truncated": Swap((UNSEEN_ALIAS, "TRUNCATE depgraph_feed.alias_log")),
    "a table that others inherit from": Swap(
        (
            "CREATE TABLE child () INHERITS (services)",
            "INSERT INTO child (id, service_id) VALUES (gen_random_uuid(), 'past the trigger')",
        ),
        fault="public.services has partitions or child tables",
    ),
    "a table attached as a partition": Swap(
        (
            "CREATE TABLE whole (LIKE service_dependencies) PARTITION BY LIST (discovery_source)",
            "ALTER TABLE whole ATTACH PARTITION service_dependencies DEFAULT",
            "UPDATE whole SET timeout_ms = 7",
        ),
        fault="public.service_dependencies is a partition or a child",
    ),
}

swaps = pytest.mark.parametrize("swap", SWAPS.values(), ids=SWAPS.keys())


async def execute(connection: Connection, statements: Iterable[str], *, at_once: bool = False) -> None:
    if at_once:
        await connection.execute(f"BEGIN; {'; '.join(statements)}; COMMIT")
    else:
        for statement in statements:
            await connection.execute(statement)


async def revision_now(connection: Connection) -> Revision:
    return Revision.of(await connection.fetchval("SELECT depgraph_feed.revision()"))


def is_told(vitals: Vitals, fault: str) -> bool:
    """Whether problems are just what a swap has left behind."""
    problems = " ".join(vitals.health().problems)
    return fault in problems if fault else not problems


@swaps
@pytest.mark.parametrize("at_once", [True, False], ids=["in one transaction", "in several"])
async def test_after_a_swap_memory_equals_the_tables_within_a_step(
    database_url: str, connection: Connection, swap: Swap, *, at_once: bool
) -> None:
    await connection.execute(ROWS)
    async with audited(database_url, SETTINGS) as followed:
        await assert_caught_up(followed.replica, connection)
        before = await revision_now(connection)
        await execute(connection, swap.statements, at_once=at_once)
        await assert_caught_up(followed.replica, connection)
        # Readers are woken a moment before the step is over.
        await eventually(lambda: is_told(followed.vitals, swap.fault))
        # What has changed since is no longer known.
        with pytest.raises(RevisionUnknownError):
            await followed.replica.at(AtLeastAsFresh(before), PATIENCE)
        history = ChangeLogReader(database_url, SETTINGS)
        here = followed.replica.position
        assert here is not None
        assert await history.changed(before.feed_id, here.snapshot, here.snapshot, 1_000) is None
        # What comes afterwards stacks on top of what the tables hold now.
        await connection.execute("DELETE FROM services WHERE service_id = 's3'")
        if not swap.fault:
            await assert_caught_up(followed.replica, connection)


@pytest.mark.parametrize("name", [name for name, swap in SWAPS.items() if swap.changes_rows])
async def test_a_swap_goes_unseen_where_nobody_looks_at_the_identity(
    database_url: str, connection: Connection, name: str
) -> None:
    # Shows that the test above can fail.
    await connection.execute(
        "CREATE OR REPLACE FUNCTION depgraph_feed.identity() RETURNS text"
        " LANGUAGE sql STABLE AS $$ SELECT 'always' $$"
    )
    await connection.execute(ROWS)
    async with following(database_url) as replica:
        await assert_caught_up(replica, connection)
        await execute(connection, SWAPS[name].statements, at_once=True)
        await replica.at(FullyConsistent(), PATIENCE)
        assert memory(replica) != await tables(connection)


@pytest.mark.parametrize(
    "harmless",
    [
        "VACUUM FULL services",
        "CLUSTER service_dependencies USING service_dependencies_pkey",
        "ANALYZE",
        "CREATE INDEX one_more ON services (team, criticality)",
        "GRANT SELECT ON services TO PUBLIC",
        "CREATE TRIGGER of_others AFTER INSERT ON services EXECUTE FUNCTION depgraph_feed.log_truncate(1)",
        "TRUNCATE service_dependencies",
        "VACUUM FULL service_aliases",
        "TRUNCATE service_aliases",
    ],
)
async def test_what_changes_no_row_past_the_log_refuses_no_revision(
    database_url: str, connection: Connection, harmless: str
) -> None:
    await connection.execute(ROWS)
    async with following(database_url) as replica:
        await assert_caught_up(replica, connection)
        before = await revision_now(connection)
        await connection.execute(harmless)
        await replica.at(AtLeastAsFresh(before), PATIENCE)
        await assert_caught_up(replica, connection)


async def test_while_changes_go_unseen_everything_is_read_again_and_again(
    database_url: str, connection: Connection
) -> None:
    await connection.execute(ROWS)
    async with audited(database_url) as followed:
        await connection.execute("ALTER TABLE services DISABLE TRIGGER depgraph_feed_update")
        await eventually(lambda: not followed.vitals.trusted)
        await connection.execute(UNSEEN)
        expected = await tables(connection)
        await eventually(lambda: memory(followed.replica) == expected)
        assert not followed.vitals.trusted
        await connection.execute("SELECT depgraph_feed.install_triggers()")
        await eventually(lambda: followed.vitals.trusted)
        warms = followed.replica.status().warm_count
        await assert_caught_up(followed.replica, connection)
        assert followed.replica.status().warm_count <= warms + 1


async def test_several_replicas_agree_on_the_new_incarnation(
    database_url: str, connection: Connection
) -> None:
    await connection.execute(ROWS)
    async with following(database_url) as one, following(database_url) as other:
        await connection.execute("; ".join(SWAPS["triggers off and on again"].statements))
        # Both notice at once.
        await asyncio.gather(*(replica.at(FullyConsistent(), PATIENCE) for replica in (one, other)))
        revision = await revision_now(connection)
        for replica in (one, other):
            await replica.at(AtLeastAsFresh(revision), PATIENCE)
            await assert_caught_up(replica, connection)
        assert one.position is not None
        assert other.position is not None
        assert one.position.feed_id == other.position.feed_id
        assert memory(one) == memory(other)


async def test_nobody_prunes_what_changes_while_everything_is_read(
    database_url: str, connection: Connection
) -> None:
    await connection.execute(ROWS)
    reading, go_on = asyncio.Event(), asyncio.Event()

    async def hold_up(*_: object) -> None:
        reading.set()
        await go_on.wait()

    greedy = FeedSettings(keep_log=timedelta(0), max_log_rows=0)
    following_slowly = asyncio.create_task(_changes_seen(database_url, connection, hold_up))
    await reading.wait()
    await connection.execute("UPDATE services SET team = 'meanwhile'")
    assert [await prune(database_url, greedy) for _ in range(3)] == [0, 0, 0]
    go_on.set()
    assert await following_slowly == 1
    await log_is_free(connection)
    removed = [await prune(database_url, greedy) for _ in range(3)]
    assert sum(removed) == 6 + 5 + 1 + 6


async def _changes_seen(url: str, connection: Connection, hold_up: object) -> int:
    async with following(url, observe=hold_up) as replica:  # type: ignore[arg-type]
        await assert_caught_up(replica, connection)
        return replica.status().warm_count


async def test_who_wrote_under_a_swapped_function_is_seen_when_it_commits_after_that_was_put_back(
    database_url: str, connection: Connection
) -> None:
    definition: str = await connection.fetchval(
        "SELECT pg_get_functiondef('depgraph_feed.log_update()'::regprocedure)"
    )
    late = await asyncpg.connect(database_url)
    await connection.execute(ROWS)
    async with following(database_url) as replica:
        await assert_caught_up(replica, connection)
        await connection.execute(SWAPS["a function of a trigger swapped"].statements[0])
        # Swapping a function waits for no writer, as DDL on a trigger or a table does.
        await late.execute(f"BEGIN; {UNSEEN}")
        await connection.execute(definition)
        await assert_caught_up(replica, connection)
        async with following(database_url) as newcomer:
            await assert_caught_up(newcomer, connection)
            here = newcomer.position
            assert here is not None
            await late.execute("COMMIT")
            await assert_caught_up(replica, connection)
            await assert_caught_up(newcomer, connection)
            there = newcomer.position
            assert there is not None
            history = ChangeLogReader(database_url, SETTINGS)
            assert await history.changed(here.feed_id, here.snapshot, there.snapshot, 1_000) is None
    await late.close()
