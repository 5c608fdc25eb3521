"""``depgraph paths``: the shortest paths of calls from one service to another."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated

import typer

from depgraph.v1.analysis_service_pb2 import FindPathsRequest, FindPathsResponse, Hop, Path
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.filters import (
    MAX_HOPS,
    Criticalities,
    Effective,
    ExcludedKinds,
    IncludeStale,
    MinConfidence,
    Modes,
    Sources,
    edge_filter,
)
from server.cli.options import AsJson
from server.cli.past import AsOf, consistency, dated
from server.cli.render.labels import AnyDependency, call_label, dependency_label
from server.cli.render.text import aligned, counted, fields_of, print_json, print_lines, visible

MAX_PATHS = 100


@asks_server(timeout=30.0)
def paths(
    source: Annotated[str, typer.Argument(help="Business name of the first caller.", metavar="SOURCE")],
    target: Annotated[str, typer.Argument(help="Business name of the last callee.", metavar="TARGET")],
    *,
    max_paths: Annotated[
        int, typer.Option("-k", "--max-paths", metavar="N", min=1, max=MAX_PATHS, help="Paths at most.")
    ] = 1,
    max_hops: Annotated[
        int, typer.Option(min=0, max=MAX_HOPS, metavar="N", help="Hops of a path at most, 0 = any.")
    ] = 0,
    modes: Modes = None,
    criticalities: Criticalities = None,
    sources: Sources = None,
    min_confidence: MinConfidence = 0.0,
    excluded_kinds: ExcludedKinds = None,
    include_stale: IncludeStale = False,
    effective: Effective = False,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Show the shortest paths of calls.

    The exit code is 0 also when there is none.
    """
    request = FindPathsRequest(
        source_service_id=source,
        target_service_id=target,
        max_paths=max_paths,
        max_hops=max_hops,
        include_stale=include_stale,
        filter=edge_filter(modes, criticalities, sources, min_confidence, excluded_kinds),
        effective=effective,
        consistency=consistency(as_of),
    )
    with connected(server, as_of=as_of) as client:
        answer = client.analyses.FindPaths(request)
    heading = dated(as_of, answer.freshness)
    if as_json:
        print_json({"source_service_id": source, "target_service_id": target} | fields_of(answer))
    else:
        print_lines([*heading, *_lines(source, target, answer)])


def _lines(source: str, target: str, answer: FindPathsResponse) -> Iterator[str]:
    if not answer.paths:
        yield f"{visible(source)} does not reach {visible(target)}"
    for position, path in enumerate(answer.paths):
        yield from ([""] if position else [])
        yield from _path_lines(path)
    if answer.truncated:
        yield "the search took too long and stopped: there may be more paths"


def _path_lines(path: Path) -> Iterator[str]:
    yield counted(len(path.hops), "hop")
    rows = [
        (call_label(near, far), dependency_label(_dependencies(hop)))
        for (near, far), hop in zip(pairwise(path.service_ids), path.hops, strict=True)
    ]
    yield from aligned(rows, indent="  ")


def _dependencies(hop: Hop) -> list[AnyDependency]:
    return [hop.effective] if hop.HasField("effective") else list(hop.dependencies)
