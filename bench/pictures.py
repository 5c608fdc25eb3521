"""Questions for pictures over gRPC: beside a walk, and how long other calls wait meanwhile."""

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
from google.protobuf.message import Message

from bench.measuring import Figure, elsewhere, quantile_figure, ratio, take_turns, typical
from bench.stage import Stage, connected, embedded_url, serving
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from tests.support.console_worlds import PACKAGE_HUB, PACKAGES, write_packages

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

PAIRS, WARM_UP, ALONE_SECONDS = 200, 3, 5.0
USUAL, SHORT, TYPING_ERROR, TEAM = "gateway", "we", "libary-0", "billing"
# Shorter than any picture, on a service that calls few others.
SMALL = pb.TraverseRequest(view=pb.TRAVERSAL_VIEW_IDS, direction=pb.DIRECTION_DOWNSTREAM, max_depth=1)


class Picture(NamedTuple):
    """A question, and the answer that it is compared with."""

    name: str
    method: str
    request: Message
    beside: pb.TraverseRequest


def measure(stage: Stage) -> Iterator[Figure]:
    data_dir = stage.folder / "pictures"
    with serving(data_dir):
        usual = asyncio.run(_fill(embedded_url(data_dir)))
    with serving(data_dir) as server, grpc.insecure_channel(server.address) as channel:
        stub = GraphServiceStub(channel)
        with _small_calls(server.address, usual) as waits_during:
            alone = waits_during(lambda: time.sleep(ALONE_SECONDS))
            yield from _waits("Traverse of 1 hop, alone", alone)
            for picture in _pictures(usual):
                yield from _figures(stub, picture, waits_during)


async def _fill(url: str) -> str:
    """Write the graph; returns an ordinary service."""
    async with connected(url) as connection:
        await write_packages(connection)
        name: str = await connection.fetchval(
            'SELECT min(service_id COLLATE "C") FROM services WHERE service_id LIKE $1',
            f"{USUAL}-3%",
        )
    return name


def _pictures(usual: str) -> Iterator[Picture]:
    for what, name, hops in (("the hub", PACKAGE_HUB, 1), ("the hub", PACKAGE_HUB, 10), ("one", usual, 2)):
        around = pb.GetNeighbourhoodRequest(service_id=name, max_depth=hops)
        yield Picture(f"neighbourhood of {what}, {hops} hops", "GetNeighbourhood", around, _walk(name, hops))
    # All services that a walk in both directions finds: an answer about as large as the graph.
    whole = _walk(PACKAGE_HUB, 10)
    for what, text in (("short", SHORT), ("usual", usual), ("typing error", TYPING_ERROR)):
        yield Picture(f"search, {what}", "SearchServices", pb.SearchServicesRequest(query=text), whole)
    yield Picture("map of teams", "GetMap", pb.GetMapRequest(max_nodes=300), whole)
    inside = pb.GetMapRequest(inside=TEAM, max_nodes=300)
    yield Picture("map of one team, 300 nodes", "GetMap", inside, whole)


def _walk(name: str, hops: int) -> pb.TraverseRequest:
    return pb.TraverseRequest(
        service_id=name,
        direction=pb.DIRECTION_BOTH,
        max_depth=hops,
        view=pb.TRAVERSAL_VIEW_IDS,
        effective=True,
    )


WaitsDuring = Callable[[Callable[[], Any]], list[float]]


def _figures(stub: GraphServiceStub, picture: Picture, waits_during: WaitsDuring) -> Iterator[Figure]:
    ask = getattr(stub, picture.method)
    asked, walked = take_turns(
        lambda _: ask(picture.request),
        lambda _: stub.Traverse(picture.beside),
        pairs=PAIRS,
        warm_up=WARM_UP,
    )
    what = f"{PACKAGES:,} services, {picture.name}"
    yield ratio(f"{what} / effective Traverse, IDS", asked, walked)
    yield typical("  the picture", asked, "ms")
    yield typical("  the Traverse", walked, "ms")
    beside = waits_during(lambda: [ask(picture.request) for _ in range(PAIRS // 10)])
    yield from _waits("Traverse of 1 hop beside the picture", beside)
    beside = waits_during(lambda: [stub.Traverse(picture.beside) for _ in range(PAIRS // 10)])
    yield from _waits("Traverse of 1 hop beside the Traverse", beside)


def _waits(what: str, waits: list[float]) -> Iterator[Figure]:
    yield quantile_figure(f"  {what}, p99", waits, 0.99)
    yield quantile_figure(f"  {what}, longest", waits, 1.0)


@contextmanager
def _small_calls(address: str, name: str) -> Iterator[WaitsDuring]:
    """Call from a process of its own, one call after the other, while something else is done."""
    with elsewhere(_call_on_order, address, name) as pipe:

        def waits_during(work: Callable[[], Any]) -> list[float]:
            pipe.send("begin")
            pipe.recv()
            work()
            pipe.send("end")
            waits: list[float] = pipe.recv()
            return waits

        yield waits_during


def _call_on_order(address: str, name: str, pipe: "Connection[Any, Any]") -> None:
    request = pb.TraverseRequest(service_id=name)
    request.MergeFrom(SMALL)
    with grpc.insecure_channel(address) as channel:
        call = GraphServiceStub(channel).Traverse
        call(request)
        while pipe.recv():
            waits = []
            pipe.send(None)
            while not pipe.poll():
                began = perf_counter()
                call(request)
                waits.append(perf_counter() - began)
            pipe.recv()
            pipe.send(waits)
