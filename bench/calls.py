"""Calls of a client: alone, in batches, by the size of the answer, and beside an echo server."""

from collections.abc import Callable, Iterator
from typing import cast

import grpc

from bench.graphs import Edges, big100k, seed5k
from bench.measuring import Figure, ratio, take_turns, typical
from bench.server_process import ECHO_OPTIONS, GRPCIO, NATIVE, echoing, transports
from bench.stage import Stage
from depgraph.v1 import graph_service_pb2 as pb

TRAVERSE = "/depgraph.v1.GraphService/Traverse"
BATCH_TRAVERSE = "/depgraph.v1.GraphService/BatchTraverse"
ECHO = "/bench.Echo/Answer"
HOPS = 3
BATCH = 100
VIEWS = {"FULL": pb.TRAVERSAL_VIEW_FULL, "IDS": pb.TRAVERSAL_VIEW_IDS}

RawCall = Callable[[bytes], bytes]


def raw(channel: grpc.Channel, method: str) -> RawCall:
    """A method as bytes in, bytes out: what the client spends on messages is not measured."""
    return cast("RawCall", channel.unary_unary(method))


def question(service_id: str, view: str, hops: int = HOPS) -> pb.TraverseRequest:
    return pb.TraverseRequest(
        service_id=service_id, direction=pb.DIRECTION_DOWNSTREAM, max_depth=hops, view=VIEWS[view]
    )


def questions(edges: Edges, view: str, hops: int = HOPS) -> list[bytes]:
    return [question(f"s{number}", view, hops).SerializeToString() for number in edges.starts()]


def batch(stage: Stage) -> Iterator[Figure]:
    """Traversals a second in batches by those in single calls."""
    with stage.server(seed5k()) as (server, _), grpc.insecure_channel(server.address) as channel:
        asked = questions(seed5k(), "IDS")
        batches = [_batch(asked, start) for start in range(0, len(asked), BATCH)]
        single, many = raw(channel, TRAVERSE), raw(channel, BATCH_TRAVERSE)
        one, hundred = take_turns(
            lambda number: single(asked[number % len(asked)]),
            lambda number: many(batches[number % len(batches)]),
        )
    each = [seconds / BATCH for seconds in hundred]
    what = f"seed5k, {HOPS} hops, IDS: traversals a second in batches of {BATCH} / in single calls"
    yield ratio("batch", what, one, each, at_least=20)
    yield typical("batch", "  one call", one)
    yield typical("batch", "  one batch", hundred)


def _batch(asked: list[bytes], start: int) -> bytes:
    requests = [pb.TraverseRequest.FromString(request) for request in asked[start : start + BATCH]]
    return pb.BatchTraverseRequest(requests=requests).SerializeToString()


RTT = "rtt"
RTT_BARS = {GRPCIO: {"FULL": 1.3, "IDS": 1.3}, NATIVE: {"FULL": 1.8, "IDS": 1.4}}
# Two processes that do the same may differ for as long as they run: each round has new ones.
ROUNDS, PAIRS_A_ROUND = 4, 300


def rtt(stage: Stage) -> Iterator[Figure]:
    for transport in transports():
        taken: dict[str, tuple[list[float], list[float]]] = {view: ([], []) for view in VIEWS}
        for _ in range(ROUNDS):
            for view, of_round in _rtt_round(stage, transport).items():
                for before, more in zip(taken[view], of_round, strict=True):
                    before.extend(more)
        for view, (call, echo) in taken.items():
            what = f"{transport}, seed5k, {HOPS} hops, {view}"
            bar = RTT_BARS[transport][view]
            yield ratio(RTT, f"{what}: Traverse / echo of as many bytes", call, echo, at_most=bar)
            yield typical(RTT, "  Traverse", call)
            yield typical(RTT, "  echo", echo)


def _rtt_round(stage: Stage, transport: str) -> dict[str, list[list[float]]]:
    with (
        stage.server(seed5k(), transport=transport) as (server, _),
        echoing(*ECHO_OPTIONS[transport]) as echo,
        grpc.insecure_channel(server.address) as ours,
        grpc.insecure_channel(echo.address) as theirs,
    ):
        return {view: _in_turn(raw(ours, TRAVERSE), raw(theirs, ECHO), view) for view in VIEWS}


def _in_turn(traverse: RawCall, echo: RawCall, view: str) -> list[list[float]]:
    asked = questions(seed5k(), view)
    lengths = [str(len(traverse(request))).encode() for request in asked]
    return take_turns(
        lambda number: traverse(asked[number % len(asked)]),
        lambda number: echo(lengths[number % len(lengths)]),
        pairs=PAIRS_A_ROUND,
    )


SIZES = "sizes"
SIZE_SERVICES = {"IDS": (1, 10, 100, 1_000, 10_000, 50_000), "FULL": (1, 10, 100, 1_000, 5_000)}


def sizes(stage: Stage) -> Iterator[Figure]:
    with (
        stage.server(big100k()) as (server, _),
        echoing() as echo,
        grpc.insecure_channel(server.address, [("grpc.max_receive_message_length", -1)]) as ours,
        grpc.insecure_channel(echo.address, [("grpc.max_receive_message_length", -1)]) as theirs,
    ):
        traverse, least = raw(ours, TRAVERSE), raw(theirs, ECHO)
        for view in VIEWS:
            for services in SIZE_SERVICES[view]:
                request = question("s1", view, 10)
                request.max_services = services
                asked = request.SerializeToString()
                length = str(len(traverse(asked))).encode()
                call, floor = take_turns(
                    lambda _, asked=asked: traverse(asked),  # type: ignore[misc]
                    lambda _, length=length: least(length),  # type: ignore[misc]
                    pairs=200,
                )
                what = f"{services:,} services, {view}, {int(length):,} bytes"
                yield typical(SIZES, f"Traverse, {what}", call, curve=f"Traverse {view}", x=int(length))
                yield typical(SIZES, "  echo", floor, curve=f"echo ({view})", x=int(length))
