"""Walks compared with igraph, by size and over pairs; and handlers, from bytes to bytes."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

import grpc
import numpy as np
from numpy.typing import NDArray

from bench.calls import ECHO, HOPS, LIMIT, VIEWS, question, questions, raw
from bench.graphs import FRESHNESS, Edges, StillGraph, big100k, live_graph, random_edges, seed5k
from bench.measuring import BURST, Call, Figure, in_bursts, over, ratio, stopwatch, take_turns, typical
from bench.stage import Stage, echoing
from depgraph.v1 import graph_service_pb2 as pb
from graphcore import DependencyGraph, Direction, EdgeFilter, EdgeFlag
from graphcore.analysis.edge_selection import effective_edges
from graphcore.traversal import reach
from server.concurrency import SharedComponentSearch
from server.config import Limits
from server.domain.dependencies import DiscoverySource
from server.rpc.answers import freshness_message
from server.rpc.graph.components import component_answer, component_question
from server.rpc.graph.servicer import GraphServicer
from server.rpc.graph.traverse import (
    freshness_field,
    joined_answer,
    sliced_answer,
    traverse_answer,
    traverse_question,
    walk,
)

WALKS = 1_000
# Lets everything pass, and has to look at every edge to know.
SELECTIVE = EdgeFilter.of(communication_modes=[EdgeFlag.SYNC], min_confidence=0.5)
DIRECTIONS = {Direction.DOWNSTREAM: "out", Direction.UPSTREAM: "in"}


def traverse(stage: Stage) -> Iterator[Figure]:
    """Ids within three hops, ours by igraph's ``neighborhood``."""
    import igraph  # noqa: PLC0415 - only this measurement needs it

    for edges in stage.graphs():
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
    yield ratio(f"{what}: ids / igraph", ours, theirs, at_most=0.5)
    yield ratio(f"{what}, edge filter: ids / igraph", filtered, theirs, at_most=0.5)
    yield ratio(f"{what}: ids as a Python list / igraph, whose answer is one", listed, theirs)
    yield typical("  ids", ours)
    yield typical("  igraph", theirs)


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
        figure = _growth(edges, edges.graph(), HOPS, "services within 3 hops")
        yield replace(figure, x=size, part="growth by edges")
    for curve in ("services", "services and dependencies"):
        graph = big100k().graph()
        for hops in range(1, 11):
            yield replace(_growth(big100k(), graph, hops, curve), x=hops, part="growth by hops")


def _growth(edges: Edges, graph: DependencyGraph, hops: int, curve: str) -> Figure:
    starts = [f"s{number}" for number in edges.starts(200)]
    with_dependencies = "dependencies" in curve

    def call(number: int) -> int:
        start = starts[number % len(starts)]
        found = reach(graph, start, Direction.DOWNSTREAM, hops, with_dependencies=with_dependencies)
        return len(found.nodes) + len(found.edges)

    found = sum(map(call, range(len(starts)))) / len(starts)
    [taken] = take_turns(call, pairs=len(starts), warm_up=5)
    what = f"{len(edges.pairs):,} edges, {hops} hops, {found:,.0f} found ({curve})"
    return typical(what, taken, curve=curve)


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
    yield typical("big100k: leading edges of the whole graph", marked, "ms")


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
    yield ratio(f"{what}, {HOPS} hops: walk over effective / plain dependencies", pairs, plain)
    yield ratio(f"{what}, {HOPS} hops, sync only: effective / plain", filtered_pairs, filtered)
    yield typical("  effective", pairs)
    yield typical("  plain", plain)


def _effective_answers(graph: DependencyGraph) -> Iterator[Figure]:
    """Whole answers without the wire; merging is measured by what a pair takes."""
    starts = [traverse_question(question(f"s{number}", "FULL")) for number in seed5k().starts()]
    asked = [each._replace(effective=True) for each in starts]
    counts = [len(walk(graph, each)[0].edges) for each in asked]
    with asyncio.Runner() as runner:
        effective, plain = take_turns(
            over(asked, lambda each: runner.run(sliced_answer(graph, each, FRESHNESS, LIMIT))),
            over(starts, lambda each: traverse_answer(graph, each, FRESHNESS, LIMIT)),
            pairs=WALKS,
        )
    yield ratio(f"seed5k, {HOPS} hops, FULL: answer effective / plain", effective, plain)
    yield typical("  effective", effective)
    each = [seconds / count for seconds, count in zip(effective, counts, strict=True) if count]
    yield typical("  effective, for each pair in the answer", each)


BARS = {"FULL": 0.1, "IDS": 0.03}
CALLS = 1_000
# A turn is this many questions, all different: a handler takes microseconds, and the first call
# after a pause of half a millisecond finds cold caches. Such calls are measured, too.


def handlers(_: Stage) -> Iterator[Figure]:
    """Handlers by an empty unary round trip; then the layers of a ``Traverse``."""
    graph = live_graph(seed5k())
    with echoing() as echo, grpc.insecure_channel(echo.address) as channel:
        empty = raw(channel, ECHO)
        for view in VIEWS:
            yield from _handler(graph, view, lambda _: empty(b"0"))
        yield from _component(graph, lambda _: empty(b"0"))
        for view in VIEWS:
            yield from _layers(graph, view, channel)


def _handler(graph: DependencyGraph, view: str, round_trip: Call) -> Iterator[Figure]:
    """Calls one after the other, and such as come after a pause, by an empty round trip."""
    unused, limits = cast("Any", None), Limits(max_response_bytes=LIMIT)
    servicer = GraphServicer(StillGraph(graph), unused, limits, SharedComponentSearch(), unused)
    decode, handler = pb.TraverseRequest.FromString, servicer.Traverse_at_once
    handle = over(questions(seed5k(), view), lambda asked: handler(decode(asked)))
    bursts, empty = take_turns(in_bursts(handle), round_trip, pairs=CALLS)
    each = [seconds / BURST for seconds in bursts]
    what = f"seed5k, {HOPS} hops, {view}: bytes to bytes"
    yield ratio(f"{what} / empty round trip", each, empty, at_most=BARS[view])
    yield typical("  bytes to bytes", each)
    yield typical("  bytes to bytes, each after a pause", _after_pauses(handle, round_trip))
    yield typical("  empty round trip", empty)


def _after_pauses(handle: Call, round_trip: Call) -> list[float]:
    taken = []
    for number in range(CALLS):
        round_trip(number)
        with stopwatch() as one:
            handle(number)
        taken.append(one.seconds)
    return taken


def _component(graph: DependencyGraph, round_trip: Call) -> Iterator[Figure]:
    graph.components.finish()
    names = [f"s{number}" for number in seed5k().starts()]
    asked = [pb.GetComponentRequest(service_id=name).SerializeToString() for name in names]

    def handle(request: bytes) -> bytes:
        question = component_question(pb.GetComponentRequest.FromString(request))
        found = graph.component_of(question.service_id)
        return component_answer(found, question, freshness_message(FRESHNESS), LIMIT)

    handled, empty = take_turns(over(asked, handle), round_trip, pairs=CALLS)
    what = "GetComponent: bytes to bytes"
    yield ratio(f"{what} / empty round trip", handled, empty, at_most=0.05, part="component")
    yield typical("  bytes to bytes", handled, part="component")


def _layers(graph: DependencyGraph, view: str, channel: grpc.Channel) -> Iterator[Figure]:
    """The layers of one call, each by itself; the transport is an echo of as many bytes."""
    asked = questions(seed5k(), view)
    decoded = [traverse_question(pb.TraverseRequest.FromString(request)) for request in asked]
    lengths = [str(len(traverse_answer(graph, each, FRESHNESS, LIMIT))).encode() for each in decoded]
    found, is_full = [walk(graph, question)[0] for question in decoded], view == "FULL"
    freshness = freshness_field(FRESHNESS)
    ours = {
        "decode": over(asked, lambda each: traverse_question(pb.TraverseRequest.FromString(each))),
        "walk": over(decoded, lambda each: walk(graph, each)),
        "encode": over(found, lambda each: joined_answer(graph, each, freshness, LIMIT, full=is_full)),
    }
    transport, *bursts = take_turns(
        over(lengths, raw(channel, ECHO)), *map(in_bursts, ours.values()), pairs=CALLS
    )
    taken = {"transport, both ways (echo of as many bytes)": transport}
    taken |= {name: [second / BURST for second in burst] for name, burst in zip(ours, bursts, strict=True)}
    for name, each in taken.items():
        yield typical(f"Traverse, seed5k, {HOPS} hops, {view}: {name}", each, part="layers")
