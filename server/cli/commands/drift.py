"""``depgraph drift``: what is declared but not observed, the reverse, and contradictions."""

from collections.abc import Iterator
from typing import Annotated, Literal

import typer

from depgraph import Client
from depgraph.v1.analysis_service_pb2 import (
    DRIFT_KIND_CONTRADICTED,
    Drift,
    DriftKind,
    ListDriftRequest,
    ListDriftResponse,
)
from depgraph.v1.types_pb2 import DiscoverySource
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected, pages
from server.cli.failures import FOUND
from server.cli.filters import ExcludedKinds, ExitCode, Source, kind_numbers
from server.cli.options import AsJson
from server.cli.past import AsOf, consistency, dated
from server.cli.render.labels import call_label, dependency_label
from server.cli.render.text import counted, enum_word, fields_of, listing, print_json, print_lines

PAGE_SIZE = 1_000

Kind = Literal["both", "not-observed", "not-declared", "contradicted"]
_CONTRADICTED = "whose sources contradict each other about mode or criticality"
_ONE_SIDED = "declared but not observed, or observed but not declared"


@asks_server(timeout=30.0)
def drift(
    service: Annotated[
        str, typer.Argument(help="Only calls from or to this service.", metavar="SERVICE")
    ] = "",
    *,
    kind: Annotated[
        Kind,
        typer.Option(
            help="Declared but not observed, observed but not declared, both, or calls whose sources "
            "contradict each other."
        ),
    ] = "both",
    ignore_stale: Annotated[
        bool,
        typer.Option(
            "--ignore-stale",
            help="Ignore stale dependencies: what is declared and no longer observed is drift, too.",
        ),
    ] = False,
    excluded_kinds: ExcludedKinds = None,
    team: Annotated[
        str, typer.Option(metavar="TEAM", help="Only calls from or to a service of this team.")
    ] = "",
    source: Annotated[
        Source | None,
        typer.Option(metavar="SOURCE", help="Only calls that this discovery source reports."),
    ] = None,
    top: Annotated[int, typer.Option(min=0, metavar="N", help="Calls listed, 0 = all; --json has all.")] = 50,
    exit_code: ExitCode = False,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Compare what is declared and observed.

    People, catalogues and Kubernetes manifests declare; traces and service meshes observe.
    """
    wanted = "UNSPECIFIED" if kind == "both" else kind.upper().replace("-", "_")
    request = ListDriftRequest(
        kind=DriftKind.Value(f"DRIFT_KIND_{wanted}"),
        service_id=service,
        ignore_stale=ignore_stale,
        consistency=consistency(as_of),
        exclude_kinds=kind_numbers(excluded_kinds),
        team=team,
        discovery_source=DiscoverySource.Value(
            f"DISCOVERY_SOURCE_{source.name if source else 'UNSPECIFIED'}"
        ),
    )
    with connected(server, as_of=as_of) as client:
        answer = _listed(client, request, 0 if as_json else top)
    heading = dated(as_of, answer.freshness)
    if as_json:
        found = fields_of(answer)
        del found["next_page_token"]
        print_json(found)
    else:
        print_lines([*heading, *_lines(answer, request.kind)])
    if exit_code and answer.total_count:
        raise typer.Exit(FOUND)


def _listed(client: Client, request: ListDriftRequest, limit: int) -> ListDriftResponse:
    """Read page after page, up to ``limit`` calls (0 = all)."""
    whole = ListDriftResponse()
    request.page_size = min(limit or PAGE_SIZE, PAGE_SIZE)
    for page in pages(client.analyses.ListDrift, request):
        whole.drifts.extend(page.drifts)
        whole.total_count = page.total_count
        whole.declared_count, whole.observed_count = page.declared_count, page.observed_count
        whole.unknown_mode_count = page.unknown_mode_count
        whole.unknown_criticality_count = page.unknown_criticality_count
        whole.freshness.CopyFrom(page.freshness)
        if 0 < limit <= len(whole.drifts):
            del whole.drifts[limit:]
            break
    return whole


def _lines(answer: ListDriftResponse, kind: DriftKind.ValueType) -> Iterator[str]:
    is_one_sided = kind != DRIFT_KIND_CONTRADICTED
    missing = _missing(answer) if is_one_sided else ""
    if missing:
        yield f"{missing}: there is nothing to compare with"
    if answer.total_count:
        yield f"{counted(answer.total_count, 'call')} {_ONE_SIDED if is_one_sided else _CONTRADICTED}"
        rows = [_row(each) for each in answer.drifts]
        yield from listing(("CALL", "DRIFT", "SINCE (UTC)", "KNOWN AS"), rows, answer.total_count)
    elif not missing:
        yield "no drift" if is_one_sided else "no contradictions"
    yield from _unknown(answer)


def _unknown(answer: ListDriftResponse) -> Iterator[str]:
    counts = {"mode": answer.unknown_mode_count, "criticality": answer.unknown_criticality_count}
    said = [f"the {word} of {counted(count, 'call')}" for word, count in counts.items() if count]
    if said:
        yield f"no source knows {' and '.join(said)} of the whole graph"


def _missing(answer: ListDriftResponse) -> str:
    if answer.declared_count and answer.observed_count:
        return ""
    if answer.declared_count or answer.observed_count:
        return "nothing is observed" if answer.declared_count else "nothing is declared"
    return "nothing is declared or observed"


def _row(found: Drift) -> tuple[str, ...]:
    return (
        call_label(found.source_service_id, found.target_service_id),
        enum_word(DriftKind, found.kind),
        f"{found.since_time.ToDatetime():%Y-%m-%d %H:%M}" if found.HasField("since_time") else "-",
        dependency_label(found.dependencies),
    )
