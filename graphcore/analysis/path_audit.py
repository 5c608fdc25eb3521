"""
What an audit of synchronous calls looks at.

Timeouts and retries are no concern of the graph: whoever asks reads them out of the payloads (``CallPolicies``). Only synchronous dependencies count, for
nobody waits for others.
"""

from dataclasses import dataclass

import numpy as np

from graphcore.analysis.edge_selection import counting_edges, effective_edges
from graphcore.analysis.retries import RetryReport, worst_retries
from graphcore.analysis.sync_calls import CallPolicies, SyncCalls, merged_policies
from graphcore.analysis.timeouts import TimeoutReport, grown_timeouts
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter, EdgeFlag
from graphcore.graph.name_order import NameOrder
from graphcore.traversal.reach import FRESH

_LEAST_HOPS = 2


@dataclass(frozen=True, slots=True)
class AuditQuestion:
    """
    What to look at, and what is too much.

    ``service`` keeps what begins at this service, by name. Paths whose attempts are multiplied have up to ``max_hops`` calls; more than
    ``max_attempts`` are too many. At most ``most`` findings of each kind are listed. ``effective`` = one dependency for each pair of services, whose
    timeout and retries are those of the first source that knows them (``graphcore.analysis.edge_selection``).
    """

    service: str | None = None
    max_hops: int = 5
    max_attempts: int = 10
    most: int = 100
    edge_filter: EdgeFilter = FRESH
    effective: bool = False

    @property
    def of_sync_calls(self) -> EdgeFilter:
        """What the filter lets pass of synchronous dependencies."""
        return EdgeFilter(self.edge_filter.allowed & ~int(EdgeFlag.ASYNC), self.edge_filter.min_confidence)


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found of either kind."""

    timeouts: TimeoutReport
    retries: RetryReport


def audit_paths(graph: DependencyGraph, question: AuditQuestion, policies: CallPolicies) -> Audit:
    """
    Find timeouts that do not shrink along a path, and retries that multiply; raises ``UnknownServiceError``.

    O(E log E + hops (V + E)), and what searches for paths are allowed; less for one service. Nothing of the graph changes, so this may run beside readers.
    """
    begin = None if question.service is None else graph.node(question.service)
    wanted = question.of_sync_calls
    mask = (effective_edges if question.effective else counting_edges)(graph, wanted)
    calls = SyncCalls.of(graph, mask, begin, max(question.max_hops, _LEAST_HOPS))
    if question.effective:
        timeouts, attempts = merged_policies(graph, calls.edge, wanted, policies)
    else:
        timeouts, attempts = policies(graph.dependency_payloads, calls.edge)
    order = NameOrder.of(graph)
    return Audit(
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
    )
