"""Calls of a client: alone, in batches, by size, beside an echo server, and while much changes."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from itertools import chain
from time import perf_counter, sleep
from typing import cast

import asyncpg
import grpc

from bench.graphs import Edges, big100k, seed5k
from bench.measuring import Figure, over, quantile, quantile_figure, ratio, take_turns, typical
from bench.stage import ECHO_OPTIONS, GRPCIO, NATIVE, Stage, connected, echoing, transports
from depgraph.v1 import graph_service_pb2 as pb

TRAVERSE = "/depgraph.v1.GraphService/Traverse"
BATCH_TRAVERSE = "/depgraph.v1.GraphService/BatchTraverse"
ECHO = "/bench.Echo/Answer"
HOPS = 3
LIMIT = 4 * 1024 * 1024
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
        batches = [_batch(asked[start : start + BATCH]) for start in range(0, len(asked), BATCH)]
        one, hundred = take_turns(
            over(asked, raw(channel, TRAVERSE)), over(batches, raw(channel, BATCH_TRAVERSE))
        )
    each = [seconds / BATCH for seconds in hundred]
    what = f"seed5k, {HOPS} hops, IDS: traversals a second in batches of {BATCH} / in single calls"
    yield ratio(what, one, each, at_least=20)
    yield typical("  one call", one)
    yield typical("  one batch", hundred)


def _batch(asked: list[bytes]) -> bytes:
    requests = map(pb.TraverseRequest.FromString, asked)
    return pb.BatchTraverseRequest(requests=requests).SerializeToString()


RTT_BARS = {GRPCIO: {"FULL": 1.3, "IDS": 1.3}, NATIVE: {"FULL": 1.8, "IDS": 1.4}}
# Two processes that do the same may differ for as long as they run: each round has new ones.
ROUNDS, PAIRS_A_ROUND = 4, 300


def rtt(stage: Stage) -> Iterator[Figure]:
    for transport in transports():
        rounds = [_rtt_round(stage, transport) for _ in range(ROUNDS)]
        for view in VIEWS:
            call, echo = ([*chain(*taken)] for taken in zip(*(each[view] for each in rounds), strict=True))
            what = f"{transport}, seed5k, {HOPS} hops, {view}"
            bar = RTT_BARS[transport][view]
            yield ratio(f"{what}: Traverse / echo of as many bytes", call, echo, at_most=bar)
            yield typical("  Traverse", call)
            yield typical("  echo", echo)


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
    return take_turns(over(asked, traverse), over(lengths, echo), pairs=PAIRS_A_ROUND)


SIZE_SERVICES = {"IDS": (1, 10, 100, 1_000, 10_000, 50_000), "FULL": (1, 10, 100, 1_000, 5_000)}


def sizes(stage: Stage) -> Iterator[Figure]:
    unlimited = [("grpc.max_receive_message_length", -1)]
    with (
        stage.server(big100k()) as (server, _),
        echoing() as echo,
        grpc.insecure_channel(server.address, unlimited) as ours,
        grpc.insecure_channel(echo.address, unlimited) as theirs,
    ):
        traverse, least = raw(ours, TRAVERSE), raw(theirs, ECHO)
        for view, services in ((each, size) for each in VIEWS for size in SIZE_SERVICES[each]):
            request = question("s1", view, 10)
            request.max_services = services
            asked = request.SerializeToString()
            length = len(traverse(asked))
            echoed = str(length).encode()
            call, floor = take_turns(over([asked], traverse), over([echoed], least), pairs=200)
            what = f"{services:,} services, {view}, {length:,} bytes"
            yield typical(f"Traverse, {what}", call, curve=f"Traverse {view}", x=length)
            yield typical("  echo", floor, curve=f"echo ({view})", x=length)


CHANGES = 100_000
CHANGE_MANY = """
UPDATE service_dependencies SET timeout_ms = $1
WHERE id IN (SELECT id FROM service_dependencies ORDER BY id LIMIT $2)
"""
CHANGE_ONE = "UPDATE services SET team = $2 WHERE service_id = $1"
SMALL_A_SECOND, SMALL_SECONDS = 1_000, 10
QUIET_SECONDS = 5
PAUSE = 0.001
BULK_ROUNDS = 3


class Reader(threading.Thread):
    """Makes small calls all the time; ``looks`` holds when each was sent and its seconds."""

    def __init__(self, call: RawCall, asked: list[bytes]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._asked = asked
        self._ended = threading.Event()
        self.looks: list[tuple[float, float]] = []

    def run(self) -> None:
        number = 0
        while not self._ended.is_set():
            began = perf_counter()
            self._call(self._asked[number % len(self._asked)])
            self.looks.append((began, perf_counter() - began))
            number += 1
            sleep(PAUSE)

    def between(self, first: float, last: float) -> list[float]:
        return [seconds for began, seconds in self.looks if first <= began + seconds and began <= last]

    def stop(self) -> None:
        self._ended.set()
        self.join()


def bulk(stage: Stage) -> Iterator[Figure]:
    with stage.server(big100k()) as (server, url), grpc.insecure_channel(server.address) as channel:
        call = raw(channel, TRAVERSE)
        reader = Reader(call, questions(big100k(), "IDS"))
        reader.start()
        yield from asyncio.run(_read_through(reader, call, url))
        reader.stop()


async def _read_through(reader: Reader, call: RawCall, url: str) -> list[Figure]:
    figures: list[Figure] = []
    async with connected(url) as connection:
        began = perf_counter()
        await asyncio.sleep(QUIET_SECONDS)
        figures += _felt("no writes", reader.between(began, perf_counter()))
        visible = []
        bulk: list[float] = []
        for number in range(BULK_ROUNDS):
            began, committed, seen = await _change_at_once(connection, call, 1_000 + number)
            visible.append(seen - committed)
            bulk += reader.between(began, seen)
        what = f"{CHANGES:,} changes in one transaction: commit to visible, worst of {BULK_ROUNDS}"
        figures.append(Figure(what, max(visible), "s", at_most=5))
        quiet = quantile(reader.between(0, began), 0.5)
        figures += _felt("meanwhile", bulk, quiet)
        began = perf_counter()
        await _small_ones(connection)
        figures += _felt(f"{SMALL_A_SECOND:,} small changes a second", reader.between(began, perf_counter()))
    return figures


def _felt(when: str, looks: list[float], quiet: float | None = None) -> Iterator[Figure]:
    yield quantile_figure(f"  Traverse while {when}: p50", looks, 0.5)
    yield quantile_figure("    p99", looks, 0.99)
    yield Figure("    worst", max(looks) * 1e3, "ms")
    if quiet is not None:
        delay = (max(looks) - quiet) * 1e3
        yield Figure("    worst, less the usual time of a call", delay, "ms", at_most=25)


async def _change_at_once(
    connection: asyncpg.Connection, call: RawCall, value: int
) -> tuple[float, float, float]:
    """When it began, was committed, and was seen from memory."""
    [(source, key)] = await connection.fetch(
        "SELECT s.service_id, d.id FROM service_dependencies AS d"
        " JOIN services AS s ON s.id = d.source_service_id ORDER BY d.id LIMIT 1"
    )
    began = perf_counter()
    async with connection.transaction():
        await connection.execute(CHANGE_MANY, value, CHANGES, timeout=600)
    committed = perf_counter()
    request = pb.TraverseRequest(service_id=source, direction=pb.DIRECTION_DOWNSTREAM, max_depth=1)
    asked = request.SerializeToString()
    while not _shows(call(asked), str(key), value):  # noqa: ASYNC110 - the server sets no event here
        await asyncio.sleep(0.005)
    return began, committed, perf_counter()


def _shows(answer: bytes, key: str, value: int) -> bool:
    dependencies = pb.TraverseResponse.FromString(answer).dependencies
    return any(found.id == key and found.timeout_ms == value for found in dependencies)


async def _small_ones(connection: asyncpg.Connection) -> None:
    began = perf_counter()
    for number in range(SMALL_A_SECOND * SMALL_SECONDS):
        await asyncio.sleep(max(0.0, began + number / SMALL_A_SECOND - perf_counter()))
        await connection.execute(CHANGE_ONE, f"s{number}", f"team {number}")
