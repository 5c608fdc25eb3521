"""A dump is restored into a database while it is served, or into another cluster."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

import asyncpg
import pytest

from server.config import FeedSettings
from server.domain.errors import RevisionUnknownError
from server.domain.live_graph import AtLeastAsFresh
from server.domain.revision import Revision, Snapshot
from server.feed import ChangeLogReader, Vitals
from server.feed.change_log import prune
from server.feed.connection import FeedConnection
from server.replica import Replica
from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from tests.support.dumps import dump, restore, restored
from tests.support.eventually import eventually
from tests.support.following import PATIENCE, assert_caught_up, following, log_is_free
from tests.support.random_writer import RandomWriter
from tests.support.scene import Record, connected
from tests.support.witness import Witness
from tests.support.world import populate

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

Connection = asyncpg.Connection
QUICK = FeedSettings(
    poll_interval=timedelta(milliseconds=200),
    step_timeout=timedelta(seconds=15),
    reread_interval=timedelta(milliseconds=100),
)
GREEDY = FeedSettings(keep_log=timedelta(0), max_log_rows=0)
WRITERS = 3
BURNT_IDS = 20_000

# A block with a handler is a subtransaction, which takes an id of its own as soon as it writes.
BURN = f"""
CREATE TEMPORARY TABLE burnt (n integer);
DO $$
BEGIN
    FOR n IN 1..{BURNT_IDS} LOOP
        BEGIN
            INSERT INTO burnt VALUES (n);
        EXCEPTION WHEN division_by_zero THEN
            NULL;
        END;
    END LOOP;
END
$$
"""
FROM_THE_FUTURE = """
SELECT
    (SELECT count(*) FROM depgraph_feed.pruned
     WHERE pg_snapshot_xmax(up_to) > pg_snapshot_xmax(pg_current_snapshot()))
    + (SELECT count(*) FROM depgraph_feed.prune_mark
       WHERE pg_snapshot_xmax(snapshot) > pg_snapshot_xmax(pg_current_snapshot()))
    + (SELECT count(*) FROM depgraph_feed.change_log WHERE xid >= pg_snapshot_xmax(pg_current_snapshot()))
"""

both_ways = pytest.mark.parametrize("single_transaction", [True, False], ids=["at once", "step by step"])


class WhileTrusted:
    """
    A witness that compares only while no change can go unseen.

    Changes can go unseen until a restore has created the triggers.
    """

    def __init__(self) -> None:
        self.vitals = Vitals(QUICK)
        self.witness = Witness()

    async def __call__(self, replica: Replica, connection: FeedConnection) -> None:
        if self.vitals.trusted:
            await self.witness(replica, connection)


async def add(connection: Connection, name: str) -> Revision:
    """Create a service, and return the revision of that."""
    await connection.execute("INSERT INTO services (service_id) VALUES ($1)", name)
    return Revision.of(await connection.fetchval("SELECT depgraph_feed.revision()"))


async def alias(connection: Connection, service: str, name: str) -> None:
    await connection.execute(
        "INSERT INTO service_aliases (alias, service_id) SELECT $2, id FROM services WHERE service_id = $1",
        service,
        name,
    )


def names(replica: Replica) -> set[str]:
    return {service.name for service in replica.graph.services()}


def is_healthy(vitals: Vitals) -> bool:
    return vitals.health().problems == ()


@both_ways
async def test_after_a_restore_memory_equals_the_tables(
    database_url: str, connection: Connection, tmp_path: Path, *, single_transaction: bool
) -> None:
    async with following(database_url) as one, following(database_url) as other:
        await add(connection, "kept")
        await alias(connection, "kept", "alias")
        saved = await dump(database_url, tmp_path / "dump")
        await connection.execute("DELETE FROM service_aliases")
        later = await add(connection, "later")
        await alias(connection, "later", "alias")
        for replica in (one, other):
            await replica.at(AtLeastAsFresh(later), PATIENCE)
        await restore(saved, database_url, single_transaction=single_transaction)
        for replica in (one, other):
            await assert_caught_up(replica, connection)
            assert names(replica) == {"kept"}
            assert replica.graph.resolve("alias") == "kept"
            with pytest.raises(RevisionUnknownError):
                await replica.at(AtLeastAsFresh(later), PATIENCE)
        after = await add(connection, "after")
        for replica in (one, other):
            await replica.at(AtLeastAsFresh(after), PATIENCE)
            assert names(replica) == {"kept", "after"}
        assert one.position is not None
        assert other.position is not None
        assert one.position.feed_id == other.position.feed_id


@asynccontextmanager
async def writing(
    url: str, dice: Random, counts: Counter[str]
) -> AsyncIterator[Callable[[], Awaitable[None]]]:
    """Let random writers write; what it gives lets them finish, as its end does."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(RandomWriter(url, dice, counts).run(stop)) for _ in range(WRITERS)]

    async def quiet() -> None:
        stop.set()
        await asyncio.gather(*tasks)

    try:
        yield quiet
    finally:
        await quiet()


def rounds(dice: Random, seconds: float) -> Iterator[tuple[bool, float]]:
    """
    Yield how each restore is made and its delay in seconds after the previous one.

    Each way occurs at least twice, and more often until the time is over.
    """
    until = time.monotonic() + seconds
    while True:
        ways = [True, False] * 2
        dice.shuffle(ways)
        yield from ((way, dice.uniform(0.1, 0.6)) for way in ways)
        if time.monotonic() >= until:
            return


@pytest.mark.timeout(0)  # as long as the soak
async def test_restores_at_random_moments_leave_no_wrong_row(
    database_url: str,
    tmp_path: Path,
    seed: int,
    soak_seconds: float | None,
    record: Record,
) -> None:
    async with connected(database_url) as connection:
        await populate(connection)
    counts: Counter[str] = Counter()
    dice = Random(seed)  # noqa: S311 - a game of dice, no secret
    saved = await dump(database_url, tmp_path / "dump")
    witnesses = [WhileTrusted(), WhileTrusted()]
    async with AsyncExitStack() as stack:
        replicas = [
            await stack.enter_async_context(following(database_url, QUICK, witness, vitals=witness.vitals))
            for witness in witnesses
        ]
        for at_once, pause in rounds(dice, soak_seconds or 0):
            async with writing(database_url, dice, counts) as quiet:
                await asyncio.sleep(pause)
                if not at_once:
                    # Rows written into half a table could break the rules that come after them.
                    await quiet()
                while not await restored(saved, database_url, single_transaction=at_once):
                    counts["restores that lost a deadlock"] += 1
                counts["restores at once" if at_once else "restores step by step"] += 1
        async with connected(database_url) as connection:
            for replica, witness in zip(replicas, witnesses, strict=True):
                await assert_caught_up(replica, connection)
                await witness.witness.done()
                await eventually(partial(is_healthy, witness.vitals))
    record(
        {
            "fault": "restores at random moments",
            "steps compared": sum(witness.witness.comparisons for witness in witnesses),
            "mismatches": sum(witness.witness.mismatches for witness in witnesses),
            "counts": dict(counts),
        }
    )
    for witness in witnesses:
        assert witness.witness.mismatches == 0, witness.witness.first_difference
        assert witness.witness.comparisons > 0


async def test_marks_of_another_cluster_are_forgotten(
    database_url: str, connection: Connection, own_postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    # The dump comes from a cluster with higher transaction ids: its marks lie in the future of the
    # cluster that it is restored into.
    await connection.execute(BURN)
    await add(connection, "kept")
    await prune(database_url, GREEDY)
    await add(connection, "kept too")
    await connection.execute("TRUNCATE service_dependencies")
    saved = await dump(database_url, tmp_path / "dump")
    await restore(saved, own_postgres.url)
    async with connected(own_postgres.url) as reader:
        # The mark, the bound, and two rows of the log.
        assert await reader.fetchval(FROM_THE_FUTURE) == 4
    async with connected(own_postgres.url) as there, following(own_postgres.url, QUICK) as replica:
        await assert_caught_up(replica, there)
        await log_is_free(there)
        first = await add(there, "first")
        for number in range(5):
            await add(there, f"later {number}")
            await prune(own_postgres.url, FeedSettings(keep_log=timedelta(hours=1)))
            await assert_caught_up(replica, there)
        assert replica.status().warm_count == 1
        assert await there.fetchval(FROM_THE_FUTURE) == 0
        # A watcher that was away since the first write gets what has changed.
        here = replica.position
        assert here is not None
        since = Snapshot.parse(f"{first.xid}:{first.xid}:")
        history = ChangeLogReader(own_postgres.url, QUICK)
        changed = await history.changed(here.feed_id, since, here.snapshot, 100)
        assert changed is not None
        assert len(changed.services) == 5


async def test_a_dump_of_the_schema_before_can_be_restored_and_migrated(
    database_url: str, connection: Connection, tmp_path: Path
) -> None:
    await add(connection, "kept")
    await migrate.downgrade(database_url, "0007")
    saved = await dump(database_url, tmp_path / "dump")
    await migrate.upgrade(database_url)
    vitals = Vitals(QUICK)
    async with following(database_url, QUICK, vitals=vitals) as replica:
        await assert_caught_up(replica, connection)
        await add(connection, "later")
        # The dump knows no aliases: these must neither keep it from replacing services, nor stay.
        await alias(connection, "later", "alias")
        await connection.execute("UPDATE services SET service_id = 'renamed' WHERE service_id = 'kept'")
        await alias(connection, "renamed", "kept")
        # It can't drop the schema of the feed, in which the dump doesn't know everything.
        assert not await restored(saved, database_url)
        disconnects = vitals.disconnects
        await eventually(lambda: vitals.disconnects > disconnects)
        await migrate.upgrade(database_url)
        await assert_caught_up(replica, connection)
        assert names(replica) == {"kept"}
        assert replica.graph.alias_count == 0
        # Readers are woken a moment before the step is over.
        await eventually(partial(is_healthy, vitals))


async def test_an_incarnation_that_lost_its_key_in_a_restore_of_the_schema_before_gets_it_back(
    database_url: str, connection: Connection, tmp_path: Path
) -> None:
    await add(connection, "kept")
    await migrate.downgrade(database_url, "0007")
    saved = await dump(database_url, tmp_path / "dump")
    await migrate.upgrade(database_url)
    assert not await restored(saved, database_url)
    # As if readers had opened the feed while the restore had made the table but not yet its key.
    await connection.execute("ALTER TABLE depgraph_feed.incarnation DROP CONSTRAINT incarnation_pkey")
    await connection.execute("INSERT INTO depgraph_feed.incarnation SELECT FROM generate_series(1, 2)")
    await migrate.upgrade(database_url)
    async with following(database_url, QUICK) as replica:
        await assert_caught_up(replica, connection)
        assert names(replica) == {"kept"}
    assert await connection.fetchval("SELECT count(*) FROM depgraph_feed.incarnation") == 1
