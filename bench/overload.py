"""
More calls than a server can answer: what it answers, how soon it refuses the rest, and what that costs.

The server admits few calls at a time, where it knows the flag; answers are large enough to take more than a millisecond, so that one client
can offer three times what it can.
"""

import subprocess
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from bench.calls import TRAVERSE, question
from bench.figures import Figure, quantile
from bench.hostile import graph
from bench.memory import MemoryWatch
from bench.open_loop import ANSWERED, PATIENCE_SECONDS, REFUSED, Callers, Load
from bench.stage import Stage

PART = "overload"
ADMISSION_FLAG, ADMITTED = "--max-concurrent-calls", 16
# Answers of 577 kB.
SERVICES = 2_000
CLOSED_LOOPS = (1, 2, 4, 8, 16)
CLOSED_SECONDS, OPEN_SECONDS, PAUSE_SECONDS = 4, 12, 2
PROBE_SECONDS = 0.02


def measure(stage: Stage) -> Iterator[Figure]:
    options = (ADMISSION_FLAG, str(ADMITTED)) if _knows_the_flag() else ()
    with stage.server(graph(), *options) as (server, _):
        request = question("s7", "FULL", hops=6)
        request.max_services = SERVICES
        callers = Callers(server.address, TRAVERSE, request.SerializeToString())
        memory = MemoryWatch(server.pid)
        peak = yield from _peak(callers)
        half, _ = yield from _offered(callers, memory, 0.5 * peak, "0.5 x the peak")
        yield from _offered(callers, memory, peak, "the peak")
        with _probing(callers) as probes:
            most, taken = yield from _offered(callers, memory, 3 * peak, "3 x the peak")
        yield from _bars(peak, half, most, taken, probes)


def _knows_the_flag() -> bool:
    help_text = subprocess.run(
        [sys.executable, "-m", "server.cli", "serve", "--help"], capture_output=True, text=True, check=True
    ).stdout
    return ADMISSION_FLAG in help_text


def _peak(callers: Callers) -> Generator[Figure, None, float]:
    """The most good answers a second, of several closed loops."""
    best = Load()
    for at_once in CLOSED_LOOPS:
        load = callers.closed(at_once, CLOSED_SECONDS)
        yield from _told(f"closed loop, {at_once} at once", load)
        best = max(best, load, key=lambda one: one.rate)
    return best.rate


def _offered(
    callers: Callers, memory: MemoryWatch, rate: float, what: str
) -> Generator[Figure, None, tuple[Load, float]]:
    """The load, and the most memory it took above rest."""
    time.sleep(PAUSE_SECONDS)
    memory.begin()
    load = callers.open(rate, OPEN_SECONDS)
    peak = memory.peak()
    yield Figure(PART, f"open loop, {what}: offered", rate, "calls/s")
    yield from _told("  of that", load)
    yield Figure(PART, "  unanswered at the end", load.unanswered, "calls")
    yield Figure(PART, "  the client was late, p99", quantile(load.late, 0.99) * 1e3, "ms")
    yield Figure(PART, "  memory above rest, at most", peak, "MiB")
    return load, peak


def _told(what: str, load: Load) -> Iterator[Figure]:
    yield Figure(PART, f"{what}: answered", load.rate, "calls/s")
    for code, waits in sorted(load.waits.items()):
        for name, share in (("p50", 0.5), ("p99", 0.99), ("worst", 1.0)):
            yield Figure(PART, f"  {code}, {name}", quantile(waits, share) * 1e3, "ms", calls=len(waits))


def _bars(peak: float, half: Load, most: Load, memory: float, probes: "_Probes") -> Iterator[Figure]:
    good, usual = most.waits.get(ANSWERED, [0.0]), half.waits.get(ANSWERED, [0.0])
    refused = most.waits.get(REFUSED, [])
    others = most.codes.total() - len(refused) - most.codes[ANSWERED] + most.unanswered
    with_hint = probes.with_retry_info / probes.refused if probes.refused else 0.0
    what = "3 x the peak"
    yield Figure(PART, f"{what}: answered / peak", most.rate / peak, "x", at_least=0.8)
    yield Figure(PART, f"{what}: neither answered nor {REFUSED}", others, "calls", at_most=0)
    if refused:
        yield Figure(PART, f"{what}: refused within, p99", quantile(refused, 0.99) * 1e3, "ms", at_most=10)
    yield Figure(
        PART,
        f"{what}: p99 of the answered / at half load",
        quantile(good, 0.99) / quantile(usual, 0.99),
        "x",
        at_most=10,
    )
    yield Figure(PART, f"{what}: memory above rest", memory, "MiB", at_most=100)
    yield Figure(
        PART,
        "share of refusals with RetryInfo, of a client beside",
        with_hint,
        "",
        at_least=1,
        calls=probes.refused,
    )


class _Probes:
    """An ordinary client that asks beside the crowd: how often it was refused, and how often told when to come again."""

    refused = 0
    with_retry_info = 0

    def ask(self, call: Any, body: bytes) -> None:
        try:
            call(body, timeout=PATIENCE_SECONDS)
        except grpc.RpcError as error:
            self._count(error)

    def _count(self, error: Any) -> None:
        if error.code() is not grpc.StatusCode.RESOURCE_EXHAUSTED:
            return
        self.refused += 1
        status = rpc_status.from_call(error)
        details = status.details if status else ()
        self.with_retry_info += any(detail.Is(RetryInfo.DESCRIPTOR) for detail in details)


@contextmanager
def _probing(callers: Callers) -> Iterator[_Probes]:
    probes, over = _Probes(), threading.Event()

    def probe() -> None:
        with grpc.insecure_channel(callers.address) as channel:
            call: Any = channel.unary_unary(callers.method)
            while not over.wait(PROBE_SECONDS):
                probes.ask(call, callers.body)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield probes
    finally:
        over.set()
        thread.join()
