"""``depgraph changes``: single changes, of everything or near a service."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from itertools import groupby, islice
from typing import Annotated

import typer

from depgraph import Client
from depgraph.v1.history_service_pb2 import Change, ListChangesRequest, ListChangesResponse
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, pages
from server.cli.options import AsJson
from server.cli.past import span
from server.cli.render.changes import change_label
from server.cli.render.text import aligned, counted, fields_of, print_json, print_lines, printable, visible
from server.cli.times import FORMS, NOW, read_past, read_time, timestamp, written
from server.words import mark_time

PAGE_SIZE = 1_000
SHOWN_OF_ALIKE = 10
"""Changes listed of one transaction; a large import must not hide what came before it."""
MOST_READ = 20_000
USUAL_HOPS = 2
NONE = "-"


@asks_server(timeout=30.0)
def changes(
    service: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE", help="Only changes near this service, the nearest first. Default: all."
        ),
    ] = "",
    *,
    since: Annotated[
        datetime | None,
        typer.Option(
            metavar="TIME",
            parser=read_time,
            help=f"The earlier time: {FORMS}. Default: an hour before --until.",
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(metavar="TIME", parser=read_past, help="The later time. Default: now."),
    ] = None,
    hops: Annotated[
        int | None,
        typer.Option(min=0, max=10, metavar="N", help="Hops from SERVICE at most, either way. Default: 2."),
    ] = None,
    top: Annotated[
        int,
        typer.Option(min=0, metavar="N", help="Changes listed, 0 = all, singly; --json has all."),
    ] = 50,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    List changes, newest first.

    Who changed what, and when; also plain SQL, by depgraph.principal. A line begins with + for
    added, - for removed, ~ for changed. Of many changes of one transaction the first ones are
    listed.
    """
    if hops is not None and not service:
        raise typer.BadParameter("give the SERVICE that hops are counted from", param_hint="--hops")
    request = ListChangesRequest(
        service_id=service, max_hops=hops, since=timestamp(since), until=timestamp(until), page_size=PAGE_SIZE
    )
    with connected(server) as client:
        answer = _read(client, request, 0 if as_json else top)
    if as_json:
        found = fields_of(answer)
        del found["next_page_token"]
        print_json(found)
    else:
        # Without an option, the hour is counted by the server's clock.
        first = written(since or mark_time(answer.since.as_of_time))
        print_lines(span(first, answer.since, written(until or read_time(NOW)), answer.until))
        print_lines(_lines(answer, request, top))


def _read(client: Client, request: ListChangesRequest, top: int) -> ListChangesResponse:
    """Read pages until there are more than ``top`` lines, 0 = all."""
    whole = ListChangesResponse()
    for number, page in enumerate(pages(client.history.ListChanges, request)):
        if number == 0:
            whole.MergeFrom(page)
        else:
            whole.changes.extend(page.changes)
        whole.next_page_token = page.next_page_token
        if top and (len(_rows(whole.changes, top)) > top or len(whole.changes) >= MOST_READ):
            break
    return whole


def _lines(answer: ListChangesResponse, request: ListChangesRequest, top: int) -> Iterator[str]:
    if request.service_id:
        service = visible(request.service_id)
        for alias in answer.resolved_aliases:
            service = f"{visible(alias.service_id)} (asked for by the alias {visible(alias.alias)})"
        hops = request.max_hops if request.HasField("max_hops") else USUAL_HOPS
        yield f"within {counted(hops, 'hop')} of {service}"
    rows = _rows(answer.changes, top)
    if not rows:
        yield "no changes"
        return
    yield ""
    table = [("TIME", "HOPS", "WHO", "CHANGE"), *rows[: top or None]]
    yield from aligned(table if request.service_id else [(time, who, what) for time, _, who, what in table])
    if answer.next_page_token or (top and len(rows) > top):
        yield "… and more (--top 0 lists all)"


def _rows(changes: Iterable[Change], top: int) -> list[tuple[str, str, str, str]]:
    """Write changes; of one transaction a few, unless all are wanted (``top`` 0)."""
    rows = []
    for _, alike in groupby(changes, key=_transaction):
        for each in islice(alike, SHOWN_OF_ALIKE if top else None):
            who = printable(each.who) or NONE
            rows.append((written(each.time), f"{each.hops}", who, change_label(each)))
        if rest := sum(1 for _ in alike):
            rows.append(("", "", "", f"… and {rest:,} more of the same transaction"))
    return rows


def _transaction(change: Change) -> tuple[str, int]:
    """Tell transactions apart; those of an earlier run of the database by their time."""
    return change.revision or str(change.time.ToNanoseconds()), change.hops
