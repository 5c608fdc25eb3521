"""
Callers that can offer more than a server answers, in a process of their own.

In a closed loop each caller waits for its answer before it asks again; in an open loop calls come at their times, whether or not
earlier ones are answered, and each wait counts from when its call was due.
"""

import asyncio
import gc
import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.raw_http2 import Answer, Connection, call_headers, connect, message

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

CONNECTIONS = 8
# How long answers are waited for once nothing is asked any more.
PATIENCE_SECONDS = 10
ANSWERED, REFUSED = "OK", "RESOURCE_EXHAUSTED"


@dataclass
class Load:
    """What came of the calls: ``waits`` in seconds by code; ``rate`` of good answers a second while calls came; how late the calls were asked."""

    waits: dict[str, list[float]] = field(default_factory=dict)
    rate: float = 0.0
    unanswered: int = 0
    late: list[float] = field(default_factory=list)

    @property
    def codes(self) -> Counter[str]:
        return Counter({code: len(waits) for code, waits in self.waits.items()})

    def add(self, answer: Answer, due: float) -> None:
        self.waits.setdefault(answer.code, []).append(answer.ended - due)


@dataclass(frozen=True)
class Callers:
    """Who ask ``method`` with ``body`` at ``address``."""

    address: str
    method: str
    body: bytes

    def closed(self, at_once: int, seconds: float) -> Load:
        return _elsewhere(self, partial(_closed, at_once=at_once, seconds=seconds))

    def open(self, rate: float, seconds: float) -> Load:
        return _elsewhere(self, partial(_open, rate=rate, seconds=seconds))


class _Asking:
    """Connections, of which the least busy one is asked."""

    def __init__(self, callers: Callers, connections: list[Connection]) -> None:
        self._headers, self._body = call_headers(callers.method), message(callers.body)
        self._connections = connections

    def ask(self) -> "asyncio.Future[Answer]":
        quietest = min(self._connections, key=lambda connection: connection.open_calls)
        return quietest.call(self._headers, self._body)


async def _closed(asking: _Asking, *, at_once: int, seconds: float) -> Load:
    load, began = Load(), time.perf_counter()
    end = began + seconds

    async def one() -> None:
        while (asked := time.perf_counter()) < end:
            load.add(await asking.ask(), asked)

    await asyncio.gather(*(one() for _ in range(at_once)))
    load.rate = load.codes[ANSWERED] / (time.perf_counter() - began)
    return load


async def _open(asking: _Asking, *, rate: float, seconds: float) -> Load:
    load, began = Load(), time.perf_counter()
    pending = set[asyncio.Future[Answer]]()

    def answered(due: float, call: "asyncio.Future[Answer]") -> None:
        pending.discard(call)
        if not call.cancelled():
            load.add(call.result(), due)

    for number in range(int(rate * seconds)):
        due = began + number / rate
        if (early := due - time.perf_counter()) > 0:
            await asyncio.sleep(early)
        load.late.append(max(0.0, time.perf_counter() - due))
        call = asking.ask()
        pending.add(call)
        call.add_done_callback(partial(answered, due))
    load.rate = load.codes[ANSWERED] / (time.perf_counter() - began)
    if pending:
        await asyncio.wait(pending, timeout=PATIENCE_SECONDS)
    load.unanswered = len(pending)
    return load


_Loading = Callable[[_Asking], Coroutine[Any, Any, Load]]


def _elsewhere(callers: Callers, loading: _Loading) -> Load:
    """Do it in a process of its own."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_run, args=(callers, loading, theirs), daemon=True)
    process.start()
    try:
        load: Load = ours.recv()
        return load
    finally:
        process.kill()
        process.join()


def _run(callers: Callers, loading: _Loading, pipe: "Pipe[Load, None]") -> None:
    # A collection would look like a wait.
    gc.disable()
    pipe.send(asyncio.run(_connected(callers, loading)))


async def _connected(callers: Callers, loading: _Loading) -> Load:
    connections = [await connect(callers.address) for _ in range(CONNECTIONS)]
    asking = _Asking(callers, connections)
    await asyncio.gather(*(asking.ask() for _ in range(CONNECTIONS)))
    load = await loading(asking)
    for connection in connections:
        connection.close()
    return load
