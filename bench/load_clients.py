"""
Clients of one server, many calls at a time: with the C core of grpcio, or ``h2load`` of nghttp2.

``python -m bench.load_clients ADDRESS METHOD`` runs those of grpcio in a process of their own. It
reads ``CALLS REQUEST`` from standard input, the request in hexadecimal digits, makes so many
calls, and prints the seconds and the answer bytes of all. A call that fails ends it. ``h2load``
is written in C and costs the machine little beside the server.
"""

import argparse
import asyncio
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from tempfile import NamedTemporaryFile
from time import perf_counter
from typing import Any, NamedTuple

import grpc

from bench.http2 import PREFIX_BYTES, message

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


class CoreClients:
    def __init__(self, address: str, method: str, shape: Shape, *, stream: bool) -> None:
        self._shape = shape
        sizes = ["--connections", str(shape.connections), "--each", str(shape.each)]
        command = [sys.executable, "-m", "bench.load_clients", address, method, *sizes]
        command += ["--stream"] if stream else []
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, request: bytes, calls: int) -> Answered:
        """All of the calls, a multiple of ``shape.at_once``, so many of them at a time."""
        assert calls % self._shape.at_once == 0
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # An empty word would not be seen.
        self._process.stdin.write(f"{calls} 0x{request.hex()}\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise ClientsFailedError("the clients have ended")
        seconds, answer_bytes = line.split()
        return Answered(float(seconds), int(answer_bytes))

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


@contextmanager
def core_clients(address: str, method: str, shape: Shape, *, stream: bool = False) -> Iterator[CoreClients]:
    asking = CoreClients(address, method, shape, stream=stream)
    try:
        yield asking
    finally:
        asking.close()


async def _run(address: str, method: str, shape: Shape, *, stream: bool) -> None:
    open_call = _streaming if stream else _unary
    async with AsyncExitStack() as stack:
        calls: list[AsyncCall] = []
        for _ in range(shape.connections):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=_OPTIONS))
            calls += [open_call(channel, method) for _ in range(shape.each)]
        while order := await asyncio.to_thread(sys.stdin.readline):
            number, request = order.split()
            body, times = bytes.fromhex(request.removeprefix("0x")), int(number) // len(calls)
            began = perf_counter()
            lengths = await asyncio.gather(*(_repeat(call, times, body) for call in calls))
            print(perf_counter() - began, sum(lengths), flush=True)


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


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("method")
    parser.add_argument("--connections", type=int, default=1)
    parser.add_argument("--each", type=int, default=1)
    parser.add_argument("--stream", action="store_true")
    chosen = parser.parse_args()
    shape = Shape(chosen.connections, chosen.each)
    asyncio.run(_run(chosen.address, chosen.method, shape, stream=chosen.stream))
