"""Detection: seconds from commit to alert, and what a change without cycles costs it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from itertools import pairwise
from typing import Any

import asyncpg

from bench.graphs import Edges, big100k
from bench.measuring import Figure, quantile_figure, ratio, take_turns_async, typical
from bench.server_process import serving
from bench.stage import Stage, connected, embedded_url, write_dependencies, write_services
from graphcore import ChangeSet, DependencyGraph
from graphcore.graph.flags import STALE
from server.concurrency import SharedComponentSearch
from server.config import DetectionSettings
from server.detection.causes import GraphEventLog
from server.detection.detector import Detector
from server.detection.health import DetectionVitals
from server.domain.detection import AlertChange, CyclePath, KeptAlert, Membership
from server.domain.live_graph import Consistency, FeedState, Freshness, ReplicaStatus
from server.domain.revision import Revision

PART = "detection"
SERVICES, DEPENDENCIES = 350, 4_000
SAMPLES, WARM_UP = 250, 20
WHOLE_SAMPLES = 20
PAIRS = 300
TWO = """
INSERT INTO services (service_id) VALUES ('one'), ('other');
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT a.id, b.id, 'sync' FROM services AS a, services AS b
WHERE a.service_id = 'one' AND b.service_id = 'other';
"""
CLOSE = """
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT b.id, a.id, 'sync' FROM services AS a, services AS b
WHERE a.service_id = 'one' AND b.service_id = 'other'
"""
OPEN = """
DELETE FROM service_dependencies
WHERE source_service_id = (SELECT id FROM services WHERE service_id = 'other')
"""
SET_STALE = "UPDATE service_dependencies SET is_stale = $1 WHERE is_stale <> $1"
SEEN = "SELECT COALESCE(max(id), 0) FROM circular_dependency_alert_events"


def measure(stage: Stage) -> Iterator[Figure]:
    """From commit to alert; then rounds of detection beside the changes that led to them."""
    folder = stage.folder / PART
    with serving(folder):
        yield from asyncio.run(_followed(embedded_url(folder)))
    yield from asyncio.run(_rounds())


async def _followed(url: str) -> list[Figure]:
    async with connected(url) as connection:
        graph = _component()
        await write_services(connection, graph)
        whole = [await _seconds_to_event(connection, write_dependencies(connection, graph))]
        whole += [
            await _seconds_to_event(connection, connection.execute(SET_STALE, bool(number % 2)))
            for number in range(1, 2 * WHOLE_SAMPLES)
        ]
        await connection.execute(TWO)
        taken = [
            await _seconds_to_event(connection, connection.execute(OPEN if number % 2 else CLOSE))
            for number in range(WARM_UP + SAMPLES)
        ][WARM_UP:]
        looks = [await _look(connection) for _ in range(SAMPLES)]
    shape = f"{SERVICES} services among {DEPENDENCIES:,} dependencies"
    # Every other one makes them fresh, so that the cycles are there again.
    return [
        quantile_figure(PART, f"{shape} at once: commit to alert, p50", whole[2::2], 0.5, at_most=1_000),
        quantile_figure(
            PART, "a cycle made or broken beside them: commit to alert, p50", taken, 0.5, at_most=50
        ),
        quantile_figure(PART, "  the same, p99", taken, 0.99),
        quantile_figure(PART, "  a look at the history, p50: how finely was looked", looks, 0.5),
    ]


def _component() -> Edges:
    """A cycle through all services, and random pairs."""
    chooser = random.Random(6)
    order = chooser.sample(range(SERVICES), SERVICES)
    pairs = dict.fromkeys(pairwise([*order, order[0]]))
    while len(pairs) < DEPENDENCIES:
        source, target = chooser.sample(range(SERVICES), 2)
        pairs[source, target] = None
    return Edges("component", SERVICES, list(pairs))


async def _seconds_to_event(connection: asyncpg.Connection, edit: Any) -> float:
    """Make an edit; returns the seconds from its commit until the history has an event."""
    before = await connection.fetchval(SEEN)
    await edit
    committed = time.perf_counter()
    while await connection.fetchval(SEEN) == before:  # noqa: ASYNC110 - an event of the server
        await asyncio.sleep(0)
    return time.perf_counter() - committed


async def _look(connection: asyncpg.Connection) -> float:
    began = time.perf_counter()
    await connection.fetchval(SEEN)
    return time.perf_counter() - began


class _Live:
    """A graph that the bench changes itself."""

    def __init__(self, graph: DependencyGraph) -> None:
        self.graph = graph

    @property
    def position(self) -> None:
        return None

    def now(self) -> DependencyGraph:
        return self.graph

    @asynccontextmanager
    async def read_lock(self) -> AsyncIterator[None]:
        yield

    async def at(self, _wanted: Consistency, _within: timedelta | None) -> DependencyGraph:
        return self.graph

    def freshness(self) -> Freshness:
        return Freshness("", timedelta())

    def holds(self, _revision: Revision) -> bool:
        return True

    def status(self) -> ReplicaStatus:
        return ReplicaStatus(FeedState.FOLLOWING, timedelta(), 0, ())


class _Ledger:
    """Holds what was written, and finds nothing else."""

    async def tracked(self) -> list[KeptAlert]:
        return []

    @asynccontextmanager
    async def round(self) -> AsyncIterator[None]:
        yield

    async def note_caught_up(self) -> None:
        """Be there."""

    async def trim(self) -> bool:
        return False

    async def lock(self, alerts: Sequence[KeptAlert]) -> list[KeptAlert]:
        return list(alerts)

    async def candidates(
        self, _cycles: Sequence[CyclePath], _memberships: Sequence[Membership]
    ) -> list[KeptAlert]:
        return []

    async def write(self, changes: Sequence[AlertChange]) -> None:
        """Take note."""


async def _rounds() -> list[Figure]:
    graph, ledger, chooser = big100k().graph(), _Ledger(), random.Random(7)
    events = GraphEventLog(0.0)
    detector = Detector(_Live(graph), events, DetectionSettings(), DetectionVitals(), SharedComponentSearch())
    await detector.catch_up(ledger)
    records = graph.dependencies()

    def touched(number: int) -> ChangeSet:
        record = records[chooser.randrange(len(records))]
        return ChangeSet(upserted_dependencies=[record._replace(payload=number)])

    async def applied(number: int) -> None:
        graph.apply(touched(number))

    async def idle(number: int) -> None:
        graph.apply(touched(number))
        events.graph_moved(())
        await detector.catch_up(ledger)

    def flipped() -> ChangeSet:
        place = chooser.randrange(len(records))
        records[place] = records[place]._replace(flags=records[place].flags ^ STALE)
        return ChangeSet(upserted_dependencies=[records[place]])

    async def recounted(_: int) -> None:
        graph.apply(flipped())
        events.graph_moved(())
        await detector.catch_up(ledger)

    alone, followed = await take_turns_async(applied, idle, pairs=PAIRS)
    (inside,) = await take_turns_async(recounted, pairs=PAIRS)
    return _round_figures(alone, followed, inside)


def _round_figures(alone: list[float], followed: list[float], inside: list[float]) -> list[Figure]:
    return [
        ratio(
            PART,
            "big100k, a change without meaning for cycles: applied and followed / applied",
            followed,
            alone,
            at_most=2,
        ),
        typical(PART, "  applied", alone),
        typical(PART, "  applied and followed", followed),
        typical(PART, "  a dependency of its component of 99,830 fresh or stale, followed", inside, "ms"),
        quantile_figure(PART, "  the same, p99", inside, 0.99),
    ]
