"""
Callers that can offer more than a server answers, in a process of their own.

In a closed loop each caller waits for its answer before it calls again. In an open loop calls
come at their times, whether or not earlier ones are answered. How late the client itself was,
for want of a processor, counts apart from the waits.
"""

import asyncio
import gc
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from bench.http2 import call_headers, message
from bench.measuring import elsewhere
from bench.raw_http2 import Answer, Connection, connect

if TYPE_CHECKING:
    from multiprocessing.connection import Connection as Pipe

CONNECTIONS = 8
# How long answers are waited for once nothing is asked any more.
PATIENCE_SECONDS = 10
ANSWERED, REFUSED = "OK", "RESOURCE_EXHAUSTED"


@dataclass
class Load:
    """
    The result of calls.

    ``waits`` are seconds by code, ``rate`` the good answers a second while calls came, ``late`` how
    late the client itself sent them.
    """

    waits: dict[str, list[float]] = field(default_factory=dict)
    offered: float = 0.0
    rate: float = 0.0
    unanswered: int = 0
    late: list[float] = field(default_factory=list)

    @property
    def codes(self) -> Counter[str]:
        return Counter({code: len(waits) for code, waits in self.waits.items()})

    def add(self, answer: Answer, asked: float) -> None:
        self.waits.setdefault(answer.code, []).append(answer.ended - asked)


@dataclass(frozen=True)
class Callers:
    """Who ask ``method`` with ``body`` at ``address``."""

    address: str
    method: str
    body: bytes

    def closed(self, at_once: int, seconds: float) -> Load:
        return self._load(partial(_closed, at_once=at_once, seconds=seconds))

    def open(self, rate: float, seconds: float) -> Load:
        return self._load(partial(_open, rate=rate, seconds=seconds))

    def _load(self, loading: "_Loading") -> Load:
        with elsewhere(_run, self, loading) as pipe:
            load: Load = pipe.recv()
            return load


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
    load, began = Load(offered=rate), time.perf_counter()
    pending = set[asyncio.Future[Answer]]()

    def answered(asked: float, call: "asyncio.Future[Answer]") -> None:
        pending.discard(call)
        load.add(call.result(), asked)

    for number in range(int(rate * seconds)):
        due = began + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        asked = time.perf_counter()
        load.late.append(asked - due)
        call = asking.ask()
        pending.add(call)
        call.add_done_callback(partial(answered, asked))
    load.rate = load.codes[ANSWERED] / (time.perf_counter() - began)
    if pending:
        await asyncio.wait(pending, timeout=PATIENCE_SECONDS)
    load.unanswered = len(pending)
    return load


_Loading = Callable[[_Asking], Coroutine[Any, Any, Load]]


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
