"""
One caller floods, another asks now and then: how long the second waits, by what it waits alone.

The callers have no identities and call from two addresses of this host (Linux), so they are two
callers. The flood is an open loop on many connections: three times the walks that the server's
processor can answer, and analyses. The other one asks for a walk at a time, alone and beside the
flood in turns, since machines change their speed within seconds; quantiles are those of all rounds.
"""

import asyncio
import gc
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.calls import TRAVERSE, question
from bench.graphs import Edges, random_edges
from bench.hostile import graph
from bench.http2 import call_headers, message
from bench.measuring import Figure, elsewhere, quantile
from bench.open_loop import ANSWERED, Callers
from bench.raw_http2 import Answer, Connection, connect
from bench.stage import GRPCIO, ServerProcess, Stage, transports
from depgraph.v1.analysis_service_pb2 import FindPathsRequest

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

QUIET, FLOOD = "127.0.0.1", "127.0.0.2"
CONNECTIONS, TIMES_THE_PEAK, ANALYSES_A_SECOND = 32, 3.0, 20
ROUNDS, SECONDS, WARM_UP_SECONDS = 8, 1.0, 0.3
SHARE_OF_PEAK = 0.5
QUIET_SHARE, PAUSE_SECONDS = 0.3, 0.3
LESS_URGENT = 15
WALK = question("s7", "IDS", hops=10).SerializeToString()
FIND_PATHS = "/depgraph.v1.AnalysisService/FindPaths"
PATHS = FindPathsRequest(source_service_id="s7", target_service_id="s11", max_paths=100).SerializeToString()
GRAPHS: dict[str, Callable[[], Edges]] = {
    "7 ms": partial(random_edges, "overload80k", 80_000, 260_000),
    "2 ms": graph,
}


def measure(stage: Stage) -> Iterator[Figure]:
    for transport in transports():
        for size, edges in GRAPHS.items():
            what = f"{transport}, walks of {size}"
            with stage.server(edges(), transport=transport) as (server, _):
                peak = _peak(server)
                yield Figure(f"{what}: the peak, one walk after the other", peak, "calls/s")
                yield from _figures(what, _rounds(server.address, peak), binding=transport == GRPCIO)
            limit = ("--rate-limit", f"{SHARE_OF_PEAK * peak:.3f}")
            with stage.server(edges(), *limit, transport=transport) as (server, _):
                limited = f"{what}, rate limit of {SHARE_OF_PEAK:g} x the peak"
                yield from _figures(limited, _rounds(server.address, peak), binding=True)


def _peak(server: ServerProcess) -> float:
    """Walks a second of the server's processor, whatever else the machine does."""
    callers = Callers(server.address, TRAVERSE, WALK)
    callers.closed(1, SECONDS)
    used = server.cpu_seconds()
    calls = callers.closed(1, 2 * SECONDS).codes.total()
    return calls / (server.cpu_seconds() - used)


@dataclass
class _Heard:
    """Seconds until the answers to the quiet caller, by code; and the codes of the flood."""

    alone: dict[str, list[float]] = field(default_factory=dict)
    beside: dict[str, list[float]] = field(default_factory=dict)
    flood: Counter[str] = field(default_factory=Counter)


def _rounds(address: str, peak: float) -> _Heard:
    heard = _Heard()
    with (
        elsewhere(_answer_orders, _flood, address, peak * TIMES_THE_PEAK) as flood,
        elsewhere(_answer_orders, _ask_now_and_then, address, peak * QUIET_SHARE) as quiet,
    ):
        for _ in range(ROUNDS):
            _add(heard.alone, _ordered(quiet))
            flood.send(WARM_UP_SECONDS + SECONDS)
            time.sleep(WARM_UP_SECONDS)
            _add(heard.beside, _ordered(quiet))
            heard.flood.update({code: len(waits) for code, waits in flood.recv().items()})
    return heard


def _ordered(pipe: "Pipe[float, dict[str, list[float]]]") -> dict[str, list[float]]:
    pipe.send(SECONDS)
    return pipe.recv()


def _add(waits: dict[str, list[float]], more: dict[str, list[float]]) -> None:
    for code, seconds in more.items():
        waits.setdefault(code, []).extend(seconds)


def _figures(what: str, heard: _Heard, *, binding: bool) -> Iterator[Figure]:
    alone, beside = heard.alone[ANSWERED], heard.beside[ANSWERED]
    slower = quantile(beside, 0.99) / quantile(alone, 0.99)
    yield Figure(
        f"{what}: p99 of the quiet one / alone", slower, "x", at_most=3, binding=binding, calls=len(beside)
    )
    for name, share in (("p50", 0.5), ("p99", 0.99)):
        yield Figure(f"  alone, {name}", quantile(alone, share) * 1e3, "ms", calls=len(alone))
        yield Figure(f"  beside the flood, {name}", quantile(beside, share) * 1e3, "ms", calls=len(beside))
    others = sum(len(waits) for code, waits in heard.beside.items() if code != ANSWERED)
    yield Figure(
        "  calls of the quiet one that were not answered", others, "calls", at_most=0, binding=binding
    )
    seconds = ROUNDS * (WARM_UP_SECONDS + SECONDS)
    for code, calls in sorted(heard.flood.items()):
        yield Figure(f"  flood: {code}", calls / seconds, "calls/s")


async def _ask_now_and_then(address: str, rate: float, orders: "_Orders") -> None:
    """Ask for one walk at a time, at most so many a second."""
    connection = await connect(address, source=QUIET)
    headers, body = call_headers(TRAVERSE), message(WALK)
    async for seconds, waits in orders:
        ends = time.perf_counter() + seconds
        while (asked := time.perf_counter()) < ends:
            answer = await connection.call(headers, body)
            waits.setdefault(answer.code, []).append(answer.ended - asked)
            await asyncio.sleep(asked + 1 / rate - time.perf_counter())


async def _flood(address: str, rate: float, orders: "_Orders") -> None:
    """
    Send walks at a rate, and analyses, whether or not others are answered; then hang up.

    A real flood comes from other machines: here its process yields to the server, and to the caller
    whose waits are measured.
    """
    os.nice(LESS_URGENT)
    async for seconds, waits in orders:
        connections = [await connect(address, source=FLOOD) for _ in range(CONNECTIONS)]
        calls = await _sent(connections, rate, seconds)
        answered = [call.result().code for call in calls if call.done()]
        for code in answered:
            waits.setdefault(code, []).append(0.0)
        waits["not answered by its end"] = [0.0] * (len(calls) - len(answered))
        for connection in connections:
            connection.close()
        await asyncio.sleep(PAUSE_SECONDS)


async def _sent(
    connections: Sequence[Connection], rate: float, seconds: float
) -> "list[asyncio.Future[Answer]]":
    walk, paths = (call_headers(TRAVERSE), message(WALK)), (call_headers(FIND_PATHS), message(PATHS))
    began, total = time.perf_counter(), rate + ANALYSES_A_SECOND
    every, calls = max(2, int(total / ANALYSES_A_SECOND)), []
    for number in range(int(total * seconds)):
        await asyncio.sleep(max(0.0, began + number / total - time.perf_counter()))
        calls.append(connections[number % CONNECTIONS].call(*(walk if number % every else paths)))
    return calls


_Orders = AsyncIterator[tuple[float, dict[str, list[float]]]]


def _answer_orders(
    caller: Callable[[str, float, _Orders], Coroutine[Any, Any, None]],
    address: str,
    rate: float,
    pipe: "Pipe[dict[str, list[float]], float]",
) -> None:
    """Run a caller in this process; an order is a number of seconds, its answer is the waits."""
    # A collection would look like a wait.
    gc.disable()

    async def orders() -> _Orders:
        while True:
            seconds = await asyncio.to_thread(pipe.recv)
            waits: dict[str, list[float]] = {}
            yield seconds, waits
            pipe.send(waits)

    asyncio.run(caller(address, rate, orders()))
