"""
Known ways to make the transport cheaper, tried on an echo server and compared with the plain way.

Latency is that of one client with one call at a time. Then clients in processes of their own
make many calls at a time. That yields calls a second, which depend on the clients as well, and
the processor time of the server for a call.
"""

import queue
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import grpc

from bench.calls import RawCall, raw
from bench.echo_server import STREAM, UNARY
from bench.load_clients import CoreClients, Shape, core_clients
from bench.measuring import Figure, Seconds, ratio, take_turns, typical
from bench.stage import ServerProcess, Stage, echoing

SIZES = {"empty": 0, "40 kB": 40_000}
CALLS = 600
# Loads of so many calls, which are the turns of the clients that ask many at a time.
LOADS, CALLS_A_LOAD, AT_ONCE = 201, 48, Shape(connections=8, each=2)
# Two processes that do the same may differ for as long as they run: each round has new ones.
ROUNDS = 3


@dataclass(frozen=True)
class Way:
    """How a server is started; ``stream``: clients use one long stream instead of calls."""

    options: tuple[str, ...] = ()
    stream: bool = False
    needs: str = "grpc"


PLAIN = Way()
WAYS: dict[str, Way] = {
    "the plain way itself": PLAIN,  # how far from 1 a ratio may be by chance
    "uvloop": Way(("--loop", "uvloop"), needs="uvloop"),
    "native (pygrpc-native)": Way(("--kind", "native"), needs="pygrpc_native"),
    "threads instead of an event loop": Way(("--kind", "threads")),
    "no bandwidth probes (grpc.http2.bdp_probe=0)": Way(("--option", "grpc.http2.bdp_probe=0")),
    "no buffer for writes (grpc.http2.write_buffer_size=0)": Way(
        ("--option", "grpc.http2.write_buffer_size=0")
    ),
    "frames of 1 MiB (grpc.http2.max_frame_size)": Way(("--option", "grpc.http2.max_frame_size=1048576")),
    "minimal stack (grpc.minimal_stack=1)": Way(("--option", "grpc.minimal_stack=1")),
    "unix socket": Way(("--listen", "unix:{folder}/echo.sock")),
    "one long stream of questions": Way(stream=True),
    "one long stream over a unix socket": Way(("--listen", "unix:{folder}/echo.sock"), stream=True),
}


def measure(stage: Stage) -> Iterator[Figure]:
    for what, way in WAYS.items():
        if find_spec(way.needs) is None:
            continue
        compared = {size: _Compared() for size in SIZES}
        for _ in range(ROUNDS):
            with _running(PLAIN, stage.folder) as plain, _running(way, stage.folder) as other:
                for size, length in SIZES.items():
                    compared[size].add(plain, other, length)
        for size in SIZES:
            yield from compared[size].figures(f"{what}, {size}")


class _Running:
    """A server, one client for one call at a time, and clients for many."""

    def __init__(self, server: ServerProcess, call: RawCall, many: CoreClients) -> None:
        self._call, self._many = call, many
        self.cpu_seconds = server.cpu_seconds

    def one(self, length: int) -> None:
        self._call(str(length).encode())

    def load(self, length: int) -> None:
        self._many.ask(str(length).encode(), CALLS_A_LOAD)


@contextmanager
def _running(way: Way, folder: Path) -> Iterator[_Running]:
    with ExitStack() as stack:
        server = stack.enter_context(echoing(*(option.format(folder=folder) for option in way.options)))
        channel = stack.enter_context(grpc.insecure_channel(server.address))
        method = STREAM if way.stream else UNARY
        many = stack.enter_context(core_clients(server.address, method, AT_ONCE, stream=way.stream))
        yield _Running(server, _streaming(channel) if way.stream else raw(channel, UNARY), many)


def _streaming(channel: grpc.Channel) -> RawCall:
    asked: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    open_stream: Any = channel.stream_stream(STREAM)
    answers = open_stream(iter(asked.get, None))

    def call(request: bytes) -> bytes:
        asked.put(request)
        answer: bytes = next(answers)
        return answer

    return call


class _Compared:
    """What was measured in all rounds: of the plain way first, of the other second."""

    def __init__(self) -> None:
        self._latency: tuple[list[float], list[float]] = ([], [])
        self._loads: tuple[list[float], list[float]] = ([], [])
        self._cpu = [0.0, 0.0]

    def add(self, plain: _Running, other: _Running, length: int) -> None:
        one = take_turns(lambda _: plain.one(length), lambda _: other.one(length), pairs=CALLS // ROUNDS)
        for running in (plain, other):
            running.load(length)
        before = [plain.cpu_seconds(), other.cpu_seconds()]
        loads = take_turns(
            lambda _: plain.load(length), lambda _: other.load(length), pairs=LOADS // ROUNDS, warm_up=0
        )
        for place, running in enumerate((plain, other)):
            self._cpu[place] += running.cpu_seconds() - before[place]
            self._latency[place].extend(one[place])
            self._loads[place].extend(loads[place])

    def figures(self, what: str) -> Iterator[Figure]:
        latency, loads, cpu = self._latency, self._loads, self._cpu
        calls = len(loads[0]) * CALLS_A_LOAD
        yield ratio(f"{what}: latency by the plain way", latency[1], latency[0])
        yield ratio(f"{what}: calls a second by the plain way", loads[0], loads[1])
        yield Figure(f"{what}: server CPU per call by the plain way", cpu[1] / cpu[0], "x", calls=calls)
        yield typical("  plain: latency", latency[0])
        yield typical("  plain: time per call, of many at a time", _each(loads[0]))
        yield Figure("  plain: server CPU per call", cpu[0] / calls * 1e6, "µs", calls=calls)


def _each(loads: Seconds) -> list[float]:
    return [seconds / CALLS_A_LOAD for seconds in loads]
