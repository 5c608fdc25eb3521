"""Read alerts by RPC among 20,000: a page, those of one service, one alert with its history."""

import asyncio
from collections.abc import Iterator

import grpc

from bench.measuring import Figure, quantile_figure, ratio, take_turns, typical
from bench.server_process import serving
from bench.stage import Stage, connected, embedded_url
from depgraph.v1 import alert_service_pb2 as pb
from depgraph.v1.alert_service_pb2_grpc import AlertServiceStub

PART = "alerts"
ALERTS, SERVICES, MEMBERS, EVENTS, PAGE = 20_000, 4_000, 20, 10, 100
PAIRS = 300

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


def measure(stage: Stage) -> Iterator[Figure]:
    """Compare a page of one service's alerts with a page of all; then time the other reads."""
    folder = stage.folder / "alerts"
    with serving(folder) as server, grpc.insecure_channel(server.address) as channel:
        asyncio.run(_fill(embedded_url(folder)))
        yield from _read(AlertServiceStub(channel))


def _read(alerts: AlertServiceStub) -> Iterator[Figure]:
    shown = alerts.ListAlerts(pb.ListAlertsRequest(page_size=1_000)).alerts

    def page(_: int) -> None:
        assert len(alerts.ListAlerts(pb.ListAlertsRequest(page_size=PAGE)).alerts) == PAGE

    def of_service(number: int) -> None:
        request = pb.ListAlertsRequest(page_size=PAGE, service_id=f"s{number % SERVICES}")
        assert alerts.ListAlerts(request).alerts

    def history(number: int) -> None:
        request = pb.ListAlertEventsRequest(id=shown[number % len(shown)].id)
        assert len(alerts.ListAlertEvents(request).events) == EVENTS

    def one(number: int) -> None:
        alerts.GetAlert(pb.GetAlertRequest(id=shown[number % len(shown)].id))

    pages, filtered, histories, ones = take_turns(page, of_service, history, one, pairs=PAIRS)
    yield ratio(PART, f"{PAGE} alerts of one service / {PAGE} of {ALERTS:,}", filtered, pages, at_most=2)
    for what, taken in (
        (f"{PAGE} of {ALERTS:,}, {MEMBERS} members each", pages),
        ("up to 100 of one service", filtered),
        (f"a history of {EVENTS} events", histories),
        ("one alert", ones),
    ):
        yield typical(PART, f"  {what}", taken, "ms")
        yield quantile_figure(PART, f"  {what}, p99", taken, 0.99)


async def _fill(url: str) -> None:
    async with connected(url) as connection:
        for statement, arguments in zip(
            FILL, ((ALERTS, SERVICES, MEMBERS), (SERVICES, MEMBERS), (EVENTS,)), strict=True
        ):
            await connection.execute(statement, *arguments)
        await connection.execute(ANALYZE)
