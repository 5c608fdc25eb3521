"""``depgraph watch``: what changes, as it changes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.settings import DEFAULTS, Address, AsJson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from depgraph.v1.graph_service_pb2 import WatchResponse


def watch(
    *,
    since: Annotated[
        str, typer.Option(metavar="REVISION", help="Go on after this revision. Default: now.")
    ] = "",
    state: Annotated[bool, typer.Option("--state", help="Begin with the whole graph.")] = False,
    as_json: AsJson = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """
    Follow what changes, a line a change, until Ctrl-C: + there now, new or changed; - gone; = all begins anew.

    It survives restarts of the server. --json prints a batch a line, as the contract has it, heartbeats included: each is a state that
    the database was in, and its freshness.revision is where --since may go on.
    """
    from server.cli.commands.watching import Following

    following = Following(address, since, lambda told: typer.echo(f"depgraph: {told}", err=True))
    try:
        for batch in following.batches(include_state=state):
            for line in _lines(batch, as_json=as_json, with_state=state):
                typer.echo(line)
    except KeyboardInterrupt:
        if following.revision:
            typer.echo(f"depgraph: go on later with --since {following.revision}", err=True)
        raise


def _lines(batch: WatchResponse, *, as_json: bool, with_state: bool) -> Iterator[str]:
    from server.cli.commands.changes import change_lines

    if not as_json:
        return change_lines(batch, with_state=with_state)
    from google.protobuf.json_format import MessageToDict

    return iter([json.dumps(MessageToDict(batch, preserving_proto_field_name=True), ensure_ascii=False)])
