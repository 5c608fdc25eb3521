"""Audits as lines for people."""

from collections.abc import Iterator, Sequence
from typing import TypeAlias

from depgraph.v1.analysis_service_pb2 import AuditPathsResponse, RetryFinding, TimeoutFinding
from depgraph.v1.types_pb2 import Dependency, DiscoverySource, EffectiveDependency
from server.cli.commands.impact_lines import path_line
from server.cli.render.columns import aligned
from server.cli.render.labels import MANUAL, source_word
from server.cli.render.text import counted

Told: TypeAlias = Dependency | EffectiveDependency
# What a configuration of retries means that does not say how many there are.
_UNSAID_RETRIES = 3


def audit_lines(answer: AuditPathsResponse, max_attempts: int) -> Iterator[str]:
    """Tell of timeouts, then of retries: how many findings there are, then those that are listed."""
    yield f"{counted(answer.timeout_count, 'timeout')} that {_do(answer.timeout_count)} not shrink"
    if answer.timeouts:
        heads = ("EXCESS", "PATH", "CALLER WAITS", "SERVICE WAITS")
        yield from aligned([heads, *map(_timeout_row, answer.timeouts)])
    yield from _rest(answer.timeout_count - len(answer.timeouts))
    yield ""
    yield (
        f"{counted(answer.retry_count, 'service')} from which one call may become more than "
        f"{counted(max_attempts, 'attempt')}"
    )
    if answer.retries:
        yield from aligned([("ATTEMPTS", "FACTORS", "PATH"), *map(_retry_row, answer.retries)])
    yield from _rest(answer.retry_count - len(answer.retries))
    if answer.truncated:
        yield "… and there may be worse: the search was ended because it took too long"


def _timeout_row(found: TimeoutFinding) -> tuple[str, ...]:
    caller: Told = found.caller_dependency
    callee: Told = found.callee_dependency
    if found.HasField("caller_effective"):
        caller, callee = found.caller_effective, found.callee_effective
    names = [caller.source_service_id, caller.target_service_id, callee.target_service_id]
    return (f"{found.excess_ms:,} ms", path_line(names), _timeout(caller), _timeout(callee))


def _timeout(each: Told) -> str:
    """Say how long somebody waits, and who says so unless it is a person."""
    said = f"{each.timeout_ms:,} ms"
    source = _source_of_timeout(each)
    return said if source == MANUAL else f"{said} ({source_word(source)})"


def _source_of_timeout(each: Told) -> "DiscoverySource.ValueType":
    if isinstance(each, Dependency):
        return each.discovery_source
    return next(won.discovery_source for won in each.provenance if won.field == "timeout_ms")


def _retry_row(found: RetryFinding) -> tuple[str, ...]:
    told: Sequence[Told] = found.effective_dependencies or found.dependencies
    factors = " × ".join(f"{_attempts(each):,}" for each in told)  # noqa: RUF001 - the sign that people read
    return (f"{found.attempts:,}", factors, path_line(found.service_ids))


def _attempts(each: Told) -> int:
    if not each.HasField("retry_config"):
        return 1
    retries = each.retry_config
    return 1 + (retries.max_retries if retries.HasField("max_retries") else _UNSAID_RETRIES)


def _do(count: int) -> str:
    return "does" if count == 1 else "do"


def _rest(count: int) -> Iterator[str]:
    if count:
        yield f"… and {count:,} more (--top lists up to 1,000)"
