"""Calls from a client: their bytes, one by one and many in one."""

from collections.abc import Callable, Iterator
from typing import cast

import grpc

from bench.figures import Figure, ratio, typical
from bench.graphs import Edges, seed5k
from bench.stage import Stage
from bench.turns import take_turns
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
