"""Latency of readers during 100,000 changes in a transaction, and 1,000 small ones a second."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter, sleep

import asyncpg
import grpc

from bench.calls import TRAVERSE, RawCall, questions, raw
from bench.graphs import big100k
from bench.measuring import Figure, quantile, quantile_figure
from bench.stage import Stage, connected
from depgraph.v1 import graph_service_pb2 as pb

PART = "bulk"
CHANGES = 100_000
CHANGE_MANY = """
UPDATE service_dependencies SET timeout_ms = $1
WHERE id IN (SELECT id FROM service_dependencies ORDER BY id LIMIT $2)
"""
CHANGE_ONE = "UPDATE services SET team = $2 WHERE service_id = $1"
MARK = "UPDATE service_dependencies SET timeout_ms = $1 WHERE id = $2"
SMALL_A_SECOND, SMALL_SECONDS = 1_000, 10
QUIET_SECONDS = 5
PAUSE = 0.001
ROUNDS = 3


class Reader(threading.Thread):
    """Makes small calls all the time; ``looks`` holds when each was sent and its seconds."""

    def __init__(self, call: RawCall, asked: list[bytes]) -> None:
        super().__init__(daemon=True)
        self._call = call
        self._asked = asked
        self._ended = threading.Event()
        self.looks: list[tuple[float, float]] = []

    def run(self) -> None:
        number = 0
        while not self._ended.is_set():
            began = perf_counter()
            self._call(self._asked[number % len(self._asked)])
            self.looks.append((began, perf_counter() - began))
            number += 1
            sleep(PAUSE)

    def between(self, first: float, last: float) -> list[float]:
        return [seconds for began, seconds in self.looks if first <= began + seconds and began <= last]

    def stop(self) -> None:
        self._ended.set()
        self.join()


def measure(stage: Stage) -> Iterator[Figure]:
    with stage.server(big100k()) as (server, url), grpc.insecure_channel(server.address) as channel:
        call = raw(channel, TRAVERSE)
        reader = Reader(call, questions(big100k(), "IDS"))
        reader.start()
        yield from asyncio.run(_watched(reader, call, url))
        reader.stop()


async def _watched(reader: Reader, call: RawCall, url: str) -> list[Figure]:
    figures: list[Figure] = []
    async with connected(url) as connection:
        began = perf_counter()
        await asyncio.sleep(QUIET_SECONDS)
        figures += _felt("no writes", reader.between(began, perf_counter()))
        visible = []
        bulk: list[float] = []
        for number in range(ROUNDS):
            began, committed, seen = await _in_one_go(connection, call, 1_000 + number)
            visible.append(seen - committed)
            bulk += reader.between(began, seen)
        what = f"{CHANGES:,} changes in one transaction: commit to visible, worst of {ROUNDS}"
        figures.append(Figure(PART, what, max(visible), "s", at_most=5))
        quiet = quantile(reader.between(0, began), 0.5)
        figures += _felt("meanwhile", bulk, quiet)
        began = perf_counter()
        await _small_ones(connection)
        figures += _felt(f"{SMALL_A_SECOND:,} small changes a second", reader.between(began, perf_counter()))
    return figures


def _felt(when: str, looks: list[float], quiet: float | None = None) -> Iterator[Figure]:
    yield quantile_figure(PART, f"  Traverse while {when}: p50", looks, 0.5)
    yield quantile_figure(PART, "    p99", looks, 0.99)
    yield Figure(PART, "    worst", max(looks) * 1e3, "ms")
    if quiet is not None:
        delay = (max(looks) - quiet) * 1e3
        yield Figure(PART, "    worst, less the usual time of a call", delay, "ms", at_most=25)


async def _in_one_go(connection: asyncpg.Connection, call: RawCall, value: int) -> tuple[float, float, float]:
    """When it began, was committed, and was seen from memory."""
    [(source, key)] = await connection.fetch(
        "SELECT s.service_id, d.id FROM service_dependencies AS d"
        " JOIN services AS s ON s.id = d.source_service_id ORDER BY d.id LIMIT 1"
    )
    began = perf_counter()
    async with connection.transaction():
        await connection.execute(CHANGE_MANY, value, CHANGES, timeout=600)
    committed = perf_counter()
    request = pb.TraverseRequest(service_id=source, direction=pb.DIRECTION_DOWNSTREAM, max_depth=1)
    asked = request.SerializeToString()
    while not _shows(call(asked), str(key), value):  # noqa: ASYNC110 - the server sets no event here
        await asyncio.sleep(0.005)
    return began, committed, perf_counter()


def _shows(answer: bytes, key: str, value: int) -> bool:
    dependencies = pb.TraverseResponse.FromString(answer).dependencies
    return any(found.id == key and found.timeout_ms == value for found in dependencies)


async def _small_ones(connection: asyncpg.Connection) -> None:
    await _on_schedule(
        lambda number: connection.execute(CHANGE_ONE, f"s{number}", f"team {number}"),
        SMALL_A_SECOND,
        SMALL_SECONDS,
    )


async def _on_schedule(write: Callable[[int], Awaitable[object]], a_second: int, seconds: int) -> None:
    began = perf_counter()
    for number in range(a_second * seconds):
        await asyncio.sleep(max(0.0, began + number / a_second - perf_counter()))
        await write(number)
