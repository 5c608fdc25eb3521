"""
Audits of call paths: timeouts that do not shrink, and retries that multiply.

The caller reads timeouts and retries out of the payloads (``CallPolicies``). Only synchronous
dependencies count, because only their callers wait.
"""

from dataclasses import dataclass

import numpy as np

from graphcore.analysis.edge_selection import effective_edges, passing_edges
from graphcore.analysis.retries import RetryReport, worst_retries
from graphcore.analysis.sync_calls import CallPolicies, SyncCalls, merged_policies
from graphcore.analysis.timeouts import TimeoutReport, grown_timeouts
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter, EdgeFlag
from graphcore.graph.name_order import NameOrder
from graphcore.traversal.reach import FRESH

_LEAST_HOPS = 2


@dataclass(frozen=True, slots=True)
class PathAuditQuestion:
    """
    What to audit, and what is too much.

    ``service``: only paths that begin at this service. Retries multiply along paths of up to
    ``max_hops`` calls; more than ``max_attempts`` are too many. ``most`` findings of each kind are
    listed. ``effective``: one dependency for each pair, with the timeout and retries of the first
    source that knows them (``graphcore.analysis.edge_selection``).
    """

    service: str | None = None
    max_hops: int = 5
    max_attempts: int = 10
    most: int = 100
    edge_filter: EdgeFilter = FRESH
    effective: bool = False

    @property
    def of_sync_calls(self) -> EdgeFilter:
        """The filter, restricted to synchronous dependencies."""
        return EdgeFilter(self.edge_filter.allowed & ~int(EdgeFlag.ASYNC), self.edge_filter.min_confidence)


@dataclass(frozen=True, slots=True)
class PathAudit:
    """
    The findings of both kinds.

    ``dependencies`` synchronous ones were audited; of these, ``with_timeout`` have a timeout and
    ``with_retries`` a retry configuration.
    """

    timeouts: TimeoutReport
    retries: RetryReport
    dependencies: int
    with_timeout: int
    with_retries: int


def audit_paths(graph: DependencyGraph, question: PathAuditQuestion, policies: CallPolicies) -> PathAudit:
    """
    Find timeouts that do not shrink along a path, and retries that multiply.

    Raises ``UnknownServiceError``. O(E log E + hops (V + E)) and a bounded search for paths; less
    for one service. May run beside readers.
    """
    begin = None if question.service is None else graph.node(question.service)
    wanted = question.of_sync_calls
    mask = (effective_edges if question.effective else passing_edges)(graph, wanted)
    calls = SyncCalls.of(graph, mask, begin, max(question.max_hops, _LEAST_HOPS))
    if question.effective:
        timeouts, attempts = merged_policies(graph, calls.edge, wanted, policies)
    else:
        timeouts, attempts = policies(graph.dependency_payloads, calls.edge)
    order = NameOrder.of(graph)
    return PathAudit(
        grown_timeouts(graph, calls, timeouts, order, begin=begin, most=question.most),
        worst_retries(
            graph,
            calls,
            np.maximum(attempts, 1),
            order,
            begin=begin,
            max_hops=question.max_hops,
            max_attempts=question.max_attempts,
            most=question.most,
        ),
        dependencies=len(calls.edge),
        with_timeout=int(np.count_nonzero(timeouts)),
        with_retries=int(np.count_nonzero(attempts)),
    )
