"""
Clients of the server that does nothing, many at a time, in a process of their own: ``python -m bench.echo_clients ADDRESS``.

Told ``CALLS BYTES`` on standard input it asks so often for answers of so many bytes, and prints the seconds that all of them took.
"""

import argparse
import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from time import perf_counter
from typing import Any

import grpc

from bench.echo_server import STREAM, UNARY

CONNECTIONS, IN_FLIGHT_EACH = 8, 2
# Without it, the channels of one process to one address share a connection.
_OPTIONS = [("grpc.use_local_subchannel_pool", 1)]

AsyncCall = Callable[[bytes], Awaitable[bytes]]


class EchoClients:
    def __init__(self, address: str, *, stream: bool) -> None:
        command = [sys.executable, "-m", "bench.echo_clients", address, *(["--stream"] if stream else [])]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, calls: int, size: int) -> float:
        """Seconds for all of the calls, ``CONNECTIONS * IN_FLIGHT_EACH`` of them at a time."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{calls} {size}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()
        assert self._process.returncode == 0


@contextmanager
def clients(address: str, *, stream: bool = False) -> Iterator[EchoClients]:
    asking = EchoClients(address, stream=stream)
    try:
        yield asking
    finally:
        asking.close()


async def _run(address: str, *, stream: bool) -> None:
    async with AsyncExitStack() as stack:
        calls: list[AsyncCall] = []
        for _ in range(CONNECTIONS):
            channel = await stack.enter_async_context(grpc.aio.insecure_channel(address, options=_OPTIONS))
            calls += [_streaming(channel) if stream else _unary(channel) for _ in range(IN_FLIGHT_EACH)]
        while order := await asyncio.to_thread(sys.stdin.readline):
            number, size = order.split()
            began = perf_counter()
            await asyncio.gather(*(_repeat(call, int(number) // len(calls), size.encode()) for call in calls))
            print(perf_counter() - began, flush=True)


async def _repeat(call: AsyncCall, times: int, request: bytes) -> None:
    for _ in range(times):
        await call(request)


def _unary(channel: grpc.aio.Channel) -> AsyncCall:
    method: Any = channel.unary_unary(UNARY)

    async def call(request: bytes) -> bytes:
        answer: bytes = await method(request)
        return answer

    return call


def _streaming(channel: grpc.aio.Channel) -> AsyncCall:
    asked: asyncio.Queue[bytes] = asyncio.Queue()

    async def requests() -> AsyncIterator[bytes]:
        while True:
            yield await asked.get()

    method: Any = channel.stream_stream(STREAM)
    answers = method(requests())

    async def call(request: bytes) -> bytes:
        asked.put_nowait(request)
        answer: bytes = await answers.read()
        return answer

    return call


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("address")
    parser.add_argument("--stream", action="store_true")
    chosen = parser.parse_args()
    asyncio.run(_run(chosen.address, stream=chosen.stream))
