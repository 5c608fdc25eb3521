"""
Hostile callers of a server with 20,000 services.

Measures the server's memory, the waits of another caller, and the answers to the attack.

A server that keeps much of the memory that an attack cost is replaced by a new one, so that each
attack is measured alone. Attackers and the other caller are processes of their own, but share
the machine's processors with the server. The bar binds on grpcio. The native transport is for
trusted callers; its figures are shown without a bar.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc

from bench.attack_list import ATTACKS
from bench.attacks import Attack, Outcome
from bench.calls import TRAVERSE, question
from bench.graphs import Edges, random_edges
from bench.measuring import Figure, elsewhere, quantile, stopwatch
from bench.stage import GRPCIO, MemoryWatch, Stage, transports

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

    def figures(self) -> Iterator[Figure]:
        """The worst, and the 99th percentile of all calls that were due."""
        # Calls that could not be sent because an earlier one waited have waited, too.
        due = [
            wait - EVERY_SECONDS * missed
            for wait in self.seconds
            for missed in range(int(wait / EVERY_SECONDS) + 1)
        ]
        worst = max(self.seconds, default=0.0)
        yield Figure("  worst wait of another caller", worst * 1e3, "ms", calls=len(self.seconds))
        yield Figure("  its p99", quantile(due, 0.99) * 1e3, "ms")


Bystander: TypeAlias = "Connection[None, Waits]"
"""Another caller of the server, in a process of its own."""


def waits_of(bystander: Bystander) -> Waits:
    """Those since the last time; the call that waits now is waited for."""
    bystander.send(None)
    return bystander.recv()


def _ask(address: str, pipe: "Connection[Waits, None]") -> None:
    request = question("s3", "IDS", hops=2).SerializeToString()
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(TRAVERSE)
        for _ in range(_WARM_UP):
            call(request)
        waits = Waits()
        due = time.perf_counter()
        while True:
            if pipe.poll():
                pipe.recv()
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


# An attack that takes the server beyond this is stopped, to spare the machine.
CEILING_MIB = 6_144
# A server that keeps more is replaced.
KEPT_MIB = 100
SAMPLE_SECONDS = 0.01
QUIET_SECONDS, SOON_SECONDS, LATER_SECONDS = 2, 1, 5


def graph() -> Edges:
    return random_edges("hostile20k", 20_000, 100_000)


def measure(stage: Stage, attacks: Sequence[Attack] = tuple(ATTACKS.values())) -> Iterator[Figure]:
    for transport in transports():
        for figure in _on(stage, transport, attacks):
            yield replace(figure, what=_named(transport, figure.what))


def _on(stage: Stage, transport: str, attacks: Sequence[Attack]) -> Iterator[Figure]:
    errors = Counter[str]()
    waiting = list(attacks)
    while waiting:
        started = stage.server(graph(), transport=transport)
        with started as (server, _), elsewhere(_ask, server.address) as other:
            memory = MemoryWatch(server)
            if len(waiting) == len(attacks):
                yield from _at_rest(memory, other)
            while waiting and memory.above_rest() < KEPT_MIB:
                attack = waiting.pop(0)
                suffered = _attacked(server.address, memory, other, attack)
                errors += suffered.waits.errors
                yield from _figures(attack.name, suffered)
    bar = 0 if transport == GRPCIO else None
    yield Figure(f"errors of the other caller {dict(errors) or ''}", errors.total(), "calls", bar)


def _named(transport: str, what: str) -> str:
    """Lines that begin with a space belong to the one above."""
    return what if what.startswith(" ") else f"{transport}, {what}"


@dataclass(frozen=True)
class _Suffered:
    """MiB above what the new server took, and what others waited."""

    outcome: Outcome
    seconds: float
    peak: float
    remaining: Sequence[float]
    waits: Waits


def _at_rest(memory: MemoryWatch, other: Bystander) -> Iterator[Figure]:
    waits_of(other)
    time.sleep(QUIET_SECONDS)
    yield Figure("at rest: resident", memory.rest, "MiB")
    yield from waits_of(other).figures()


def _attacked(address: str, memory: MemoryWatch, other: Bystander, attack: Attack) -> _Suffered:
    memory.begin()
    waits_of(other)
    with stopwatch() as attacking:
        outcome = _outcome(address, attack, memory)
    waits = waits_of(other)
    peak = memory.peak()
    remaining = []
    for pause in (SOON_SECONDS, LATER_SECONDS - SOON_SECONDS)[: 2 if attack.lasts else 1]:
        time.sleep(pause)
        remaining.append(memory.above_rest())
    return _Suffered(outcome, attacking.seconds, peak, remaining, waits)


def _outcome(address: str, attack: Attack, memory: MemoryWatch) -> Outcome:
    """Run an attack in a process of its own; stop it before it exhausts the machine."""
    with elsewhere(_attack, address, attack.name) as pipe:
        while not pipe.poll(SAMPLE_SECONDS):
            if memory.above_rest() > CEILING_MIB:
                return Outcome({f"stopped when the server took {CEILING_MIB:,} MiB": 1})
        outcome: Outcome = pipe.recv()
        return outcome


def _attack(address: str, name: str, pipe: "Connection[Outcome, str]") -> None:
    pipe.send(asyncio.run(ATTACKS[name].do(address)))


def _figures(name: str, suffered: _Suffered) -> Iterator[Figure]:
    yield Figure(f"{name}: memory above rest, at most", suffered.peak, "MiB")
    for after, remaining in zip((SOON_SECONDS, LATER_SECONDS), suffered.remaining, strict=False):
        yield Figure(f"  {after} s later", remaining, "MiB")
    yield from suffered.waits.figures()
    for code, times in suffered.waits.errors.items():
        yield Figure(f"  its errors: {code}", times, "calls")
    yield Figure("  the attack took", suffered.seconds, "s")
    for what, times in suffered.outcome.most_common(4):
        yield Figure(f"  {what}", times, "x")
