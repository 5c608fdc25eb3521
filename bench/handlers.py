"""What a server adds to the transport: request bytes to response bytes, and the layers of that."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, cast

import grpc

from bench.calls import ECHO, HOPS, VIEWS, questions, raw
from bench.graphs import live_graph, seed5k
from bench.measuring import BURST, Call, Figure, in_bursts, ratio, stopwatch, take_turns, typical
from bench.server_process import echoing
from bench.stage import Stage
from depgraph.v1 import graph_service_pb2 as pb
from graphcore import DependencyGraph
from server.concurrency import SharedComponentSearch
from server.config import Limits
from server.domain.live_graph import Freshness
from server.rpc.answers import freshness_message
from server.rpc.graph.components import component_answer, component_question
from server.rpc.graph.servicer import GraphServicer
from server.rpc.graph.traverse import freshness_field, joined_answer, traverse_answer, traverse_question, walk

LIMIT = 4 * 1024 * 1024
FRESHNESS = Freshness("1:2:3:4:5:" + "x" * 40, timedelta(milliseconds=1.5))
BARS = {"FULL": 0.1, "IDS": 0.03}
CALLS = 1_000
# A turn is this many questions, all different: a handler takes microseconds, and the first call
# after a pause of half a millisecond finds cold caches. Such calls are measured, too.


def measure(_: Stage) -> Iterator[Figure]:
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
    asked = questions(seed5k(), view)

    handler = _servicer(graph).Traverse_at_once

    def handle(number: int) -> bytes | None:
        return handler(pb.TraverseRequest.FromString(asked[number % len(asked)]))

    what = f"seed5k, {HOPS} hops, {view}: bytes to bytes"
    yield from _by_round_trip("handler", what, handle, round_trip, BARS[view])


class _Memory:
    """A replica whose graph never changes."""

    def __init__(self, graph: DependencyGraph) -> None:
        self._graph = graph

    def now(self) -> DependencyGraph:
        return self._graph

    def freshness(self) -> Freshness:
        return FRESHNESS


def _servicer(graph: DependencyGraph) -> GraphServicer:
    unused = cast("Any", None)
    limits = Limits(max_response_bytes=LIMIT)
    return GraphServicer(cast("Any", _Memory(graph)), unused, limits, SharedComponentSearch(), unused)


def _by_round_trip(part: str, what: str, handle: Call, round_trip: Call, bar: float) -> Iterator[Figure]:
    """Calls one after the other, and such as come after a pause, by an empty round trip."""
    bursts, empty = take_turns(in_bursts(handle), round_trip, pairs=CALLS)
    each = [seconds / BURST for seconds in bursts]
    yield ratio(part, f"{what} / empty round trip", each, empty, at_most=bar)
    yield typical(part, "  bytes to bytes", each)
    yield typical(part, "  bytes to bytes, each after a pause", _after_pauses(handle, round_trip))
    yield typical(part, "  empty round trip", empty)


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
    asked = [
        pb.GetComponentRequest(service_id=f"s{number}").SerializeToString() for number in seed5k().starts()
    ]

    def handle(number: int) -> bytes:
        question = component_question(pb.GetComponentRequest.FromString(asked[number % len(asked)]))
        found = graph.component_of(question.service_id)
        return component_answer(found, question, freshness_message(FRESHNESS), LIMIT)

    handled, empty = take_turns(handle, round_trip, pairs=CALLS)
    yield ratio("component", "GetComponent: bytes to bytes / empty round trip", handled, empty, at_most=0.05)
    yield typical("component", "  bytes to bytes", handled)


def _layers(graph: DependencyGraph, view: str, channel: grpc.Channel) -> Iterator[Figure]:
    """The layers of one call, each by itself; the transport is an echo of as many bytes."""
    asked = questions(seed5k(), view)
    decoded = [traverse_question(pb.TraverseRequest.FromString(request)) for request in asked]
    lengths = [str(len(traverse_answer(graph, each, FRESHNESS, LIMIT))).encode() for each in decoded]
    found, echo = [walk(graph, question) for question in decoded], raw(channel, ECHO)
    places = len(asked)
    layers: dict[str, Call] = {
        "transport, both ways (echo of as many bytes)": lambda n: echo(lengths[n % places]),
        "decode": lambda n: traverse_question(pb.TraverseRequest.FromString(asked[n % places])),
        "walk": lambda n: walk(graph, decoded[n % places]),
        "encode": lambda n: joined_answer(
            graph, found[n % places], freshness_field(FRESHNESS), LIMIT, full=view == "FULL"
        ),
    }
    transport, *ours = layers
    taken = take_turns(layers[transport], *(in_bursts(layers[name]) for name in ours), pairs=CALLS)
    for name, times in zip(layers, taken, strict=True):
        each = times if name == transport else [seconds / BURST for seconds in times]
        yield typical("layers", f"Traverse, seed5k, {HOPS} hops, {view}: {name}", each)
