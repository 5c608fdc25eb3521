"""
What hostile callers do to a server.

They send expensive requests, leave answers unread and requests unfinished, and send too many.
"""

import asyncio
import gzip
import resource
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Any

import grpc

from bench.http2 import LARGEST_WINDOW, call_headers, message
from bench.raw_http2 import Answer, Connection, connect

KIB = 1024
PATIENCE_SECONDS, HELD_SECONDS = 20, 3

Outcome = Counter[str]


@dataclass(frozen=True)
class Attack:
    """
    ``do`` attacks the server at an address and counts the answers by kind.

    ``lasts`` = the server needs a while to recover.
    """

    name: str
    do: Callable[[str], Coroutine[Any, Any, Outcome]]
    lasts: bool = False


@dataclass(frozen=True)
class Request:
    """A method and the bytes of a message for it; compressed as a client's gzip would."""

    method: str
    body: Callable[[], bytes]
    compressed: bool = True

    @cache  # noqa: B019 - there are few, and they live as long as the process
    def sent(self) -> tuple[bytes, bytes]:
        """Header block, and message as it goes over the wire."""
        body = gzip.compress(self.body(), 6) if self.compressed else self.body()
        return call_headers(self.method, compressed=self.compressed), message(
            body, compressed=self.compressed
        )


def asked(name: str, method: str, body: Callable[[], bytes], *, at_once: int = 1, in_turn: int = 1) -> Attack:
    """So many calls at once on one connection, and that so often."""
    request = Request(method, body)

    async def do(address: str) -> Outcome:
        headers, body = request.sent()
        connection, outcome = await connect(address), Outcome()
        for _ in range(in_turn):
            calls = [connection.call(headers, body) for _ in range(at_once)]
            await asyncio.wait(calls, timeout=PATIENCE_SECONDS)
            outcome += _tally(calls)
        connection.close()
        return outcome

    return Attack(f"{name}: {method.rpartition('/')[2]}", do)


def unread(
    name: str,
    request: Request,
    connections: int,
    calls: int,
    *,
    polite: bool = False,
    held: float = HELD_SECONDS,
) -> Attack:
    """
    Make calls on connections whose client grants no byte for answers.

    ``polite`` = no more calls at once than the server's settings allow.
    """

    async def do(address: str) -> Outcome:
        headers, body = request.sent()
        opened = await _connections(address, connections, window=0, polite=polite)
        pending: list[asyncio.Future[Answer]] = []
        for connection in opened:
            pending += [connection.call(headers, body) for _ in range(calls)]
            await asyncio.sleep(0)
        return await _held(opened, pending, held)

    return Attack(name, do, lasts=True)


def unfinished(
    name: str, method: str, connections: int, calls: int, *, declared: int, sent: int | None = None
) -> Attack:
    """Send ``sent`` bytes of each declared message; by default all but the last byte."""

    async def do(address: str) -> Outcome:
        part = bytes(declared - 1 if sent is None else sent)
        headers, body = call_headers(method), message(part, length=declared)
        opened = await _connections(address, connections)
        pending = [connection.call(headers, body, ends=False) for connection in opened for _ in range(calls)]
        return await _held(opened, pending, HELD_SECONDS)

    return Attack(name, do, lasts=True)


def idle(name: str, connections: int) -> Attack:
    """Connections on which nothing is asked."""

    async def do(address: str) -> Outcome:
        return await _held(await _connections(address, connections), [], HELD_SECONDS)

    return Attack(name, do, lasts=True)


def crowd(name: str, request: Request, calls: int) -> Attack:
    """So many calls at once of one ordinary client."""

    async def do(address: str) -> Outcome:
        async with grpc.aio.insecure_channel(address) as channel:
            call: Any = channel.unary_unary(request.method)
            body = request.body()

            async def ask() -> Answer:
                try:
                    await call(body, timeout=PATIENCE_SECONDS)
                except grpc.aio.AioRpcError as error:
                    return Answer(error.code().name, error.details() or "")
                return Answer("OK")

            tasks = [asyncio.ensure_future(ask()) for _ in range(calls)]
            await asyncio.wait(tasks)
            return _tally(tasks)

    return Attack(name, do, lasts=True)


async def _connections(
    address: str, number: int, *, window: int = LARGEST_WINDOW, polite: bool = True
) -> list[Connection]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number + KIB:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, number + KIB), hard))
    opened: list[Connection] = []
    with suppress(OSError, TimeoutError):
        for _ in range(number):
            async with asyncio.timeout(HELD_SECONDS):
                opened.append(await connect(address, window=window, polite=polite))
    return opened


async def _held(
    opened: Sequence[Connection], pending: Sequence["asyncio.Future[Answer]"], held: float
) -> Outcome:
    """Hold the connections for a while, then drop them; what is answered by then counts."""
    await asyncio.sleep(held)
    outcome = _tally(pending)
    outcome["connections held to the end"] = sum(not connection.is_lost for connection in opened)
    for connection in opened:
        connection.close()
    await asyncio.sleep(0)
    return outcome


def _tally(calls: Sequence["asyncio.Future[Answer]"]) -> Outcome:
    answers = [call.result() if call.done() else Answer("UNANSWERED") for call in calls]
    return Outcome(f"{answer.code} {answer.message[:60]}".strip() for answer in answers)
