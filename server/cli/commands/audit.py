"""``depgraph audit``: timeouts that do not shrink along a call path, and retries that multiply."""

from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from depgraph.v1.analysis_service_pb2 import (
    AuditPathsRequest,
    AuditPathsResponse,
    RetryFinding,
    TimeoutFinding,
)
from depgraph.v1.types_pb2 import Dependency, DiscoverySource
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.failures import FOUND
from server.cli.filters import (
    Criticalities,
    Effective,
    ExcludedKinds,
    ExitCode,
    IncludeStale,
    MinConfidence,
    Sources,
    edge_filter,
)
from server.cli.options import AsJson
from server.cli.past import AsOf, consistency, dated
from server.cli.render.labels import MANUAL, AnyDependency, path_label
from server.cli.render.text import aligned, counted, enum_word, fields_of, print_json, print_lines

MAX_HOPS, MAX_FINDINGS = 10, 1_000
# Retries of a configuration that does not say how many.
DEFAULT_RETRIES = 3


@asks_server(timeout=60.0)
def audit(
    service: Annotated[
        str, typer.Argument(help="Only paths that begin at this service.", metavar="SERVICE")
    ] = "",
    *,
    max_hops: Annotated[
        int, typer.Option(min=1, max=MAX_HOPS, metavar="N", help="Longest path whose retries are multiplied.")
    ] = 5,
    max_attempts: Annotated[
        int,
        typer.Option(min=1, max=10**9, metavar="N", help="Report paths with more attempts than this."),
    ] = 10,
    top: Annotated[
        int, typer.Option(min=1, max=MAX_FINDINGS, metavar="N", help="Findings listed of each kind.")
    ] = 50,
    criticalities: Criticalities = None,
    sources: Sources = None,
    min_confidence: MinConfidence = 0.0,
    excluded_kinds: ExcludedKinds = None,
    include_stale: IncludeStale = False,
    effective: Effective = False,
    exit_code: ExitCode = False,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Find timeouts and retries that do not fit.

    Timeouts do not fit if a service waits for its callee at least as long as its caller waits for
    it. Retries along a path multiply. Only synchronous dependencies count; those of unknown mode
    are counted apart. The worst findings come first.
    """
    request = AuditPathsRequest(
        service_id=service,
        max_hops=max_hops,
        max_attempts=max_attempts,
        max_findings=top,
        include_stale=include_stale,
        effective=effective,
        consistency=consistency(as_of),
        filter=edge_filter(None, criticalities, sources, min_confidence, excluded_kinds),
    )
    with connected(server, as_of=as_of) as client:
        answer = client.analyses.AuditPaths(request)
    heading = dated(as_of, answer.freshness)
    if as_json:
        print_json(fields_of(answer))
    else:
        print_lines([*heading, *_lines(answer, max_attempts)])
    if exit_code and (answer.timeout_count or answer.retry_count):
        raise typer.Exit(FOUND)


def _lines(answer: AuditPathsResponse, max_attempts: int) -> Iterator[str]:
    if not answer.dependency_count:
        yield f"nothing to audit: no synchronous dependency passes{_left_out(answer)}"
        return
    if answer.with_timeout_count:
        does = "does" if answer.timeout_count == 1 else "do"
        yield f"{counted(answer.timeout_count, 'timeout')} that {does} not shrink"
    else:
        yield "no dependency has a timeout: nothing is known of timeouts"
    if answer.timeouts:
        heads = ("EXCESS", "PATH", "CALLER WAITS", "SERVICE WAITS")
        yield from aligned([heads, *map(_timeout_row, answer.timeouts)])
    yield from _rest(answer.timeout_count - len(answer.timeouts))
    yield ""
    if answer.with_retry_count:
        yield (
            f"{counted(answer.retry_count, 'service')} from which one call may become more than "
            f"{counted(max_attempts, 'attempt')}"
        )
    else:
        yield "no dependency has a retry configuration: nothing is known of retries"
    if answer.retries:
        yield from aligned([("ATTEMPTS", "FACTORS", "PATH"), *map(_retry_row, answer.retries)])
    yield from _rest(answer.retry_count - len(answer.retries))
    if answer.truncated:
        yield "the search took too long and stopped: there may be worse findings"
    yield ""
    audited = counted(answer.dependency_count, "synchronous dependency", "synchronous dependencies")
    yield (
        f"audited: {audited}, "
        f"{answer.with_timeout_count:,} with a timeout, {answer.with_retry_count:,} with retries"
        f"{_left_out(answer)}"
    )


def _left_out(answer: AuditPathsResponse) -> str:
    count = answer.unknown_mode_count
    return f"; {count:,} of unknown mode left out: they may be synchronous" if count else ""


def _timeout_row(found: TimeoutFinding) -> tuple[str, ...]:
    caller: AnyDependency = found.caller_dependency
    callee: AnyDependency = found.callee_dependency
    if found.HasField("caller_effective"):
        caller, callee = found.caller_effective, found.callee_effective
    names = [caller.source_service_id, caller.target_service_id, callee.target_service_id]
    return (f"{found.excess_ms:,} ms", path_label(names), _timeout(caller), _timeout(callee))


def _timeout(each: AnyDependency) -> str:
    """Write a timeout, and its source unless that is a person."""
    source = _timeout_source(each)
    by = "" if source == MANUAL else f" ({enum_word(DiscoverySource, source)})"
    return f"{each.timeout_ms:,} ms{by}"


def _timeout_source(each: AnyDependency) -> DiscoverySource.ValueType:
    if isinstance(each, Dependency):
        return each.discovery_source
    return next(won.discovery_source for won in each.provenance if won.field == "timeout_ms")


def _retry_row(found: RetryFinding) -> tuple[str, ...]:
    hops: Sequence[AnyDependency] = found.effective_dependencies or found.dependencies
    factors = " × ".join(f"{_attempts(each):,}" for each in hops)  # noqa: RUF001 - the multiplication sign
    return (f"{found.attempts:,}", factors, path_label(found.service_ids))


def _attempts(each: AnyDependency) -> int:
    if not each.HasField("retry_config"):
        return 1
    retries = each.retry_config
    return 1 + (retries.max_retries if retries.HasField("max_retries") else DEFAULT_RETRIES)


def _rest(count: int) -> Iterator[str]:
    if count:
        yield f"… and {count:,} more (--top lists up to {MAX_FINDINGS:,})"
