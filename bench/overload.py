"""
More calls than a server can answer: what it answers, how soon it refuses the rest, at what cost.

The server admits few calls at a time. Answers take some milliseconds of its processor, so that
one client can offer three times what it can answer. A refusal takes 0.2 ms: the cheaper the
answers, the more the refusals cost. Bars stand on answers of seven milliseconds; cheaper ones are
shown without. Loads take turns: the peak is measured before and after three times the peak,
because machines change their speed by a quarter within seconds. Figures are medians of rounds.
Bars bind on grpcio; native, which has less to refuse with, is shown under the same limits.
"""

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from statistics import median
from typing import Any

import grpc
from google.rpc.error_details_pb2 import RetryInfo
from grpc_status import rpc_status

from bench.calls import TRAVERSE, question
from bench.graphs import Edges, random_edges
from bench.hostile import graph
from bench.measuring import Figure, quantile
from bench.open_loop import ANSWERED, PATIENCE_SECONDS, REFUSED, Callers, Load
from bench.stage import GRPCIO, NATIVE, MemoryWatch, ServerProcess, Stage, transports

ADMITTED = 8
CLOSED_LOOPS = (2, 4, 8)
SECONDS, PAUSE_SECONDS = 1.0, 0.2
PROBE_SECONDS = 0.02
HALF, WHOLE, MOST = "half the peak", "the peak", "3 x the peak"
OFFERED = {HALF: 0.5, WHOLE: 1.0, MOST: 3.0}
QUESTION = question("s7", "IDS", hops=10).SerializeToString()


@dataclass(frozen=True)
class _Case:
    """Answers of which graph, on which transport, in how many rounds."""

    edges: Edges
    transport: str
    rounds: int
    has_bars: bool = True

    @property
    def name(self) -> str:
        return f"{self.transport}, ids of {self.edges.nodes:,} services"


def measure(stage: Stage) -> Iterator[Figure]:
    dear, cheap = random_edges("overload80k", 80_000, 260_000), graph()
    cases = [
        _Case(dear, GRPCIO, rounds=24),
        _Case(cheap, GRPCIO, rounds=6, has_bars=False),
        _Case(dear, NATIVE, rounds=8),
    ]
    for case in cases:
        if case.transport in transports():
            yield from _case(stage, case)


def _case(stage: Stage, case: _Case) -> Iterator[Figure]:
    limit = ("--max-concurrent-calls", str(ADMITTED))
    with stage.server(case.edges, *limit, transport=case.transport) as (server, _):
        callers = Callers(server.address, TRAVERSE, QUESTION)
        for figure in _overloaded(server, callers, case.name, case.rounds):
            if case.has_bars:
                yield replace(figure, binding=case.transport == GRPCIO)
            else:
                yield replace(figure, at_most=None, at_least=None)


def _overloaded(server: ServerProcess, callers: Callers, answers: str, count: int) -> Iterator[Figure]:
    closed = {at_once: callers.closed(at_once, SECONDS) for at_once in CLOSED_LOOPS}
    for at_once, load in closed.items():
        yield Figure(f"{answers}: closed loop, {at_once} at once: answered", load.rate, "calls/s")
    best = max(closed, key=lambda at_once: closed[at_once].rate)
    memory, probes = MemoryWatch(server), _Probes()
    used = server.cpu_seconds()
    calls = callers.closed(1, SECONDS).codes.total()
    yield Figure("  server CPU of an answer", (server.cpu_seconds() - used) / calls * 1e3, "ms", calls=calls)
    rounds = [_round(callers, memory, probes, best) for _ in range(count)]
    for what in OFFERED:
        yield from _offered(f"{answers}, {what}", [one.offered[what] for one in rounds])
    yield from _bars(f"{answers}, {MOST}", rounds, probes)


@dataclass
class _Round:
    """
    ``peak`` is the calls a second of the best closed loop, before and after the largest load.

    ``memory`` is the largest memory of the server, in MiB above rest.
    """

    peak: float
    offered: dict[str, Load]
    memory: float


def _round(callers: Callers, memory: MemoryWatch, probes: "_Probes", at_once: int) -> _Round:
    offered: dict[str, Load] = {}

    def offer(what: str) -> None:
        time.sleep(PAUSE_SECONDS)
        with probes.beside(callers):
            offered[what] = callers.open(OFFERED[what] * before, SECONDS)

    before = callers.closed(at_once, SECONDS).rate
    memory.begin()
    offer(MOST)
    above_rest = memory.peak()
    after = callers.closed(at_once, SECONDS).rate
    offer(HALF)
    offer(WHOLE)
    return _Round((before + after) / 2, offered, above_rest)


def _p99(load: Load, code: str) -> float:
    return quantile(load.waits[code], 0.99) if code in load.waits else 0.0


def _offered(what: str, loads: Sequence[Load]) -> Iterator[Figure]:
    yield Figure(f"{what}, open loop: offered", median(load.offered for load in loads), "calls/s")
    yield Figure("  answered", median(load.rate for load in loads), "calls/s")
    for code in sorted({code for load in loads for code in load.waits}):
        waits = [load.waits[code] for load in loads if code in load.waits]
        calls = sum(len(some) for some in waits)
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            usual = median(quantile(some, share) for some in waits)
            yield Figure(f"  {code}, {name}", usual * 1e3, "ms", calls=calls)
        yield Figure(f"  {code}, worst of all", max(map(max, waits)) * 1e3, "ms")
    yield Figure("  unanswered", sum(load.unanswered for load in loads), "calls")
    late = median(quantile(load.late, 0.99) for load in loads)
    yield Figure("  the client was late, p99", late * 1e3, "ms")


def _bars(what: str, rounds: Sequence[_Round], probes: "_Probes") -> Iterator[Figure]:
    most = [one.offered[MOST] for one in rounds]
    others = sum(
        load.codes.total() - load.codes[ANSWERED] - load.codes[REFUSED] + load.unanswered for load in most
    )
    answered = median(one.offered[MOST].rate / one.peak for one in rounds)
    yield Figure(f"{what}: answered / peak", answered, "x", at_least=0.8)
    yield Figure(f"{what}: neither answered nor {REFUSED}", others, "calls", at_most=0)
    if refused := [_p99(load, REFUSED) for load in most if REFUSED in load.waits]:
        yield Figure(f"{what}: refused within, p99", median(refused) * 1e3, "ms", at_most=10)
    slower = median(_p99(one.offered[MOST], ANSWERED) / _p99(one.offered[HALF], ANSWERED) for one in rounds)
    yield Figure(f"{what}: p99 of the answered / at half load", slower, "x", at_most=10)
    yield Figure(f"{what}: memory above rest", max(one.memory for one in rounds), "MiB", at_most=100)
    share = probes.with_retry_info / probes.refused if probes.refused else 0.0
    yield Figure(f"{what}: share of refusals with RetryInfo", share, "", at_least=1, calls=probes.refused)


class _Probes:
    """An ordinary client beside the crowd: counts refusals, and those that say when to retry."""

    refused = 0
    with_retry_info = 0

    @contextmanager
    def beside(self, callers: Callers) -> Iterator[None]:
        """Ask what they ask, until the end of the context."""
        over = threading.Event()
        thread = threading.Thread(target=self._ask, args=(callers, over))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def _ask(self, callers: Callers, over: threading.Event) -> None:
        with grpc.insecure_channel(callers.address) as channel:
            call: Any = channel.unary_unary(callers.method)
            while not over.wait(PROBE_SECONDS):
                try:
                    call(callers.body, timeout=PATIENCE_SECONDS)
                except grpc.RpcError as error:
                    self._count(error)

    def _count(self, error: Any) -> None:
        if error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            self.refused += 1
            status = rpc_status.from_call(error)
            details = status.details if status else ()
            self.with_retry_info += any(detail.Is(RetryInfo.DESCRIPTOR) for detail in details)
