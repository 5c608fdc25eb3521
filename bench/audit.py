"""Audits of call paths, and drift: against the plain way, and as answers."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from bench.figures import Figure, ratio, typical
from bench.graphs import big100k, seed5k
from bench.live import Policy, live_graph
from bench.stage import Stage
from bench.turns import take_turns
from depgraph.v1 import analysis_service_pb2 as pb
from graphcore import DependencyGraph
from graphcore.analysis.drift import DECLARED, DriftQuestion, list_drift
from graphcore.kernels.drift import side_of
from server import wire
from server.domain.dependencies import DiscoverySource
from server.rpc.analysis.audit import audit_answer, audit_question
from server.rpc.analysis.drift import drift_answer, drift_question
from server.wire.policies import call_policies

AUDIT, DRIFT = "audit", "drift"
LIMIT = 4 * 1024 * 1024
# Of calls that take long there are too few for ratios.
PAIRS, FEW = 200, 20
POLICIES: tuple[Policy, ...] = (
    (None, None),
    (100, '{"max_retries": 1}'),
    (500, None),
    (1_000, '{"max_retries": 3}'),
    (250, '{"max_retries": 2}'),
    (3_000, '{"max_retries": 0}'),
    (None, '{"max_retries": 5}'),
)
SHARES: Mapping[DiscoverySource, float] = {"manual": 0.8, "service_mesh": 0.7}


def audit(_: Stage) -> Iterator[Figure]:
    """Timeouts and retries: what reading them takes, then whole answers but for the wire."""
    small = live_graph(seed5k(), policies=POLICIES)
    places = np.arange(small.dependency_count, dtype=np.int32)
    column = small.dependency_payloads
    kernel, parsed = take_turns(
        lambda _: call_policies(column, places),
        lambda _: [_policy(column[place]) for place in range(len(places))],
        pairs=PAIRS,
        warm_up=2,
    )
    what = "seed5k, timeouts and retries of all dependencies"
    yield ratio(AUDIT, f"{what}: kernel / generated code", kernel, parsed)
    yield typical(AUDIT, "  kernel", kernel, "ms")
    yield from _audits("seed5k", small)
    yield from _audits("big100k", live_graph(big100k(), policies=POLICIES))


def drift(_: Stage) -> Iterator[Figure]:
    """Pages of drift: the first one by a dictionary of everything, then whole answers but for the wire."""
    small = live_graph(seed5k(), SHARES)
    question = DriftQuestion()
    assert list_drift(small, question).total == _by_dictionary(small)
    page, whole = take_turns(
        lambda _: list_drift(small, question), lambda _: _by_dictionary(small), pairs=PAIRS, warm_up=2
    )
    yield ratio(DRIFT, "seed5k, first page of 100 / a dictionary of all pairs", page, whole)
    yield from _pages("seed5k", small)
    yield from _pages("big100k", live_graph(big100k(), SHARES))


def _audits(name: str, graph: DependencyGraph) -> Iterator[Figure]:
    def call(**said: int | str) -> Callable[[int], bytes]:
        question = audit_question(pb.AuditPathsRequest(**said)).question  # type: ignore[arg-type] # by the name of the field
        return lambda _: audit_answer(graph, question, LIMIT)

    told = pb.AuditPathsResponse.FromString(call()(0))
    five, ten, one = take_turns(call(), call(max_hops=10), call(service_id="s0"), pairs=FEW, warm_up=2)
    what = f"{name}, {told.timeout_count:,} timeouts, {told.retry_count:,} services with retries"
    yield typical(AUDIT, f"{what}: whole answer, 5 hops", five, "ms")
    yield typical(AUDIT, "  10 hops", ten, "ms")
    yield typical(AUDIT, "  one service", one, "ms")


def _pages(name: str, graph: DependencyGraph) -> Iterator[Figure]:
    def call(**said: int | str) -> Callable[[int], bytes]:
        wanted = drift_question(pb.ListDriftRequest(**said))  # type: ignore[arg-type] # by the name of the field
        return lambda _: drift_answer(graph, wanted, LIMIT)

    first = pb.ListDriftResponse.FromString(call(page_size=1_000)(0))
    hundred, thousand, one = take_turns(
        call(),
        call(page_size=1_000, page_token=first.next_page_token),
        call(service_id="s0"),
        pairs=FEW,
        warm_up=2,
    )
    yield typical(DRIFT, f"{name}, {first.total_count:,} pairs: page of 100", hundred, "ms")
    yield typical(DRIFT, "  page of 1,000", thousand, "ms")
    yield typical(DRIFT, "  one service", one, "ms")


def _policy(record: bytes) -> tuple[int, int]:
    message = wire.dependency_of(record)
    attempts = 1 + message.retry_config.max_retries if message.HasField("retry_config") else 1
    return message.timeout_ms, attempts


def _by_dictionary(graph: DependencyGraph) -> int:
    sides: defaultdict[tuple[object, object], int] = defaultdict(int)
    for record in graph.dependencies():
        sides[record.source, record.target] |= DECLARED if side_of.plain(record.flags) == DECLARED else 2
    return sum(1 for side in sides.values() if side != 3)
