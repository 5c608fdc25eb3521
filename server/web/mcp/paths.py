"""The tool ``paths``."""

import math
from collections.abc import Iterator
from itertools import pairwise

from depgraph.v1.analysis_service_pb2 import FindPathsRequest, FindPathsResponse, Path
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DependencyCriticality,
    EffectiveDependency,
)
from server.web.mcp.answer import Answer, Name, Table
from server.web.mcp.arguments import FILTERS, Arguments, arguments, edge_filter, number, text
from server.web.mcp.asking import Ask, one
from server.web.mcp.naming import path as path_label
from server.web.mcp.naming import quoted
from server.web.mcp.services import CALL_COLUMNS, call_cells
from server.web.mcp.times import AS_OF, consistency
from server.web.mcp.tool import Tool
from server.words import counted, enum_word

_METHOD = "/depgraph.v1.AnalysisService/FindPaths"
_MOST = 20
_MOST_HOPS = 1_000_000
_WEAKNESS = (
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_SOFT,
)


async def _answer(ask: Ask, given: Arguments) -> Answer:
    request = FindPathsRequest(
        source_service_id=given["source"],
        target_service_id=given["target"],
        max_paths=given["limit"],
        max_hops=given["max_hops"],
        include_stale=given["include_stale"],
        filter=edge_filter(given),
        effective=True,
        consistency=consistency(given),
    )
    found = await one(ask, _METHOD, request, FindPathsResponse)
    summary = list(_summary(given, found)) if found.paths else [await _none(ask, given, request)]
    if found.truncated:
        summary.append("the search took too long and stopped: there may be more paths")
    rows = [
        (position, Name(call.source_service_id), Name(call.target_service_id), *call_cells(call))
        for position, path in enumerate(found.paths, 1)
        for call in _calls(path)
    ]
    columns = ("path", "caller", "callee", *CALL_COLUMNS)
    return Answer(
        summary,
        [Table("calls", columns, rows, len(rows), "ask for fewer paths or fewer hops")],
        freshness=found.freshness,
        aliases=found.resolved_aliases,
        counts={"paths": len(found.paths), "search_ended_early": found.truncated},
    )


async def _none(ask: Ask, given: Arguments, request: FindPathsRequest) -> str:
    """Say that there is no path, and whether there is one the other way round."""
    source, target = quoted(given["source"]), quoted(given["target"])
    back = FindPathsRequest()
    back.CopyFrom(request)
    back.source_service_id, back.target_service_id = request.target_service_id, request.source_service_id
    found = await one(ask, _METHOD, back, FindPathsResponse)
    counted_calls = " over the calls that you asked for" if given.keys() & {"modes", "exclude_kinds"} else ""
    other = f"; but {target} reaches {source}: swap source and target" if found.paths else ""
    return f"{source} does not reach {target}{counted_calls}{other}"


def _summary(given: Arguments, found: FindPathsResponse) -> Iterator[str]:
    shown = len(found.paths)
    limited = "; a higher limit finds more if there are more" if shown == given["limit"] else ""
    yield f"{counted(shown, 'path')}, shortest first{limited}"
    for position, path in enumerate(found.paths, 1):
        calls = _calls(path)
        yield f"path {position}: {path_label(path.service_ids)}; {_weakest(calls)}"
        yield from (f"path {position}: {remark}" for remark in _remarks(calls))


def _calls(path: Path) -> list[EffectiveDependency]:
    return [hop.effective for hop in path.hops]


def _weakest(calls: list[EffectiveDependency]) -> str:
    """Name the call whose caller is least affected by its callee."""
    weakest = max(calls, key=_weakness)
    if weakest.criticality == DEPENDENCY_CRITICALITY_HARD:
        return "all calls are hard: the first fails with the last"
    call = f"{quoted(weakest.source_service_id)} → {quoted(weakest.target_service_id)}"
    return f"weakest call {call} ({enum_word(DependencyCriticality, weakest.criticality)})"


def _weakness(call: EffectiveDependency) -> int:
    """Place a call: the more its caller goes on without the callee, the higher."""
    return _WEAKNESS.index(call.criticality) if call.criticality in _WEAKNESS else 0


def _remarks(calls: list[EffectiveDependency]) -> Iterator[str]:
    """Name timeouts that do not shrink along the path, and retries that multiply."""
    for near, far in pairwise(calls):
        if _waits(near) and _waits(far) and far.timeout_ms >= near.timeout_ms:
            yield (
                f"{quoted(near.source_service_id)} gives up on {quoted(near.target_service_id)} after "
                f"{near.timeout_ms:,} ms, before its call of {quoted(far.target_service_id)} times out "
                f"({far.timeout_ms:,} ms)"
            )
            break
    attempts = math.prod(call.retry_config.max_retries + 1 for call in calls)
    if sum(call.retry_config.max_retries > 0 for call in calls) > 1:
        yield f"retries multiply: up to {attempts:,} calls of the last service for one of the first"


def _waits(call: EffectiveDependency) -> bool:
    return call.HasField("timeout_ms") and call.communication_mode != COMMUNICATION_MODE_ASYNC


PATHS = Tool(
    "paths",
    "How one service reaches another",
    "The shortest paths of calls from one service to another, call by call with mode, timeout, retries and "
    "what happens if the callee fails, and the weakest call of each. Use it to see why a failure of target "
    "is felt at source, where it could be cut off, and whether timeouts shrink along the way.",
    arguments(
        ["source", "target"],
        source=text("Name or alias of the first caller."),
        target=text("Name or alias of the last callee."),
        max_hops=number("Longest path; 0 = any.", least=0, most=_MOST_HOPS, default=0),
        **FILTERS,
        as_of=AS_OF,
        limit=number("Paths at most.", least=1, most=_MOST, default=3),
    ),
    _answer,
    {"source_service_id": "source", "target_service_id": "target"},
)
