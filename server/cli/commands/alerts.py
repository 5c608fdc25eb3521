"""``depgraph alerts``: lists circular dependencies, and acknowledges or resolves them."""

import getpass
from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

import grpc
import typer
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph import Client
from depgraph.v1.access_service_pb2 import WhoAmIRequest
from depgraph.v1.alert_service_pb2 import (
    AcknowledgeAlertRequest,
    AlertEvent,
    AlertEventKind,
    GetAlertRequest,
    ListAlertEventsRequest,
    ListAlertsRequest,
    ResolveAlertRequest,
)
from depgraph.v1.types_pb2 import ALERT_STATUS_ACKNOWLEDGED, AlertStatus, CircularDependencyAlert
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, pages
from server.cli.failures import CommandError, InputError
from server.cli.options import AsJson
from server.cli.render.labels import cycle_label, some_names, whole_cycle
from server.cli.render.text import (
    aligned,
    counted,
    enum_word,
    fields_of,
    print_json,
    print_lines,
    printable,
)

PAGE_SIZE = 1_000
UUID_LENGTH = 36
SHORTEST_ID = 8
MAX_AMBIGUOUS_IDS = 3

StatusChoice = Literal["live", "open", "acknowledged", "resolved", "all"]
AlertId = Annotated[
    str, typer.Argument(help="Id of the alert, or the beginning of it if no other has that.", metavar="ID")
]

app = typer.Typer(help="List, acknowledge and resolve cycles.", no_args_is_help=True)


@app.command("list")
@asks_server(timeout=10.0)
def list_alerts(
    *,
    status: Annotated[
        StatusChoice, typer.Option(help="Which alerts; live = open and acknowledged.")
    ] = "live",
    service: Annotated[
        str, typer.Option("--service", metavar="SERVICE", help="Only alerts with this service in the cycle.")
    ] = "",
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """List alerts, latest detected first."""
    with connected(server) as client:
        alerts = _listed(client, status, service)
    if as_json:
        print_json({"alerts": [fields_of(alert) for alert in alerts]})
    elif alerts:
        print_lines(_table(alerts))
    else:
        typer.echo("no alerts" if status == "all" else f"no {status} alerts")


@app.command()
@asks_server(timeout=10.0)
def show(
    alert_id: AlertId,
    *,
    top: Annotated[
        int, typer.Option(min=0, metavar="N", help="Members listed, 0 = all; --json has all.")
    ] = 50,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """Show an alert, its members and its history."""
    with connected(server) as client:
        alert = _found(client, alert_id)
        request = ListAlertEventsRequest(id=alert.id, page_size=PAGE_SIZE)
        events = [event for page in pages(client.alerts.ListAlertEvents, request) for event in page.events]
    if as_json:
        print_json({"alert": fields_of(alert), "events": [fields_of(event) for event in events]})
    else:
        print_lines(_details(alert, events, top))


@app.command()
@asks_server(timeout=10.0)
def ack(
    alert_id: AlertId,
    *,
    by: Annotated[
        str | None,
        typer.Option(
            "--by",
            metavar="NAME",
            help="Who takes the alert. Default: your name as the server knows it, else your login name.",
        ),
    ] = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Acknowledge an alert.

    Acknowledge it again with another name to hand it over.
    """
    with connected(server) as client:
        name = _own_name(client) if by is None else by
        request = AcknowledgeAlertRequest(id=_found(client, alert_id).id, acknowledged_by=name)
        alert = client.alerts.AcknowledgeAlert(request).alert
    _print_changed(alert, as_json=as_json)


@app.command()
@asks_server(timeout=10.0)
def resolve(
    alert_id: AlertId,
    *,
    notes: Annotated[str, typer.Option("--notes", metavar="TEXT", help="How it ended.")],
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """Close an alert."""
    with connected(server) as client:
        request = ResolveAlertRequest(id=_found(client, alert_id).id, resolution_notes=notes)
        alert = client.alerts.ResolveAlert(request).alert
    _print_changed(alert, as_json=as_json)
    if alert.is_present and not as_json:
        still = "the cycle is still in the graph: the alert stays resolved until the cycle grows, "
        print_lines([still + "or goes and comes back"])


def _listed(client: Client, status: StatusChoice, service: str) -> Sequence[CircularDependencyAlert]:
    statuses = {"live": ("open", "acknowledged"), "all": ("unspecified",)}.get(status, (status,))
    # By id: an alert that is acknowledged meanwhile is in both lists.
    found = {alert.id: alert for each in statuses for alert in _alerts(client, each, service)}
    return sorted(
        found.values(), key=lambda alert: (alert.detect_time.ToNanoseconds(), alert.id), reverse=True
    )


def _alerts(client: Client, status: str, service: str) -> Iterator[CircularDependencyAlert]:
    request = ListAlertsRequest(
        page_size=PAGE_SIZE, status=AlertStatus.Value(f"ALERT_STATUS_{status.upper()}"), service_id=service
    )
    for page in pages(client.alerts.ListAlerts, request):
        yield from page.alerts


def _found(client: Client, wanted: str) -> CircularDependencyAlert:
    """Look an alert up by its id, or by the beginning of its id, which reads all alerts."""
    if len(wanted) >= UUID_LENGTH:
        return client.alerts.GetAlert(GetAlertRequest(id=wanted)).alert
    if not wanted:
        raise InputError("no id given: 'depgraph alerts list' shows them")
    found = [alert for alert in _alerts(client, "unspecified", "") if alert.id.startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(
            f"no alert has an id that begins with {wanted!r}: 'depgraph alerts list --status all' shows them"
        )
    ids = ", ".join(alert.id for alert in found[:MAX_AMBIGUOUS_IDS])
    rest = len(found) - MAX_AMBIGUOUS_IDS
    more = f" and {rest:,} more" if rest > 0 else ""
    raise InputError(f"{len(found):,} alerts have an id that begins with {wanted!r}: {ids}{more}")


def _own_name(client: Client) -> str:
    """Return the name that the server knows the caller by; if none, the login name."""
    try:
        principal = client.access.WhoAmI(WhoAmIRequest()).principal
    except grpc.RpcError as error:
        if error.code() is not grpc.StatusCode.UNIMPLEMENTED:  # servers of an earlier version
            raise
        principal = ""
    if principal:
        return principal
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise CommandError("you have no login name: give a name with --by") from None


def _table(alerts: Sequence[CircularDependencyAlert]) -> list[str]:
    """Write a line an alert; ids as short as they differ, the cycle last because it is longest."""
    length = _id_length([alert.id for alert in alerts])
    rows = [("ID", "STATUS", "SIZE", "SINCE (UTC)", "WHO", "CYCLE")]
    rows += [
        (
            alert.id[:length],
            enum_word(AlertStatus, alert.status),
            f"{alert.size:,}" if alert.size else "-",
            f"{alert.detect_time.ToDatetime():%Y-%m-%d %H:%M}",
            printable(alert.acknowledged_by) or "-",
            cycle_label(alert.cycle_path),
        )
        for alert in alerts
    ]
    return aligned(rows)


def _details(alert: CircularDependencyAlert, events: Sequence[AlertEvent], top: int) -> list[str]:
    rows = [
        ("id", alert.id),
        ("status", enum_word(AlertStatus, alert.status)),
        *([("acknowledged", f"by {printable(alert.acknowledged_by)}")] if alert.acknowledged_by else ()),
        *([("notes", printable(alert.resolution_notes))] if alert.resolution_notes else ()),
        ("cycle", whole_cycle(alert.cycle_path)),
        ("in the graph", _presence(alert)),
        *([("members", _members(alert, top))] if alert.members else ()),
        ("since", f"{_second(alert.detect_time)} UTC"),
        ("changed", f"{_second(alert.update_time)} UTC"),
    ]
    return [*aligned(rows), "history", *map(_event_line, events)]


def _print_changed(alert: CircularDependencyAlert, *, as_json: bool) -> None:
    if as_json:
        print_json({"alert": fields_of(alert)})
    else:
        print_lines([_headline(alert)])


def _headline(alert: CircularDependencyAlert) -> str:
    who = f" by {printable(alert.acknowledged_by)}" if alert.status == ALERT_STATUS_ACKNOWLEDGED else ""
    status = enum_word(AlertStatus, alert.status)
    return f"{status}{who}: {alert.id[:SHORTEST_ID]} {cycle_label(alert.cycle_path)}"


def _presence(alert: CircularDependencyAlert) -> str:
    if not alert.size:
        return "unknown: the alert was created by a call, not by detection"
    size = counted(alert.size, "service")
    return f"a component of {size}" if alert.is_present else f"no longer; it was a component of {size}"


def _members(alert: CircularDependencyAlert, top: int) -> str:
    advice = " (--top 0 lists them)" if 0 < top < len(alert.members) else ""
    return some_names(alert.members, alert.size, top) + advice


def _event_line(event: AlertEvent) -> str:
    who = f" by {printable(event.actor)}" if event.HasField("actor") else ""
    size = f" ({counted(event.size, 'service')})" if event.size else ""
    note = f": {printable(event.note)}" if event.note else ""
    return f"  {_second(event.event_time)}  {enum_word(AlertEventKind, event.kind)}{who}{size}{note}"


def _id_length(ids: Sequence[str]) -> int:
    """Find the number of characters in which all ids differ, at least eight. O(ids x length)."""
    length = SHORTEST_ID
    while len({each[:length] for each in ids}) < len(ids):
        length += 1
    return length


def _second(moment: Timestamp) -> str:
    return f"{moment.ToDatetime():%Y-%m-%d %H:%M:%S}"
