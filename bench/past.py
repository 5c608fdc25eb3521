"""Reading the past: the graph as of yesterday, the first time and after, and what it takes."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any, cast

import asyncpg

from bench.graphs import big100k
from bench.measuring import Figure, stopwatch, take_turns_async, typical
from bench.stage import Stage, connected
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.types_pb2 import Consistency
from graphcore import DependencyGraph
from server.concurrency import SharedComponentSearch
from server.config import Limits
from server.domain.history import Mark
from server.domain.live_graph import AsOf
from server.feed import statements
from server.feed.connection import FeedConnection
from server.feed.reader import SnapshotReader
from server.lifecycle.runtime import freeze_garbage_collector
from server.replica import KeptPasts, Replica
from server.replica.load import apply_in_parts, copy_of, dismantle
from server.replica.step import Step
from server.rpc.graph.servicer import GraphServicer
from server.store.database import Database
from server.store.history import HistoryReader

BAR_SECONDS = 1.0
ROUNDS = 5
LIMIT = timedelta(minutes=2)
# A day's churn of 1 %: half of the rows changed, the others came or went; a fifth of the services
# were renamed.
_CHURN = """
UPDATE service_dependencies SET timeout_ms = 77
WHERE id IN (SELECT id FROM service_dependencies ORDER BY random() LIMIT {dependencies} / 2);
DELETE FROM service_dependencies
WHERE id IN (SELECT id FROM service_dependencies ORDER BY random() LIMIT {dependencies} / 4);
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode, discovery_source)
SELECT source.id, target.id, 'sync', 'catalog'
FROM (SELECT id, row_number() OVER (ORDER BY random()) AS place FROM services) AS source
JOIN (SELECT id, row_number() OVER (ORDER BY random()) AS place FROM services) AS target USING (place)
WHERE source.id <> target.id
ORDER BY place
LIMIT {dependencies} / 4
ON CONFLICT DO NOTHING;
UPDATE services SET team = 'new' WHERE id IN (SELECT id FROM services ORDER BY random() LIMIT {services} / 2);
UPDATE services SET service_id = service_id || '-' || left(id::text, 8)
WHERE id IN (SELECT id FROM services ORDER BY random() LIMIT {services} / 5);
DELETE FROM services WHERE id IN (SELECT id FROM services ORDER BY random() LIMIT {services} * 15 / 100);
INSERT INTO services (service_id) SELECT gen_random_uuid() FROM generate_series(1, {services} * 15 / 100);
"""
_DECAY = """
BEGIN;
SET LOCAL depgraph.staleness = 'swept';
UPDATE service_dependencies SET reported_confidence = confidence_score, confidence_score = 0.5
WHERE id IN (SELECT id FROM service_dependencies WHERE reported_confidence IS NULL LIMIT {dependencies});
COMMIT;
"""


def measure(stage: Stage) -> Iterator[Figure]:
    """A million dependencies as of before some churn, and beside confidences that have decayed."""
    with stage.server(big100k()) as (_, url):
        yield from asyncio.run(_measure(url))


async def _measure(url: str) -> list[Figure]:
    async with (
        connected(url) as connection,
        FeedConnection.open(url, LIMIT) as feed,
        Database.open(url) as database,
    ):
        past = Past(connection, feed, HistoryReader(database))
        figures = await past.after("1 % churn", 0.01, at_most=BAR_SECONDS)
        figures += await past.answers()
        figures += await past.after("10 % more", 0.10)
        return figures + await past.after_decay(100_000)


class Past:
    """A replica in this process, and readings of its past."""

    def __init__(self, connection: asyncpg.Connection, feed: FeedConnection, reader: HistoryReader) -> None:
        self.connection = connection
        self.feed = feed
        self.reader = reader
        self.replica = Replica(LIMIT)
        self.before = datetime.now(UTC)

    async def after(self, what: str, share: float, at_most: float | None = None) -> list[Figure]:
        """Let so many rows change; the graph as of before."""
        before = await self._marked()
        edges = big100k()
        counts = {"dependencies": int(len(edges.pairs) * share), "services": int(edges.nodes * share)}
        await self.connection.execute(_CHURN.format(**counts), timeout=1_800)
        await self._marked()
        await self._read_anew()
        return await self._figures(what, before, at_most)

    async def after_decay(self, dependencies: int) -> list[Figure]:
        """Let confidences decay; the graph as of the last mark, without any change since."""
        await self.connection.execute(_DECAY.format(dependencies=dependencies), timeout=1_800)
        before = await self._marked()
        await self._read_anew()
        return await self._figures(f"{dependencies:,} decayed confidences, no change", before, None)

    async def _marked(self) -> datetime:
        await self.connection.execute("VACUUM ANALYZE", timeout=1_800)
        await self.connection.execute("SELECT depgraph_history.mark()")
        at: datetime = await self.connection.fetchval("SELECT max(at) FROM depgraph_history.marks")
        return at

    async def _read_anew(self) -> None:
        self.replica = Replica(LIMIT)
        self.replica.settled, self.replica.copied = freeze_garbage_collector, gc.freeze
        feed_id = (await self.feed.row(statements.OPEN))[0]
        await SnapshotReader(self.feed, feed_id, self.replica).advance(whole=True)

    async def _figures(self, what: str, before: datetime, at_most: float | None) -> list[Figure]:
        whole, memory = [], []
        for _ in range(ROUNDS):
            self.replica.past = past = KeptPasts(self.replica, self.reader)
            resident = _resident_mib()
            with stopwatch() as first:
                reading = await self.replica.at(AsOf(before), LIMIT)
            whole.append(first.seconds)
            memory.append(_resident_mib() - resident)
            del past
            await dismantle(reading.graph)
        self.before = before
        of = f"big100k, as of before {what}"
        parts = await self._parts(before)
        return [
            Figure(f"{of}: the first answer", median(whole), "s", at_most=at_most, calls=ROUNDS),
            *(typical(f"  {part}", taken, "ms") for part, taken in parts.items()),
            Figure("  memory of the first such graph", memory[0], "MiB"),
        ]

    async def _parts(self, before: datetime) -> dict[str, list[float]]:
        parts: dict[str, list[float]] = {
            part: [] for part in ("the mark", "copy of the live graph", "rows and records", "undoing")
        }
        for _ in range(ROUNDS):
            for part, seconds in zip(parts, await self._timed(before), strict=True):
                parts[part].append(seconds)
        return parts

    async def _timed(self, before: datetime) -> list[float]:
        position = self.replica.position
        assert position is not None
        with stopwatch() as marking:
            mark = await self.reader.mark_at(before)
        assert mark is not None
        with stopwatch() as copying:
            graph = await copy_of(self.replica.now(), len(big100k().pairs) // 64, gc.freeze)
        with stopwatch() as reading:
            step, changes = await self._changes(graph, mark)
        with stopwatch() as undoing:
            await apply_in_parts(graph, changes)
        assert len(step)
        await dismantle(graph)
        return [each.seconds for each in (marking, copying, reading, undoing)]

    async def _changes(self, graph: DependencyGraph, mark: Mark) -> tuple[Step, Any]:
        assert self.replica.position is not None
        step = Step(graph, lambda _: gc.freeze())
        async with aclosing(self.reader.rows_at(mark, self.replica.position)) as rows:
            return step, await step.read(rows)

    async def answers(self) -> list[Figure]:
        """The same walk in the live graph, and in one that is kept."""
        self.replica.past = KeptPasts(self.replica, self.reader)
        nothing = cast("Any", None)
        servicer = GraphServicer(self.replica, nothing, Limits(), SharedComponentSearch(), nothing)
        context = cast("Any", SimpleNamespace(time_remaining=lambda: 60.0))
        then = Consistency()
        # Not the mark itself: a kept graph answers up to the next one.
        then.as_of.FromDatetime(self.before + timedelta(microseconds=1))
        names = [record.name for record in self.replica.now().services()[:1_000]]

        def walk(wanted: Consistency | None, number: int) -> Any:
            name = names[number % len(names)]
            request = pb.TraverseRequest(
                service_id=name, direction=pb.DIRECTION_DOWNSTREAM, max_depth=1, consistency=wanted
            )
            return servicer.Traverse(request, context)

        live, past = await take_turns_async(
            lambda number: walk(None, number), lambda number: walk(then, number)
        )
        return [
            typical("Traverse of one hop, now", live),
            typical("Traverse of one hop, as of yesterday, kept", past),
        ]


def _resident_mib() -> float:
    line = next(
        each for each in Path("/proc/self/status").read_text().splitlines() if each.startswith("VmRSS")
    )
    return int(line.split()[1]) / 1024
