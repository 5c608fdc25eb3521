"""Walks over effective dependencies: by plain ones, and what merging takes."""

import asyncio
from collections.abc import Iterator, Mapping

from bench.calls import HOPS, question
from bench.core import WALKS
from bench.figures import Figure, ratio, typical
from bench.graphs import Edges, big100k, seed5k
from bench.handlers import FRESHNESS, LIMIT
from bench.live import live_graph
from bench.stage import Stage
from bench.turns import Call, take_turns
from graphcore import DependencyGraph, Direction, EdgeFilter, EdgeFlag
from graphcore.analysis.edge_selection import effective_edges
from graphcore.traversal.reach import effective_reach, reach
from server.domain.dependencies import DiscoverySource
from server.rpc.graph.traverse import effective_answer, traverse_answer, traverse_question, walk

PART = "effective"
SHARES: Mapping[DiscoverySource, float] = {"manual": 1.0, "otel_service_graph": 0.5, "service_mesh": 0.25}
# Asked of the effective dependency, so that a walk has to know it.
OF_THE_LEADING = EdgeFilter.of(communication_modes=[EdgeFlag.SYNC])
MARKINGS = 200


def measure(_: Stage) -> Iterator[Figure]:
    """Walks, whole answers, and the mask that analyses go by."""
    graph = live_graph(seed5k(), SHARES)
    yield from _walks("seed5k, 1.75 sources a pair", graph, seed5k())
    yield from _answers(graph)
    large = big100k().graph()
    yield from _walks("big100k, one source a pair", large, big100k())
    [marked] = take_turns(lambda _: effective_edges(large, EdgeFilter()), pairs=MARKINGS, warm_up=5)
    yield typical(PART, "big100k: leading edges of the whole graph", marked, "ms")


def _walks(what: str, graph: DependencyGraph, edges: Edges) -> Iterator[Figure]:
    names = [f"s{number}" for number in edges.starts()]

    def call(passing: EdgeFilter, *, effective: bool) -> Call:
        walker = effective_reach if effective else reach
        return lambda number: walker(graph, names[number % len(names)], Direction.DOWNSTREAM, HOPS, passing)

    plain, pairs, filtered, filtered_pairs = take_turns(
        call(EdgeFilter(), effective=False),
        call(EdgeFilter(), effective=True),
        call(OF_THE_LEADING, effective=False),
        call(OF_THE_LEADING, effective=True),
        pairs=WALKS,
    )
    yield ratio(PART, f"{what}, {HOPS} hops: walk over effective / plain dependencies", pairs, plain)
    yield ratio(PART, f"{what}, {HOPS} hops, sync only: effective / plain", filtered_pairs, filtered)
    yield typical(PART, "  effective", pairs)
    yield typical(PART, "  plain", plain)


def _answers(graph: DependencyGraph) -> Iterator[Figure]:
    """Whole answers without the wire; merging is measured by what a pair takes."""
    starts = [traverse_question(question(f"s{number}", "FULL")) for number in seed5k().starts()]
    asked = [each._replace(effective=True) for each in starts]
    counts = [len(walk(graph, each).edges) for each in asked]
    with asyncio.Runner() as runner:
        effective, plain = take_turns(
            lambda number: runner.run(effective_answer(graph, asked[number % len(asked)], FRESHNESS, LIMIT)),
            lambda number: traverse_answer(graph, starts[number % len(starts)], FRESHNESS, LIMIT),
            pairs=WALKS,
        )
    yield ratio(PART, f"seed5k, {HOPS} hops, FULL: answer effective / plain", effective, plain)
    yield typical(PART, "  effective", effective)
    each = [seconds / count for seconds, count in zip(effective, counts, strict=True) if count]
    yield typical(PART, "  effective, for each pair in the answer", each)
