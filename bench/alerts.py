"""Alerts: seconds from commit to alert, what changes cost detection, and reads by RPC."""

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager

import grpc

from bench.graphs import StillGraph, big100k, ring
from bench.measuring import Figure, over, quantile_figure, ratio, take_turns, take_turns_async, typical
from bench.stage import (
    CONNECT,
    DISCONNECT,
    LATEST_EVENT,
    Stage,
    connected,
    embedded_url,
    seconds_to_event,
    serving,
    write_dependencies,
    write_services,
)
from depgraph.v1 import alert_service_pb2 as pb
from depgraph.v1.alert_service_pb2_grpc import AlertServiceStub
from graphcore import ChangeSet
from graphcore.graph.flags import STALE
from server.concurrency import SharedComponentSearch
from server.config import DetectionSettings
from server.detection.causes import GraphEventLog
from server.detection.detector import Detector
from server.detection.health import DetectionVitals
from server.domain.detection import AlertChange, CyclePath, KeptAlert, Membership

SERVICES, DEPENDENCIES = 350, 4_000
SAMPLES, WARM_UP = 250, 20
WHOLE_SAMPLES = 20
PAIRS = 300
TWO = "INSERT INTO services (service_id) VALUES ('one'), ('other')"
SET_STALE = "UPDATE service_dependencies SET is_stale = $1 WHERE is_stale <> $1"


def detection(stage: Stage) -> Iterator[Figure]:
    """From commit to alert; then rounds of detection beside the changes that led to them."""
    folder = stage.folder / "detection"
    with serving(folder):
        yield from asyncio.run(_followed(embedded_url(folder)))
    yield from asyncio.run(_rounds())


async def _followed(url: str) -> list[Figure]:
    async with connected(url) as connection:
        graph = ring(random.Random(6), SERVICES, DEPENDENCIES)
        await write_services(connection, graph)
        whole = [await seconds_to_event(connection, write_dependencies(connection, graph))]
        whole += [
            await seconds_to_event(connection, connection.execute(SET_STALE, bool(number % 2)))
            for number in range(1, 2 * WHOLE_SAMPLES)
        ]
        await connection.execute(TWO)
        await connection.execute(CONNECT, "one", "other")
        edits = [DISCONNECT if number % 2 else CONNECT for number in range(WARM_UP + SAMPLES)]
        taken = [
            await seconds_to_event(connection, connection.execute(edit, "other", "one")) for edit in edits
        ][WARM_UP:]
        [looks] = await take_turns_async(
            lambda _: connection.fetchval(LATEST_EVENT), pairs=SAMPLES, warm_up=0
        )
    shape = f"{SERVICES} services among {DEPENDENCIES:,} dependencies"
    # Every other one makes them fresh, so that the cycles are there again.
    return [
        quantile_figure(f"{shape} at once: commit to alert, p50", whole[2::2], 0.5, at_most=1_000),
        quantile_figure("a cycle made or broken beside them: commit to alert, p50", taken, 0.5, at_most=50),
        quantile_figure("  the same, p99", taken, 0.99),
        quantile_figure("  a look at the history, p50: how finely was looked", looks, 0.5),
    ]


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
    detector = Detector(
        StillGraph(graph), events, DetectionSettings(), DetectionVitals(), SharedComponentSearch()
    )
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
            "big100k, a change without meaning for cycles: applied and followed / applied",
            followed,
            alone,
            at_most=2,
        ),
        typical("  applied", alone),
        typical("  applied and followed", followed),
        typical("  a dependency of its component of 99,830 fresh or stale, followed", inside, "ms"),
        quantile_figure("  the same, p99", inside, 0.99),
    ]


ALERTS, OF_ALERTS, MEMBERS, EVENTS, PAGE = 20_000, 4_000, 20, 10, 100

# Each service is a member of a hundred alerts. All of them are resolved and their components are
# gone, as with most alerts of an old database. Detection does not change such alerts.
FILL = (
    """
    INSERT INTO circular_dependency_alerts (cycle_path, status, resolution_notes, detected_at, size, detected)
    SELECT jsonb_build_array('s' || number % $2, 't' || number, 'u' || number),
        'resolved', 'the cycle is gone',
        now() - make_interval(mins => number::integer), $3, true
    FROM generate_series(1, $1) AS number
    """,
    """
    INSERT INTO circular_dependency_alert_members (alert_id, service_id)
    SELECT alert.id, 's' || (alert.number + step * (1 + alert.number / $1)) % $1
    FROM (
        SELECT id, row_number() OVER (ORDER BY detected_at) AS number
        FROM circular_dependency_alerts
    ) AS alert
    CROSS JOIN generate_series(1, $2) AS step
    ON CONFLICT DO NOTHING
    """,
    """
    INSERT INTO circular_dependency_alert_events (alert_id, kind, actor, note, status, cycle_path, size)
    SELECT alert.id, 'grown', 'detection', 'added: a -> b', 'open', alert.cycle_path, alert.size
    FROM generate_series(2, $1) CROSS JOIN circular_dependency_alerts AS alert
    """,
)
ANALYZE = (
    "ANALYZE circular_dependency_alerts, circular_dependency_alert_members, circular_dependency_alert_events"
)


def reads(stage: Stage) -> Iterator[Figure]:
    """Compare a page of one service's alerts with a page of all; then time the other reads."""
    folder = stage.folder / "alerts"
    with serving(folder) as server, grpc.insecure_channel(server.address) as channel:
        asyncio.run(_fill(embedded_url(folder)))
        yield from _read(AlertServiceStub(channel))


def _read(alerts: AlertServiceStub) -> Iterator[Figure]:
    shown = [alert.id for alert in alerts.ListAlerts(pb.ListAlertsRequest(page_size=1_000)).alerts]

    def page(_: int) -> None:
        assert len(alerts.ListAlerts(pb.ListAlertsRequest(page_size=PAGE)).alerts) == PAGE

    def of_service(number: int) -> None:
        request = pb.ListAlertsRequest(page_size=PAGE, service_id=f"s{number % OF_ALERTS}")
        assert alerts.ListAlerts(request).alerts

    def history(key: str) -> None:
        assert len(alerts.ListAlertEvents(pb.ListAlertEventsRequest(id=key)).events) == EVENTS

    one = over(shown, lambda key: alerts.GetAlert(pb.GetAlertRequest(id=key)))
    pages, filtered, histories, ones = take_turns(page, of_service, over(shown, history), one)
    yield ratio(f"{PAGE} alerts of one service / {PAGE} of {ALERTS:,}", filtered, pages, at_most=2)
    for what, taken in (
        (f"{PAGE} of {ALERTS:,}, {MEMBERS} members each", pages),
        ("up to 100 of one service", filtered),
        (f"a history of {EVENTS} events", histories),
        ("one alert", ones),
    ):
        yield typical(f"  {what}", taken, "ms")
        yield quantile_figure(f"  {what}, p99", taken, 0.99)


async def _fill(url: str) -> None:
    arguments = ((ALERTS, OF_ALERTS, MEMBERS), (OF_ALERTS, MEMBERS), (EVENTS,))
    async with connected(url) as connection:
        for statement, values in zip(FILL, arguments, strict=True):
            await connection.execute(statement, *values)
        await connection.execute(ANALYZE)
