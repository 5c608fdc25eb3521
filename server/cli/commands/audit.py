"""``depgraph audit``: timeouts that do not shrink along a path of calls, and retries that multiply."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.filters import (
    FOUND,
    Criticalities,
    Effective,
    ExitCode,
    IncludeStale,
    MinConfidence,
    Sources,
    edge_filter,
)
from server.cli.settings import DEFAULTS, Address, AsJson

if TYPE_CHECKING:
    from depgraph.v1.analysis_service_pb2 import AuditPathsResponse

CALL_SECONDS = 60.0
MOST_HOPS, MOST_FINDINGS = 10, 1_000


def audit(
    service: Annotated[
        str, typer.Argument(help="Only paths that begin at this service.", metavar="SERVICE")
    ] = "",
    *,
    max_hops: Annotated[
        int, typer.Option(min=1, max=MOST_HOPS, metavar="N", help="Hops of a path whose retries multiply.")
    ] = 5,
    max_attempts: Annotated[
        int,
        typer.Option(min=1, max=10**9, metavar="N", help="Attempts along a path that are still in order."),
    ] = 10,
    top: Annotated[
        int, typer.Option(min=1, max=MOST_FINDINGS, metavar="N", help="Findings of each kind listed.")
    ] = 50,
    criticalities: Criticalities = None,
    sources: Sources = None,
    min_confidence: MinConfidence = 0.0,
    include_stale: IncludeStale = False,
    effective: Effective = False,
    exit_code: ExitCode = False,
    as_json: AsJson = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """
    Show where a service waits for a callee at least as long as a caller waits for it, and where one call may become very many.

    Only synchronous dependencies count: nobody waits for others. The worst come first.
    """
    from depgraph.v1.analysis_service_pb2 import AuditPathsRequest
    from server.cli.connection import connected
    from server.cli.unknown import suggesting_names

    request = AuditPathsRequest(
        service_id=service,
        max_hops=max_hops,
        max_attempts=max_attempts,
        max_findings=top,
        include_stale=include_stale,
        effective=effective,
        filter=edge_filter(None, criticalities, sources, min_confidence),
    )
    with connected(address, timeout=CALL_SECONDS) as client, suggesting_names(client):
        answer = client.analyses.AuditPaths(request)
    _print(answer, max_attempts, as_json=as_json)
    if exit_code and (answer.timeout_count or answer.retry_count):
        raise typer.Exit(FOUND)


def _print(answer: AuditPathsResponse, max_attempts: int, *, as_json: bool) -> None:
    from server.cli.commands.audit_lines import audit_lines
    from server.cli.render.messages import fields_of

    if as_json:
        found = fields_of(answer)
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(audit_lines(answer, max_attempts)))
