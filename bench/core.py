"""The walk itself, in this process: against igraph, and how it grows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.figures import Figure, ratio, typical
from bench.graphs import Edges, big100k, debian, random_edges, seed5k
from bench.stage import Stage
from bench.turns import take_turns
from graphcore import DependencyGraph, Direction, EdgeFilter, EdgeFlag, reach

PART = "core-traverse"
HOPS = 3
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
    yield ratio(PART, f"{what}: ids / igraph", ours, theirs, at_most=0.5)
    yield ratio(PART, f"{what}, edge filter: ids / igraph", filtered, theirs, at_most=0.5)
    yield ratio(PART, f"{what}: ids as a Python list / igraph, whose answer is one", listed, theirs)
    yield typical(PART, "  ids", ours)
    yield typical(PART, "  igraph", theirs)


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
