"""Watchers that are killed and resume at random while rows change and servers restart."""

import asyncio
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from random import Random

import asyncpg
import grpc

from server.app import Application
from server.config import FeedSettings, Settings, WatchSettings
from server.domain.revision import Revision
from server.feed.change_log import prune
from tests.support.channels import open_channel
from tests.support.plain_sql import connected
from tests.support.random_writer import RandomWriter
from tests.support.serving import serving
from tests.support.watching import RESET, BrokenPromiseError, Mirror, Watcher, expected
from tests.support.world import populate

WRITERS, WATCHERS = 4, 6
PAUSE_SECONDS = 0.05
MOST_ROUNDS = 20
AWAY = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED})


@dataclass(slots=True)
class Place:
    """Somewhere to watch; no address while the server there restarts."""

    address: str = ""


@dataclass(slots=True)
class WatchRun:
    """What happened, and how many rows of watchers were wrong whenever the writers paused."""

    writers: Counter[str] = field(default_factory=Counter)
    streams: Counter[str] = field(default_factory=Counter)
    mirrors: list[Mirror] = field(default_factory=list)
    comparisons: int = 0
    wrong: int = 0

    def figures(self) -> dict[str, object]:
        """All figures by name."""
        return {
            "watchers": len(self.mirrors),
            "batches folded": sum(mirror.batches for mirror in self.mirrors),
            "comparisons": self.comparisons,
            "wrong rows": self.wrong,
            "streams": dict(sorted(self.streams.items())),
            "writers": dict(sorted(self.writers.items())),
        }


class RandomWatch:
    """Rounds of changes; after each, every watcher's graph is compared with the tables."""

    def __init__(self, url: str, seed: int) -> None:
        self._url = url
        self._seed = seed
        self._places = [Place(), Place(), Place()]
        self.run = WatchRun()

    async def play(self, seconds: float, rounds: int, enough: Callable[[WatchRun], bool]) -> WatchRun:
        """
        Play for so many seconds, pauses for comparisons and restarts not counted.

        A slow machine gets more rounds than ``rounds``, until it has seen ``enough``.
        """
        async with connected(self._url) as connection:
            await populate(connection)
            async with self._servers():
                watchers = [self._watcher(number) for number in range(WATCHERS)]
                for number in range(max(rounds, MOST_ROUNDS)):
                    if number >= rounds and enough(self.run):
                        break
                    await self._round(f"round {number}", watchers, seconds / rounds)
                    await self._compare(connection, watchers)
        return self.run

    async def _round(self, name: str, watchers: list["RestlessWatcher"], seconds: float) -> None:
        stop = asyncio.Event()
        jobs: list[Coroutine[None, None, None]] = [watcher.watch(stop) for watcher in watchers]
        for number in range(WRITERS):
            dice = self._dice(f"{name} writer {number}")
            jobs.append(RandomWriter(self._url, dice, self.run.writers, PAUSE_SECONDS).run(stop))
        jobs.append(self._prune(self._dice(f"{name} pruner"), stop))
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
            await asyncio.sleep(seconds)
            stop.set()

    async def _compare(self, connection: asyncpg.Connection, watchers: list["RestlessWatcher"]) -> None:
        revision = Revision.of(await connection.fetchval("SELECT depgraph_feed.revision()"))
        await asyncio.gather(*(watcher.catch_up(revision) for watcher in watchers))
        services, dependencies = await expected(connection)
        for watcher in watchers:
            self.run.comparisons += 1
            self.run.wrong += _differing(watcher.mirror.services, services)
            self.run.wrong += _differing(watcher.mirror.dependencies, dependencies)

    async def _prune(self, dice: Random, stop: asyncio.Event) -> None:
        while not stop.is_set():
            longest = 0 if dice.random() < 0.1 else FeedSettings().max_log_rows
            await prune(self._url, FeedSettings(keep_log=timedelta(milliseconds=300), max_log_rows=longest))
            await asyncio.sleep(dice.random() * 0.3)

    @asynccontextmanager
    async def _servers(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        here, restarting, elsewhere = self._places
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve_here(here, None, stop))
            group.create_task(self._serve_here(restarting, self._dice("restarts"), stop))
            group.create_task(self._serve_elsewhere(elsewhere, self._dice("kills"), stop))
            try:
                while not all(place.address for place in self._places):
                    await asyncio.sleep(0.01)
                yield
            finally:
                stop.set()

    async def _serve_here(self, place: Place, dice: Random | None, stop: asyncio.Event) -> None:
        settings = Settings(
            listen="127.0.0.1:0",
            database_url=self._url,
            watch=WatchSettings(heartbeat=timedelta(milliseconds=40)),
        )
        while not stop.is_set():
            async with Application(settings, report=lambda _: None) as application:
                place.address = application.address
                await _until(stop, None if dice is None else dice.uniform(0.3, 1.5))
                place.address = ""

    async def _serve_elsewhere(self, place: Place, dice: Random, stop: asyncio.Event) -> None:
        while not stop.is_set():
            async with serving("--database-url", self._url) as served:
                place.address = served.address
                await _until(stop, dice.uniform(1, 3))
                place.address = ""
                await served.stop(dice.choice((signal.SIGKILL, signal.SIGTERM)))

    def _watcher(self, number: int) -> "RestlessWatcher":
        watcher = RestlessWatcher(self._places, self._dice(f"watcher {number}"), self.run.streams)
        self.run.mirrors.append(watcher.mirror)
        return watcher

    def _dice(self, part: str) -> Random:
        return Random(f"{self._seed} {part}")  # noqa: S311 - a game of dice, no secret


class RestlessWatcher:
    """A watcher who stays nowhere for long and knows nothing but what the streams said."""

    def __init__(self, places: list[Place], dice: Random, counts: Counter[str]) -> None:
        self.mirror = Mirror()
        self._places = places
        self._dice = dice
        self._counts = counts

    async def watch(self, stop: asyncio.Event) -> None:
        """Watch here and there until asked to stop."""
        while not stop.is_set():
            await self._stay(self._dice.random() ** 2 * 1.5)
            await asyncio.sleep(self._dice.random() ** 4 * 0.8)

    async def catch_up(self, revision: Revision) -> None:
        """Go on until what is known holds a revision."""
        async with asyncio.timeout(60):
            stay = 0.2
            while not self._holds(revision):
                await self._stay(stay)
                stay *= 2

    async def _stay(self, seconds: float) -> None:
        place = self._dice.choice([place for place in self._places if place.address])
        try:
            async with open_channel(place.address) as channel, asyncio.timeout(seconds):
                await self._listen(channel)
        except TimeoutError:
            self._counts["left by the watcher"] += 1
        except grpc.aio.AioRpcError as error:
            assert error.code() in AWAY, error
            self._counts["left by the server"] += 1
        finally:
            self.mirror.interrupted()

    async def _listen(self, channel: grpc.aio.Channel) -> None:
        is_back = bool(self.mirror.revision)
        watcher = Watcher(channel, self.mirror, revision=self.mirror.revision, include_state=True)
        first = await watcher.batch()
        if is_back:
            self._counts["resumed with a reset" if first.event == RESET else "resumed from the log"] += 1
        while True:
            try:
                await watcher.batch()
            except BrokenPromiseError as broken:
                raise AssertionError(f"{broken} on a stream that began with event {first.event}") from broken

    def _holds(self, revision: Revision) -> bool:
        if not self.mirror.revision:
            return False
        known = Revision.parse(self.mirror.revision)
        return known.snapshot is not None and revision.held_by(known.snapshot)


async def _until(stop: asyncio.Event, seconds: float | None) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


def _differing(known: Mapping[str, object], rows: Mapping[str, object]) -> int:
    return sum(known.get(key) != rows.get(key) for key in known.keys() | rows.keys())
