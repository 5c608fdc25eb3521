"""The change feed: what one step costs, with its look at the identity of tables and triggers, and without, as it was before."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg

from bench.figures import Figure, ratio, typical
from bench.stage import Stage, connected
from bench.turns import take_turns_async
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.reader import INLINE_CHANGES
from server.store import migrate
from server.store.embedded import EmbeddedPostgres
from server.store.migrations.scripts import SCRIPTS

STEP = "step"
PAIRS, WARM_UP = 2_000, 200
LIMIT = timedelta(seconds=10)
FILL = "INSERT INTO services (service_id) SELECT 's' || n FROM generate_series(1, 100000) AS n"
CHANGE = "UPDATE services SET team = $1 WHERE service_id = 's1'"

# As the migration before had them, under another name.
FORMER_SCRIPT = "0008_relation_identity.down.sql"
FORMER_STEP = re.compile(r"CREATE OR REPLACE FUNCTION depgraph_feed\.step\(.*?\n\$\$;", re.DOTALL)
FORMER_BEGIN = statements.BEGIN.replace(", depgraph_feed.change_log", "")
FORMER = statements.STEP.replace("depgraph_feed.next_step", "depgraph_feed.former_step")

Change = Callable[[], Awaitable[None]]


def measure(stage: Stage) -> Iterator[Figure]:
    """A step without news and one with a changed row, with 100,000 rows in the log."""
    yield from asyncio.run(_measure(stage.folder / "step"))


async def _measure(folder: Path) -> list[Figure]:
    async with EmbeddedPostgres(folder) as database:
        await migrate.upgrade(database.url)
        async with connected(database.url) as writer:
            await writer.execute(FILL)
            await writer.execute(_former_step())
            async with FeedConnection.open(database.url, LIMIT) as feed:
                await feed.row(statements.OPEN)
                idle = await _taken(feed, writer, changes=False)
                changed = await _taken(feed, writer, changes=True)
    return [*_figures("without news", *idle), *_figures("with a changed row", *changed)]


def _figures(when: str, now: list[float], former: list[float]) -> Iterator[Figure]:
    yield ratio(STEP, f"a step {when} / without a look at the identity", now, former, at_most=1.03)
    yield typical(STEP, f"  with it, {when}", now)
    yield typical(STEP, f"  without it, {when}", former)


def _former_step() -> str:
    found = FORMER_STEP.search((SCRIPTS / FORMER_SCRIPT).read_text(encoding="utf-8"))
    if found is None:
        raise LookupError(FORMER_SCRIPT)
    return found[0].replace("depgraph_feed.step", "depgraph_feed.former_step")


async def _taken(feed: FeedConnection, writer: asyncpg.Connection, *, changes: bool) -> list[list[float]]:
    cursor: str = await writer.fetchval("SELECT pg_current_snapshot()::text")
    if changes:
        # Every step finds it anew, since the cursor stays where it was.
        await writer.execute(CHANGE, "changed")

    def step(begin: str, query: str) -> Callable[[int], Awaitable[None]]:
        async def take(_: int) -> None:
            await feed.execute(begin)
            head = await feed.row(query, cursor, INLINE_CHANGES)
            await feed.execute(statements.COMMIT)
            if len(head["ids"]) != changes or head["incarnation"] is None or not head["usable"]:
                raise AssertionError(head)

        return take

    return await take_turns_async(
        step(statements.BEGIN, statements.STEP),
        step(FORMER_BEGIN, FORMER),
        pairs=PAIRS,
        warm_up=WARM_UP,
    )
