"""Blast radius, paths, audits and drift: compared with plain ways and libraries, and as answers."""

import asyncio
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from itertools import islice

import networkx as nx
import numpy as np
import rustworkx as rx

from bench.calls import LIMIT
from bench.graphs import FRESHNESS, Edges, Policy, big100k, live_graph, seed5k
from bench.measuring import Call, Figure, over, ratio, take_turns, typical
from bench.stage import Stage
from depgraph.v1 import analysis_service_pb2 as pb
from graphcore import DependencyGraph, EdgeFilter
from graphcore.analysis.drift import DECLARED, DriftQuestion, list_drift
from graphcore.analysis.edge_selection import passing_edges
from graphcore.analysis.impact import Impact, impact_of
from graphcore.analysis.paths import shortest_paths
from graphcore.kernels.drift import side_of
from server import wire
from server.domain.dependencies import DiscoverySource
from server.rpc.analysis.audit import audit_answer, audit_question
from server.rpc.analysis.drift import drift_answer, drift_question
from server.rpc.analysis.impact import impact_parts, impact_question, impacted
from server.wire.policies import call_policies

PART_BYTES = 1024 * 1024
# Of calls that take long there are too few for ratios.
PAIRS, FEW, LARGE = 200, 20, 10_000


def impact(stage: Stage) -> Iterator[Figure]:
    """What the failure of the service with most callers reaches."""
    small, *large = stage.graphs()
    for edges in (small, *large):
        yield from _against_rustworkx(edges)
    yield from _against_networkx(small)
    for edges in large:
        yield from _answers(edges)


def _against_rustworkx(edges: Edges) -> Iterator[Figure]:
    """Rustworkx finds upstream services; ours their hops, then sorts them and names paths."""
    graph, hub = edges.graph(), edges.hub()
    counts, whole, theirs = take_turns(
        lambda _: _found(graph, hub, ordered=False),
        lambda _: _found(graph, hub, ordered=True),
        lambda _: rx.ancestors(graph.digraph, hub),
        pairs=FEW if edges.nodes > LARGE else PAIRS,
        warm_up=2,
    )
    what = f"{edges.name}, all {len(_found(graph, hub, ordered=False).nodes):,} callers of s{hub}"
    if len(counts) >= PAIRS:
        yield ratio(f"{what}: hops along four kinds of paths / rustworkx ancestors", counts, theirs)
    yield typical(f"{what}: hops along four kinds of paths", counts, "ms")
    yield typical("  with order and paths", whole, "ms")
    yield typical("  rustworkx ancestors", theirs, "ms")


def _against_networkx(edges: Edges) -> Iterator[Figure]:
    graph, hub = edges.graph(), edges.hub()
    callers: nx.DiGraph[int] = nx.DiGraph((target, source) for source, target in edges.pairs)
    ours, theirs = take_turns(
        lambda _: _found(graph, hub, ordered=True),
        lambda _: nx.single_source_shortest_path(callers, hub),
        pairs=PAIRS,
        warm_up=2,
    )
    what = f"{edges.name}, callers of s{hub} with paths"
    yield ratio(f"{what}: ours / networkx single_source_shortest_path", ours, theirs)


def _answers(edges: Edges) -> Iterator[Figure]:
    """The whole answer: found while the graph stands still, then written part by part."""
    graph, name = live_graph(edges), f"s{edges.hub()}"
    question = impact_question(pb.AnalyzeImpactRequest(service_id=name))
    found = impacted(graph, question)

    async def written() -> list[int]:
        return [len(part) async for part in impact_parts(found, FRESHNESS, PART_BYTES)]

    async def first() -> int:
        return len(await anext(impact_parts(found, FRESHNESS, PART_BYTES)))

    search, head, parts = take_turns(
        lambda _: impacted(graph, question),
        lambda _: asyncio.run(first()),
        lambda _: asyncio.run(written()),
        pairs=FEW,
        warm_up=1,
    )
    sizes = asyncio.run(written())
    what = f"{edges.name}, {len(found.services):,} services, {sum(sizes):,} bytes in {len(sizes)} parts"
    yield typical(f"AnalyzeImpact, {what}: search, while changes wait", search, "ms")
    yield typical("  then until the first part", head, "ms")
    yield typical("  then until the last", parts, "ms")


def paths(_: Stage) -> Iterator[Figure]:
    """Between services drawn at random."""
    for edges in (seed5k(), big100k()):
        graph, ends = edges.graph(), _ends(edges)
        for most in (1, 10, 100):
            [taken] = take_turns(_ours(graph, ends, most), pairs=PAIRS, warm_up=5)
            yield typical(f"{edges.name}, first {most} of the shortest", taken, "ms")
    yield from _against_libraries(seed5k(), 10)


def _against_libraries(edges: Edges, most: int) -> Iterator[Figure]:
    import igraph  # noqa: PLC0415 - only these measurements need it

    ends, calls = _ends(edges), nx.DiGraph(edges.pairs)
    peer = igraph.Graph(edges.nodes, edges.pairs, directed=True)
    peers = {
        "igraph get_k_shortest_paths": lambda pair: peer.get_k_shortest_paths(*pair, k=most),
        "networkx shortest_simple_paths": lambda pair: list(
            islice(nx.shortest_simple_paths(calls, *pair), most)
        ),
    }
    for name, theirs in peers.items():
        ours = _ours(edges.graph(), ends, most)
        fast, slow = take_turns(ours, over(ends, theirs), pairs=PAIRS, warm_up=5)
        yield ratio(f"{edges.name}, first {most} of the shortest: ours / {name}", fast, slow)
        yield typical(f"  {name}", slow, "ms")


def _ours(graph: DependencyGraph, ends: list[tuple[int, int]], most: int) -> Call:
    """As ``FindPaths`` does it: which edges count is looked at each time."""

    def find(ends: tuple[int, int]) -> None:
        source, target = ends
        mask = passing_edges(graph, EdgeFilter())
        found = shortest_paths(graph, f"s{source}", f"s{target}", mask, max_paths=most)
        assert not found.truncated

    return over(ends, find)


def _found(graph: DependencyGraph, hub: int, *, ordered: bool) -> Impact:
    return impact_of(graph, f"s{hub}", passing_edges(graph, EdgeFilter()), ordered=ordered)


def _ends(edges: Edges) -> list[tuple[int, int]]:
    """Pairs of services of which the first reaches the second."""
    chooser, digraph = random.Random(6), rx.PyDiGraph()
    digraph.extend_from_edge_list(edges.pairs)
    largest = max(rx.strongly_connected_components(digraph), key=len)
    return [(source, target) for source, target in (chooser.sample(largest, 2) for _ in range(PAIRS))]


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
    yield ratio(f"{what}: kernel / generated code", kernel, parsed)
    yield typical("  kernel", kernel, "ms")
    yield from _audits("seed5k", small)
    yield from _audits("big100k", live_graph(big100k(), policies=POLICIES))


def drift(_: Stage) -> Iterator[Figure]:
    """Compare the first page of drift with a dictionary of all pairs; then time whole answers."""
    small = live_graph(seed5k(), SHARES)
    question = DriftQuestion()
    assert list_drift(small, question).total == _by_dictionary(small)
    page, whole = take_turns(
        lambda _: list_drift(small, question), lambda _: _by_dictionary(small), pairs=PAIRS, warm_up=2
    )
    yield ratio("seed5k, first page of 100 / a dictionary of all pairs", page, whole)
    yield from _pages("seed5k", small)
    yield from _pages("big100k", live_graph(big100k(), SHARES))


def _audits(name: str, graph: DependencyGraph) -> Iterator[Figure]:
    def call(**said: int | str) -> Callable[[int], bytes]:
        question = audit_question(pb.AuditPathsRequest(**said))  # type: ignore[arg-type] # by the name of the field
        return lambda _: audit_answer(graph, question, LIMIT)

    found = pb.AuditPathsResponse.FromString(call()(0))
    five, ten, one = take_turns(call(), call(max_hops=10), call(service_id="s0"), pairs=FEW, warm_up=2)
    what = f"{name}, {found.timeout_count:,} timeouts, {found.retry_count:,} services with retries"
    yield typical(f"{what}: whole answer, 5 hops", five, "ms")
    yield typical("  10 hops", ten, "ms")
    yield typical("  one service", one, "ms")


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
    yield typical(f"{name}, {first.total_count:,} pairs: page of 100", hundred, "ms")
    yield typical("  page of 1,000", thousand, "ms")
    yield typical("  one service", one, "ms")


def _policy(record: bytes) -> tuple[int, int]:
    message = wire.dependency_of(record)
    attempts = 1 + message.retry_config.max_retries if message.HasField("retry_config") else 1
    return message.timeout_ms, attempts


def _by_dictionary(graph: DependencyGraph) -> int:
    sides: defaultdict[tuple[object, object], int] = defaultdict(int)
    for record in graph.dependencies():
        sides[record.source, record.target] |= DECLARED if side_of.plain(record.flags) == DECLARED else 2
    return sum(1 for side in sides.values() if side != 3)
