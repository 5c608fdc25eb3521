"""Another caller, in a process of its own: it asks a cheap question all the time, and tells how long it had to wait."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import grpc

from bench.calls import TRAVERSE, question
from bench.figures import quantile

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

EVERY_SECONDS = 0.002
_PATIENCE_SECONDS = 60
_WARM_UP = 200


@dataclass
class Waits:
    """Seconds, call by call, and the codes of those that failed."""

    seconds: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def worst(self) -> float:
        return max(self.seconds, default=0.0)

    @property
    def p99(self) -> float:
        """Of all calls that were due: those that could not be asked, because one before them waited, waited too."""
        due = [
            wait - EVERY_SECONDS * missed
            for wait in self.seconds
            for missed in range(int(wait / EVERY_SECONDS) + 1)
        ]
        return quantile(due, 0.99)


class Bystander:
    def __init__(self, pipe: "Connection[str, Waits]") -> None:
        self._pipe = pipe

    def begin(self) -> None:
        """Count from now on."""
        self._told()

    def waits(self) -> Waits:
        """Those since ``begin``; the call that waits now is waited for."""
        return self._told()

    def _told(self) -> Waits:
        self._pipe.send("tell")
        return self._pipe.recv()


@contextmanager
def bystander(address: str) -> Iterator[Bystander]:
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_ask, args=(address, theirs), daemon=True)
    process.start()
    try:
        yield Bystander(ours)
    finally:
        ours.send("end")
        process.join()


def _ask(address: str, pipe: "Connection[Waits, str]") -> None:
    request = question("s3", "IDS", hops=2).SerializeToString()
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(TRAVERSE)
        for _ in range(_WARM_UP):
            call(request)
        waits = Waits()
        due = time.perf_counter()
        while True:
            if pipe.poll():
                if pipe.recv() == "end":
                    return
                pipe.send(waits)
                waits = Waits()
            began = time.perf_counter()
            try:
                call(request, timeout=_PATIENCE_SECONDS)
            except grpc.RpcError as error:
                waits.errors[error.code().name] += 1
            waits.seconds.append(time.perf_counter() - began)
            due = max(due + EVERY_SECONDS, time.perf_counter())
            time.sleep(max(0.0, due - time.perf_counter()))
