"""``depgraph paths``: how one service comes to call another."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.filters import (
    MOST_HOPS,
    Criticalities,
    Effective,
    IncludeStale,
    MinConfidence,
    Modes,
    Sources,
    edge_filter,
)
from server.cli.settings import DEFAULTS, Address, AsJson

if TYPE_CHECKING:
    from collections.abc import Iterator

    from depgraph.v1.analysis_service_pb2 import FindPathsResponse, Hop, Path
    from server.cli.render.labels import Drawn

CALL_SECONDS = 30.0
MOST_PATHS = 100


def paths(
    source: Annotated[str, typer.Argument(help="Business name of the first caller.", metavar="SOURCE")],
    target: Annotated[str, typer.Argument(help="Business name of the last callee.", metavar="TARGET")],
    *,
    most: Annotated[
        int, typer.Option("-k", "--max-paths", metavar="N", min=1, max=MOST_PATHS, help="Paths at most.")
    ] = 1,
    max_hops: Annotated[
        int, typer.Option(min=0, max=MOST_HOPS, metavar="N", help="Hops of a path at most, 0 = any.")
    ] = 0,
    modes: Modes = None,
    criticalities: Criticalities = None,
    sources: Sources = None,
    min_confidence: MinConfidence = 0.0,
    include_stale: IncludeStale = False,
    effective: Effective = False,
    as_json: AsJson = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """Show the shortest paths of calls from one service to another, shortest first; exit code 0 also when there is none."""
    from depgraph.v1.analysis_service_pb2 import FindPathsRequest
    from server.cli.connection import connected
    from server.cli.unknown import suggesting_names

    request = FindPathsRequest(
        source_service_id=source,
        target_service_id=target,
        max_paths=most,
        max_hops=max_hops,
        include_stale=include_stale,
        filter=edge_filter(modes, criticalities, sources, min_confidence),
        effective=effective,
    )
    with connected(address, timeout=CALL_SECONDS) as client, suggesting_names(client):
        answer = client.analyses.FindPaths(request)
    if as_json:
        _print_json(source, target, answer)
    else:
        typer.echo("\n".join(_lines(source, target, answer)))


def _lines(source: str, target: str, answer: FindPathsResponse) -> Iterator[str]:
    from server.cli.render.text import visible

    if not answer.paths:
        yield f"{visible(source)} does not reach {visible(target)}"
    for position, path in enumerate(answer.paths):
        yield from ([""] if position else [])
        yield from _path_lines(path)
    if answer.truncated:
        yield "… and there may be more: the search was ended because it took too long"


def _path_lines(path: Path) -> Iterator[str]:
    from itertools import pairwise

    from server.cli.render.columns import aligned
    from server.cli.render.labels import label
    from server.cli.render.text import counted, visible

    yield counted(len(path.hops), "hop")
    rows = [
        (f"{visible(near)} → {visible(far)}", label(_dependencies(hop)))
        for (near, far), hop in zip(pairwise(path.service_ids), path.hops, strict=True)
    ]
    yield from (f"  {line}" for line in aligned(rows))


def _dependencies(hop: Hop) -> list[Drawn]:
    return [hop.effective] if hop.HasField("effective") else list(hop.dependencies)


def _print_json(source: str, target: str, answer: FindPathsResponse) -> None:
    from server.cli.render.messages import fields_of

    asked = {"source_service_id": source, "target_service_id": target}
    found = fields_of(answer)
    typer.echo(json.dumps(asked | found, indent=2, ensure_ascii=False))
