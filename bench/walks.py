"""The walk in this process: compared with igraph, by size, and over effective dependencies."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.calls import HOPS, question
from bench.graphs import Edges, big100k, debian, live_graph, random_edges, seed5k
from bench.handlers import FRESHNESS, LIMIT
from bench.measuring import Call, Figure, ratio, take_turns, typical
from bench.stage import Stage
from graphcore import DependencyGraph, Direction, EdgeFilter, EdgeFlag
from graphcore.analysis.edge_selection import effective_edges
from graphcore.traversal.reach import reach
from server.domain.dependencies import DiscoverySource
from server.rpc.graph.traverse import sliced_answer, traverse_answer, traverse_question, walk

CORE = "core-traverse"
WALKS = 1_000
# Lets everything pass, and has to look at every edge to know.
SELECTIVE = EdgeFilter.of(communication_modes=[EdgeFlag.SYNC], min_confidence=0.5)
DIRECTIONS = {Direction.DOWNSTREAM: "out", Direction.UPSTREAM: "in"}


def traverse(stage: Stage) -> Iterator[Figure]:
    """Ids within three hops, ours by igraph's ``neighborhood``."""
    import igraph  # noqa: PLC0415 - only this measurement needs it

    for edges in (seed5k(), big100k(), debian(stage.given)):
        if edges is None:
            continue
        graph, peer = edges.graph(), igraph.Graph(edges.nodes, edges.pairs, directed=True)
        for direction in DIRECTIONS:
            yield from _against_igraph(edges, graph, peer, direction)


def _against_igraph(
    edges: Edges, graph: DependencyGraph, peer: Any, direction: Direction
) -> Iterator[Figure]:
    starts, mode = edges.starts(), DIRECTIONS[direction]
    plain = ids(graph, direction, HOPS, EdgeFilter(), starts)
    ours, filtered, listed, theirs = take_turns(
        plain,
        ids(graph, direction, HOPS, SELECTIVE, starts),
        lambda number: plain(number).tolist(),
        lambda number: peer.neighborhood(starts[number % len(starts)], order=HOPS, mode=mode),
        pairs=WALKS,
    )
    what = f"{edges.name}, {HOPS} hops {direction.value}"
    yield ratio(CORE, f"{what}: ids / igraph", ours, theirs, at_most=0.5)
    yield ratio(CORE, f"{what}, edge filter: ids / igraph", filtered, theirs, at_most=0.5)
    yield ratio(CORE, f"{what}: ids as a Python list / igraph, whose answer is one", listed, theirs)
    yield typical(CORE, "  ids", ours)
    yield typical(CORE, "  igraph", theirs)


def ids(
    graph: DependencyGraph, direction: Direction, hops: int, passing: EdgeFilter, starts: list[int]
) -> Callable[[int], NDArray[np.int32]]:
    """Walks whose answer is what responses are made from: an array of node indices."""
    names = [f"s{number}" for number in starts]

    def call(number: int) -> NDArray[np.int32]:
        start = names[number % len(names)]
        return reach(graph, start, direction, hops, passing, with_dependencies=False).nodes

    return call


def growth(_: Stage) -> Iterator[Figure]:
    """How the cost of a walk grows with the graph and with the hops."""
    for size in (1_000, 10_000, 100_000, 1_000_000):
        edges = big100k() if size == 1_000_000 else random_edges(f"{size:,} edges", size // 10, size)
        curve = _Curve("growth by edges", "services within 3 hops", with_dependencies=False)
        yield from _walks(edges, [HOPS], curve)
    for with_dependencies in (False, True):
        kind = "services and dependencies" if with_dependencies else "services"
        curve = _Curve("growth by hops", kind, with_dependencies=with_dependencies)
        yield from _walks(big100k(), list(range(1, 11)), curve)


@dataclass(frozen=True)
class _Curve:
    part: str
    name: str
    with_dependencies: bool


def _walks(edges: Edges, depths: list[int], curve: _Curve) -> Iterator[Figure]:
    graph, starts = edges.graph(), [f"s{number}" for number in edges.starts(200)]
    for hops in depths:
        call = _whole(graph, starts, hops, with_dependencies=curve.with_dependencies)
        found = sum(call(number) for number in range(len(starts))) / len(starts)
        [taken] = take_turns(call, pairs=len(starts), warm_up=5)
        what = f"{len(edges.pairs):,} edges, {hops} hops, {found:,.0f} found ({curve.name})"
        along = hops if curve.part == "growth by hops" else len(edges.pairs)
        yield typical(curve.part, what, taken, curve=curve.name, x=along)


def _whole(
    graph: DependencyGraph, starts: list[str], hops: int, *, with_dependencies: bool
) -> Callable[[int], int]:
    def call(number: int) -> int:
        start = starts[number % len(starts)]
        found = reach(graph, start, Direction.DOWNSTREAM, hops, with_dependencies=with_dependencies)
        return len(found.nodes) + len(found.edges)

    return call


EFFECTIVE = "effective"
SHARES: Mapping[DiscoverySource, float] = {"manual": 1.0, "otel_service_graph": 0.5, "service_mesh": 0.25}
# Asked of the effective dependency, so that a walk has to know it.
OF_THE_LEADING = EdgeFilter.of(communication_modes=[EdgeFlag.SYNC])
MARKINGS = 200


def effective_walks(_: Stage) -> Iterator[Figure]:
    """Walks, whole answers, and the mask that analyses go by."""
    graph = live_graph(seed5k(), SHARES)
    yield from _effective_walks("seed5k, 1.75 sources a pair", graph, seed5k())
    yield from _effective_answers(graph)
    large = big100k().graph()
    yield from _effective_walks("big100k, one source a pair", large, big100k())
    [marked] = take_turns(lambda _: effective_edges(large, EdgeFilter()), pairs=MARKINGS, warm_up=5)
    yield typical(EFFECTIVE, "big100k: leading edges of the whole graph", marked, "ms")


def _effective_walks(what: str, graph: DependencyGraph, edges: Edges) -> Iterator[Figure]:
    names = [f"s{number}" for number in edges.starts()]

    def call(passing: EdgeFilter, *, effective: bool) -> Call:
        return lambda number: reach(
            graph, names[number % len(names)], Direction.DOWNSTREAM, HOPS, passing, effective=effective
        )

    plain, pairs, filtered, filtered_pairs = take_turns(
        call(EdgeFilter(), effective=False),
        call(EdgeFilter(), effective=True),
        call(OF_THE_LEADING, effective=False),
        call(OF_THE_LEADING, effective=True),
        pairs=WALKS,
    )
    yield ratio(EFFECTIVE, f"{what}, {HOPS} hops: walk over effective / plain dependencies", pairs, plain)
    yield ratio(EFFECTIVE, f"{what}, {HOPS} hops, sync only: effective / plain", filtered_pairs, filtered)
    yield typical(EFFECTIVE, "  effective", pairs)
    yield typical(EFFECTIVE, "  plain", plain)


def _effective_answers(graph: DependencyGraph) -> Iterator[Figure]:
    """Whole answers without the wire; merging is measured by what a pair takes."""
    starts = [traverse_question(question(f"s{number}", "FULL")) for number in seed5k().starts()]
    asked = [each._replace(effective=True) for each in starts]
    counts = [len(walk(graph, each).edges) for each in asked]
    with asyncio.Runner() as runner:
        effective, plain = take_turns(
            lambda number: runner.run(sliced_answer(graph, asked[number % len(asked)], FRESHNESS, LIMIT)),
            lambda number: traverse_answer(graph, starts[number % len(starts)], FRESHNESS, LIMIT),
            pairs=WALKS,
        )
    yield ratio(EFFECTIVE, f"seed5k, {HOPS} hops, FULL: answer effective / plain", effective, plain)
    yield typical(EFFECTIVE, "  effective", effective)
    each = [seconds / count for seconds, count in zip(effective, counts, strict=True) if count]
    yield typical(EFFECTIVE, "  effective, for each pair in the answer", each)
