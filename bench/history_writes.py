"""What the history costs those who write, and how much disk it takes."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from datetime import timedelta

import asyncpg

from bench.graphs import random_edges
from bench.measuring import Figure
from bench.stage import Stage, connected, embedded_url, serving, write_dependencies
from bench.writers import Bare, Batch, Repository, batches, database
from bench.writes import ROWS, compared, write_in_turns

_EVENTS = ("insert", "update", "delete", "truncate")
_AT_MOST = {"changed": 1.4, "heartbeat": 1.08}

# A company: what it is, and what a deployment changes of it. A day's worth is written and marked.
_SERVICES, _DEPENDENCIES, _DEPLOYMENTS_A_DAY, _DAYS = 5_000, 30_000, 200, 5
_DEPLOYMENT = """
WITH deployed AS (
    UPDATE services SET metadata = jsonb_build_object('version', $2::int, 'image', repeat('a', 60))
    WHERE service_id = 's' || $1::int RETURNING id
)
UPDATE service_dependencies SET timeout_ms = $2 FROM deployed WHERE source_service_id = deployed.id
"""
_OBSERVE_ALL = "UPDATE service_dependencies SET last_observed_at = clock_timestamp()"
_MARK = "SELECT depgraph_history.mark()"
_ENTRIES = """
SELECT (SELECT count(*) FROM depgraph_history.service_changes)
    + (SELECT count(*) FROM depgraph_history.dependency_changes)
"""
_SIZE = """
SELECT sum(pg_total_relation_size(c.oid))::bigint
FROM pg_class AS c
WHERE c.relnamespace = 'depgraph_history'::regnamespace AND c.relkind = 'r'
"""


def writes(stage: Stage) -> Iterator[Figure]:
    """Each writer with history, without its triggers, and with history off; then a year's disk."""
    folder = stage.folder / "history-writes"
    with serving(folder):
        url = embedded_url(folder)
        yield from asyncio.run(_compare_writers(url))
        yield from asyncio.run(_measure_disk(url))


async def _compare_writers(url: str) -> list[Figure]:
    async with AsyncExitStack() as stack:
        logged, absent, off = [await database(url, f"history_{name}") for name in ("logged", "absent", "off")]
        await _execute(absent, *_without_triggers())
        await _execute(off, "SELECT depgraph_history.set_switch(false)")
        plain = [
            await stack.enter_async_context(Bare.opened(each, with_triggers=True))
            for each in (logged, absent, off)
        ]
        by_plain_sql = await write_in_turns(plain, ROWS, _batches)
        own = [await stack.enter_async_context(Repository.opened(each)) for each in (logged, absent)]
        by_server = await write_in_turns(own, ROWS, _batches)
        bytes_a_change = await _bytes_a_change(logged)
    figures: list[Figure] = []
    for kind in by_plain_sql:
        what, bar = f"upsert of {ROWS:,} {kind} rows", _AT_MOST.get(kind)
        with_history, without, switched_off = by_plain_sql[kind]
        figures += compared(
            f"{what} by plain SQL", ("with history", with_history), ("without", without), at_most=bar
        )
        figures += compared(
            f"{what} by plain SQL", ("history off", switched_off), ("without", without), at_most=1.08
        )
        with_history, without = by_server[kind]
        figures += compared(
            f"{what} by the server", ("with history", with_history), ("without", without), at_most=bar
        )
    return [*figures, Figure("a change of a dependency, with its index", bytes_a_change, "bytes")]


def _batches(rows: int, place: int, number: int) -> Iterator[Batch]:
    """New rows; the same with another time limit; these observed again, a second later."""
    new, changed, _ = batches(rows, place, number)
    yield from (new, changed)
    second = timedelta(seconds=1)
    yield Batch(
        "heartbeat",
        [
            draft._replace(last_observed_at=draft.last_observed_at and draft.last_observed_at + second)
            for draft in changed.drafts
        ],
    )


def _without_triggers() -> Iterator[str]:
    for event in _EVENTS:
        yield f"ALTER TABLE service_dependencies DISABLE TRIGGER depgraph_history_{event}"


async def _execute(url: str, *statements: str) -> None:
    async with connected(url) as connection:
        for statement in statements:
            await connection.execute(statement)


async def _bytes_a_change(url: str) -> float:
    """On what the writers left, packed anew: an entry that says all, and its place in the index."""
    async with connected(url) as connection:
        await connection.execute("DELETE FROM depgraph_history.dependency_changes WHERE NOT existed")
        await connection.execute("VACUUM FULL depgraph_history.dependency_changes", timeout=600)
        size: float = await connection.fetchval(
            "SELECT pg_total_relation_size('depgraph_history.dependency_changes')::float8 / count(*)"
            " FROM depgraph_history.dependency_changes"
        )
        return size


async def _measure_disk(url: str) -> list[Figure]:
    async with connected(await database(url, "history_disk")) as connection:
        edges = random_edges("history", _SERVICES, _DEPENDENCIES)
        await write_dependencies(connection, edges)
        await connection.fetchval(_MARK)
        _, entries_before = await _usage(connection)
        await connection.execute(_OBSERVE_ALL, timeout=600)
        observed, entries_observed = await _usage(connection)
        for number in range(_DAYS * _DEPLOYMENTS_A_DAY):
            await connection.execute(_DEPLOYMENT, number % _SERVICES, number + 1)
            assert await connection.fetchval(_MARK) == "marked"
        after, entries = await _usage(connection)
    company = f"{_SERVICES:,} services, {_DEPENDENCIES:,} dependencies"
    return [
        Figure(f"{company}: all observed: entries", entries_observed - entries_before, "", at_most=0),
        Figure(
            f"{company}: entries a day of {_DEPLOYMENTS_A_DAY} deployments",
            (entries - entries_observed) / _DAYS,
            "",
        ),
        Figure("  disk a year, marks and indexes included", (after - observed) / _DAYS * 365 / 1e6, "MB"),
    ]


async def _usage(connection: asyncpg.Connection) -> tuple[int, int]:
    return await connection.fetchval(_SIZE), await connection.fetchval(_ENTRIES)
