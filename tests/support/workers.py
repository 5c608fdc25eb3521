"""``depgraph serve --workers N`` as a user runs it, with what it logs."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.request import urlopen

import grpc
from prometheus_client.parser import text_string_to_metric_families

from depgraph.v1 import graph_service_pb2 as pb
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.command import ROOT, clean_environment
from tests.support.eventually import PATIENCE_SECONDS, eventually

START_SECONDS = 60.0
Metrics = dict[tuple[str, frozenset[tuple[str, str]]], float]


class ManyWorkers:
    """A running supervisor, and what it and its workers logged."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.address = ""
        # With what they are for: "127.0.0.1:50443 (TLS)".
        self.others: list[str] = []
        self.said: list[str] = []

    @property
    def records(self) -> list[dict[str, Any]]:
        """What was logged, so far."""
        return [json.loads(line) for line in self.said if line.startswith("{")]

    @property
    def pids(self) -> dict[int, int]:
        """The process of each worker, by its number."""
        return {
            record["worker"]: record["pid"]
            for record in self.records
            if record["event"] == "started a worker"
        }

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor alone."""
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        """Wait for the end of the supervisor."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()

    async def all_gone(self) -> None:
        """Wait until no worker is left."""
        pids = self.pids.values()
        await eventually(lambda: not any(is_running(pid) for pid in pids))

    async def healthz(self) -> bytes:
        """Ask for the health of the workers together."""
        return await self._get("/healthz")

    async def _get(self, path: str) -> bytes:
        events = (json.loads(line)["event"] for line in self.said)
        (url,) = (event.split()[-1] for event in events if event.startswith("metrics at "))

        def read() -> bytes:
            with urlopen(url.replace("/metrics", path)) as answer:  # noqa: S310 - it is http, and ours
                return bytes(answer.read())

        return await asyncio.to_thread(read)

    async def metrics(self) -> Metrics:
        """Scrape the metrics."""
        text = await self._get("/metrics")
        families = text_string_to_metric_families(text.decode())
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in families
            for sample in family.samples
        }

    async def metrics_until(self, wanted: Callable[[Metrics], bool]) -> Metrics:
        """Scrape until the metrics are as wanted."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not wanted(metrics := await self.metrics()):
                await asyncio.sleep(0.01)
        return metrics

    async def read(self) -> None:
        """Take down what is said, to its end."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.said.append(line.decode().rstrip("\n"))


@asynccontextmanager
async def many_workers(*arguments: str, count: int = 2, **variables: str) -> AsyncIterator[ManyWorkers]:
    """
    Run a supervisor in a process group of its own, and wait until all workers serve.

    ``variables`` are added to its environment.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "server.cli", "serve", "--workers", str(count), "--listen", "127.0.0.1:0"),
        *("--metrics-listen", "127.0.0.1:0", "--log-format", "json", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=ROOT,
        env=clean_environment() | variables,
        process_group=0,
    )
    running = ManyWorkers(process)
    reading = asyncio.ensure_future(running.read())
    try:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS):
            line = (await process.stdout.readline()).decode()
        assert line.startswith("serving on "), running.said
        running.address, *running.others = line.removeprefix("serving on ").strip().split(", ")
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        # Workers hold the other end of stderr too: once it is at its end, they are gone.
        async with asyncio.timeout(PATIENCE_SECONDS):
            await reading
            await process.communicate()


@asynccontextmanager
async def one_channel_each(server: ManyWorkers, count: int = 2) -> AsyncIterator[dict[int, grpc.aio.Channel]]:
    """Connect until every worker has a channel, by its number: the kernel deals connections."""
    channels: dict[int, grpc.aio.Channel] = {}
    async with contextlib.AsyncExitStack() as stack:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(channels) < count:
                channel = await stack.enter_async_context(open_channel(server.address))
                channels[(await status(channel)).worker] = channel
        yield channels


async def status(channel: grpc.aio.Channel) -> pb.GetStatusResponse:
    """Ask the worker that a channel leads to how it is."""
    return await Stubs(channel).graph.GetStatus(pb.GetStatusRequest(), wait_for_ready=True)


async def status_with(channel: grpc.aio.Channel, problem_count: int) -> pb.GetStatusResponse:
    """Ask until a worker has heard how the others are."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len((answer := await status(channel)).problems) != problem_count:
            await asyncio.sleep(0.005)
    return answer


def is_running(pid: int) -> bool:
    """Whether a process of ours has not ended."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
