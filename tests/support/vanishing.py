"""
A client to be killed: ``python -m tests.support.vanishing ADDRESS SERVICE``.

It makes all kinds of calls: read and unread watches, unread streams, and calls one after another,
some answered, some cancelled, some out of time. It prints ``ready`` after many of them.
"""

import asyncio
import itertools
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from depgraph.v1 import analysis_service_pb2 as analysis
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from tests.support.calls import FRESH, Stubs
from tests.support.channels import HOLDS_LITTLE, open_channel
from tests.support.command import ROOT
from tests.support.eventually import PATIENCE_SECONDS

EACH = 3
AT_A_TIME = 10
# Each kind of call ends in each of the three ways.
ENOUGH = 12
DOWN = graph.DIRECTION_DOWNSTREAM


@asynccontextmanager
async def vanishing_client(address: str, service: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run such a client until the context ends; it is killed then, if it still runs."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.vanishing", address, service),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            ready = await process.stdout.readline()
        assert ready == b"ready\n", (await process.stderr.read()).decode()
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def run(address: str, service: str) -> None:
    """Begin calls of every kind, and make more until the process is killed."""
    async with open_channel(address, *HOLDS_LITTLE) as channel:
        streams = [stream for _ in range(EACH) for stream in unread(channel, service)]
        for stream in streams:
            await stream.read()
        calls = asyncio.Barrier(AT_A_TIME + 1)
        working = [
            asyncio.create_task(one_after_another(channel, service, number, calls))
            for number in range(AT_A_TIME)
        ]
        await calls.wait()
        print("ready", flush=True)  # noqa: T201 - to the test that waits for it
        await asyncio.gather(*working)


def unread(channel: grpc.aio.Channel, service: str) -> Iterator[Any]:
    """Begin streams of which only the first message is read."""
    stubs = Stubs(channel)
    yield stubs.graph.StreamTraverse(
        graph.StreamTraverseRequest(service_id=service, direction=DOWN, max_depth=1)
    )
    yield stubs.graph.GetAdjacencyList(graph.GetAdjacencyListRequest())
    yield stubs.analyses.AnalyzeImpact(analysis.AnalyzeImpactRequest(service_id=f"under-{service}"))
    yield stubs.graph.Watch(graph.WatchRequest())
    yield stubs.graph.Watch(graph.WatchRequest(include_state=True))
    yield health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
    asked = iter([reflection_pb2.ServerReflectionRequest(list_services="")])
    yield reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(forever(asked))


async def forever(requests: Iterator[Any]) -> AsyncIterator[Any]:
    """Send requests and leave the stream open."""
    for request in requests:
        yield request
    await asyncio.Event().wait()


async def one_after_another(
    channel: grpc.aio.Channel, service: str, number: int, enough: asyncio.Barrier
) -> None:
    """Make calls: one third is let be, one third cancelled soon, one third has hardly any time."""
    stubs, loop = Stubs(channel), asyncio.get_running_loop()
    begin: list[Callable[..., Any]] = [
        lambda timeout: stubs.graph.GetComponent(
            graph.GetComponentRequest(service_id=service, consistency=FRESH), timeout=timeout
        ),
        lambda timeout: stubs.catalog.GetService(
            catalog.GetServiceRequest(service_id="none"), timeout=timeout
        ),
        lambda timeout: stubs.graph.Watch(graph.WatchRequest(include_state=True), timeout=timeout),
        lambda timeout: stubs.graph.StreamTraverse(
            graph.StreamTraverseRequest(service_id=service, direction=DOWN, max_depth=1), timeout=timeout
        ),
    ]
    for turn, call_of in zip(itertools.count(number), itertools.cycle(begin), strict=False):
        soon = (turn % 10) / 1000
        call = call_of(soon if turn % 3 == 0 else None)
        if turn % 3 == 1:
            loop.call_later(soon, call.cancel)
        await ended(call)
        if turn == number + ENOUGH:
            await enough.wait()


async def ended(call: Any) -> None:
    """Wait for an answer, or for the first messages of a stream, whatever becomes of it."""
    with suppress(grpc.aio.AioRpcError, asyncio.CancelledError):
        if isinstance(call, Awaitable):
            await call
            return
        for _ in range(EACH):
            if await call.read() is grpc.aio.EOF:
                return
    call.cancel()


if __name__ == "__main__":
    asyncio.run(run(*sys.argv[1:]))
