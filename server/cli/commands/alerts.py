"""``depgraph alerts``: circular dependencies, who looks after them, and how they ended."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from server.cli.settings import DEFAULTS, Address, AsJson

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from google.protobuf.message import Message

    from depgraph import Client
    from depgraph.v1.alert_service_pb2 import AlertEvent
    from depgraph.v1.types_pb2 import CircularDependencyAlert

CALL_SECONDS = 10.0
PAGE_SIZE = 1_000
UUID_LENGTH = 36

Chosen = Literal["live", "open", "acknowledged", "resolved", "all"]
AlertId = Annotated[
    str, typer.Argument(help="Id of the alert, or the beginning of it that no other has.", metavar="ID")
]

app = typer.Typer(help="Show circular dependencies, and say what is done about them.", no_args_is_help=True)


@app.command("list")
def list_alerts(
    *,
    status: Annotated[Chosen, typer.Option(help="Which alerts; live = open and acknowledged.")] = "live",
    service: Annotated[
        str, typer.Option("--service", metavar="SERVICE", help="Only alerts that this service is part of.")
    ] = "",
    as_json: AsJson = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """List alerts, latest detected first."""
    from server.cli.commands.alert_lines import table
    from server.cli.connection import connected

    with connected(address, timeout=CALL_SECONDS) as client:
        alerts = _listed(client, status, service)
    if as_json:
        _print_json({"alerts": [_as_dict(alert) for alert in alerts]})
    elif alerts:
        typer.echo("\n".join(table(alerts)))
    else:
        typer.echo("no alerts" if status == "all" else f"no {status} alerts")


@app.command()
def show(alert_id: AlertId, *, as_json: AsJson = False, address: Address = DEFAULTS.listen) -> None:
    """Show an alert with its members and its history."""
    from server.cli.commands.alert_lines import account
    from server.cli.connection import connected

    with connected(address, timeout=CALL_SECONDS) as client:
        alert = _found(client, alert_id)
        events = list(_events(client, alert.id))
    if as_json:
        _print_json({"alert": _as_dict(alert), "events": [_as_dict(event) for event in events]})
    else:
        typer.echo("\n".join(account(alert, events)))


@app.command()
def ack(
    alert_id: AlertId,
    *,
    by: Annotated[
        str | None, typer.Option("--by", metavar="NAME", help="Who looks after it; your login name if unset.")
    ] = None,
    address: Address = DEFAULTS.listen,
) -> None:
    """Say who looks after an alert; again with another name to hand it over."""
    from depgraph.v1.alert_service_pb2 import AcknowledgeAlertRequest
    from server.cli.commands.alert_lines import headline
    from server.cli.connection import connected

    name = _login_name() if by is None else by
    with connected(address, timeout=CALL_SECONDS) as client:
        key = _found(client, alert_id).id
        alert = client.alerts.AcknowledgeAlert(AcknowledgeAlertRequest(id=key, acknowledged_by=name)).alert
    typer.echo(headline(alert))


@app.command()
def resolve(
    alert_id: AlertId,
    *,
    notes: Annotated[str, typer.Option("--notes", metavar="TEXT", help="How it ended.")],
    address: Address = DEFAULTS.listen,
) -> None:
    """Close an alert."""
    from depgraph.v1.alert_service_pb2 import ResolveAlertRequest
    from server.cli.commands.alert_lines import headline
    from server.cli.connection import connected

    with connected(address, timeout=CALL_SECONDS) as client:
        key = _found(client, alert_id).id
        alert = client.alerts.ResolveAlert(ResolveAlertRequest(id=key, resolution_notes=notes)).alert
    typer.echo(headline(alert))
    if alert.is_present:
        typer.echo(
            "the cycle is still in the graph: the alert stays resolved until it grows, or goes and comes back"
        )


def _listed(client: Client, status: Chosen, service: str) -> Sequence[CircularDependencyAlert]:
    stages = {"live": ("open", "acknowledged"), "all": ("unspecified",)}.get(status, (status,))
    # By id: an alert that is acknowledged meanwhile is in both lists.
    found = {alert.id: alert for stage in stages for alert in _alerts(client, stage, service)}
    return sorted(
        found.values(), key=lambda alert: (alert.detect_time.ToNanoseconds(), alert.id), reverse=True
    )


def _alerts(client: Client, status: str, service: str) -> Iterator[CircularDependencyAlert]:
    from depgraph.v1.alert_service_pb2 import ListAlertsRequest
    from depgraph.v1.types_pb2 import AlertStatus

    request = ListAlertsRequest(
        page_size=PAGE_SIZE, status=AlertStatus.Value(f"ALERT_STATUS_{status.upper()}"), service_id=service
    )
    while True:
        page = client.alerts.ListAlerts(request)
        yield from page.alerts
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def _events(client: Client, key: str) -> Iterator[AlertEvent]:
    from depgraph.v1.alert_service_pb2 import ListAlertEventsRequest

    request = ListAlertEventsRequest(id=key, page_size=PAGE_SIZE)
    while True:
        page = client.alerts.ListAlertEvents(request)
        yield from page.events
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def _found(client: Client, wanted: str) -> CircularDependencyAlert:
    """Look an alert up by its id, or by a beginning of it that no other alert has. The latter reads all alerts."""
    from depgraph.v1.alert_service_pb2 import GetAlertRequest
    from server.cli.failures import CommandError

    if len(wanted) >= UUID_LENGTH:
        return client.alerts.GetAlert(GetAlertRequest(id=wanted)).alert
    if not wanted:
        raise CommandError("no id given: 'depgraph alerts list' shows them")
    found = [alert for alert in _alerts(client, "unspecified", "") if alert.id.startswith(wanted.lower())]
    if len(found) == 1:
        return found[0]
    if not found:
        raise CommandError(
            f"no alert has an id that begins with {wanted!r}: 'depgraph alerts list --status all' shows them"
        )
    ids = ", ".join(alert.id for alert in found[:3])
    more = f" and {len(found) - 3:,} more" if len(found) > 3 else ""  # noqa: PLR2004 - as many as a line takes
    raise CommandError(f"{len(found):,} alerts have an id that begins with {wanted!r}: {ids}{more}")


def _login_name() -> str:
    import getpass

    from server.cli.failures import CommandError

    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        raise CommandError("you have no login name: say with --by who looks after the alert") from None


def _as_dict(message: Message) -> dict[str, object]:
    from server.cli.render.messages import fields_of

    return fields_of(message)


def _print_json(answer: dict[str, object]) -> None:
    typer.echo(json.dumps(answer, indent=2, ensure_ascii=False))
