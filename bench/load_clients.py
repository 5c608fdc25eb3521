"""
Clients of one server, many calls at a time: with the C core of grpcio, or ``h2load`` of nghttp2.

Those of grpcio are in a process of their own, which a call that fails ends. ``h2load`` is written
in C and costs the machine little beside the server.
"""

import asyncio
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc

from bench.http2 import PREFIX_BYTES, message
from bench.measuring import elsewhere

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

# Without it, the channels of one process to one address share a connection.
_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]

AsyncCall = Callable[[bytes], Awaitable[bytes]]


@dataclass(frozen=True)
class Shape:
    """So many connections, with so many calls at a time on each."""

    connections: int
    each: int

    @property
    def at_once(self) -> int:
        return self.connections * self.each


class Answered(NamedTuple):
    """The result of successful calls; ``answer_bytes`` is the sum of their messages."""

    seconds: float
    answer_bytes: int


class ClientsFailedError(Exception):
    """Calls were not answered as they should have been, so that their times mean nothing."""


@dataclass(frozen=True)
class CoreClients:
    shape: Shape
    pipe: "Connection[tuple[bytes, int], Answered]"

    def ask(self, request: bytes, calls: int) -> Answered:
        """All of the calls, a multiple of ``shape.at_once``, so many of them at a time."""
        assert calls % self.shape.at_once == 0
        try:
            self.pipe.send((request, calls))
            return self.pipe.recv()
        except (EOFError, OSError):
            raise ClientsFailedError("the clients have ended") from None


@contextmanager
def core_clients(address: str, method: str, shape: Shape, *, stream: bool = False) -> Iterator[CoreClients]:
    with elsewhere(_run, address, method, shape, _streaming if stream else _unary) as pipe:
        yield CoreClients(shape, pipe)


def _run(*arguments: Any) -> None:
    asyncio.run(_answer(*arguments))


async def _answer(
    address: str,
    method: str,
    shape: Shape,
    open_call: Callable[[grpc.aio.Channel, str], AsyncCall],
    pipe: "Connection[Answered, tuple[bytes, int]]",
) -> None:
    async with AsyncExitStack() as stack:
        calls: list[AsyncCall] = []
        for _ in range(shape.connections):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=_OPTIONS))
            calls += [open_call(channel, method) for _ in range(shape.each)]
        while True:
            request, number = await asyncio.to_thread(pipe.recv)
            began = perf_counter()
            lengths = await asyncio.gather(*(_repeat(call, number // len(calls), request) for call in calls))
            pipe.send(Answered(perf_counter() - began, sum(lengths)))


async def _repeat(call: AsyncCall, times: int, request: bytes) -> int:
    answer_bytes = 0
    for _ in range(times):
        answer_bytes += len(await call(request))
    return answer_bytes


def _unary(channel: grpc.aio.Channel, method: str) -> AsyncCall:
    unary: Any = channel.unary_unary(method)

    async def call(request: bytes) -> bytes:
        answer: bytes = await unary(request)
        return answer

    return call


def _streaming(channel: grpc.aio.Channel, method: str) -> AsyncCall:
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def requests() -> AsyncIterator[bytes]:
        while True:
            yield await asked.get()

    stream: Any = channel.stream_stream(method)
    answers = stream(requests())

    async def call(request: bytes) -> bytes:
        asked.put_nowait(request)
        answer: bytes = await answers.read()
        return answer

    return call


_COUNTS = re.compile(
    r"finished in [^,]+, (?P<rate>[\d.]+) req/s.*?"
    r"(?P<succeeded>\d+) succeeded.*?"
    r"status codes: (?P<good>\d+) 2xx.*?"
    r"\((?P<data_bytes>\d+)\) data",
    re.DOTALL,
)
_PATIENCE_SECONDS = 120


def has_h2load() -> bool:
    return shutil.which("h2load") is not None


@dataclass(frozen=True)
class H2load:
    """Each ``ask`` opens its connections anew, which counts."""

    address: str
    method: str
    shape: Shape

    def ask(self, request: bytes, calls: int) -> Answered:
        """
        Make all calls, so many at a time.

        Raises ``ClientsFailedError`` unless HTTP says that each was answered.

        A gRPC error is an HTTP success without data: a caller who knows the length of right answers
        finds it in ``answer_bytes``.
        """
        with NamedTemporaryFile() as body:
            body.write(message(request))
            body.flush()
            # What it finds wrong is in what it prints.
            done = subprocess.run(
                self._command(body.name, calls),
                capture_output=True,
                text=True,
                timeout=_PATIENCE_SECONDS,
                check=False,
            )
        counts = _COUNTS.search(done.stdout)
        if counts is None or int(counts["succeeded"]) != calls or int(counts["good"]) != calls:
            raise ClientsFailedError(f"h2load:\n{done.stdout}{done.stderr}")
        return Answered(calls / float(counts["rate"]), int(counts["data_bytes"]) - PREFIX_BYTES * calls)

    def _command(self, body: str, calls: int) -> list[str]:
        sizes = [f"--clients={self.shape.connections}", f"--max-concurrent-streams={self.shape.each}"]
        headers = ["--header=te: trailers", "--header=content-type: application/grpc"]
        url = f"http://{self.address}{self.method}"
        return ["h2load", *sizes, *headers, f"--requests={calls}", f"--data={body}", url]
