"""Servers that may never get ready, and waiting for what they say of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import grpc

from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Consistency, Service
from server.app import Application
from server.config import Settings
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.failures import Failure, failure_of, read_failure


@asynccontextmanager
async def starting(url: str) -> AsyncIterator[tuple[Stubs, "asyncio.Future[Application]"]]:
    """Start a server that may never get ready; yields its stubs and whether it is ready."""
    application = Application(Settings(listen="127.0.0.1:0", database_url=url), report=lambda _: None)
    opening = asyncio.ensure_future(application.__aenter__())
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not application.address:
                await asyncio.sleep(0.005)
        async with open_channel(application.address) as channel:
            yield Stubs(channel), opening
    finally:
        if opening.done():
            await application.__aexit__(None, None, None)
        else:
            opening.cancel()
            await asyncio.wait((opening,))


@asynccontextmanager
async def served(url: str, reports: list[str] | None = None) -> AsyncIterator[Stubs]:
    """Run a server, which must get ready; what it reports at its start is added to ``reports``."""
    settings = Settings(listen="127.0.0.1:0", database_url=url)
    async with (
        Application(settings, report=(reports if reports is not None else []).append) as application,
        open_channel(application.address) as channel,
    ):
        yield Stubs(channel)


async def until_told(stubs: Stubs, cause: str) -> None:
    """Wait until a read of an unready server names the cause; its status must name it too."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            failure = await failure_of(stubs.graph.Traverse(traverse("a")))
            assert failure.reason == "NOT_READY"
            if cause in failure.message:
                break
            await asyncio.sleep(0.01)
    assert cause in (await failure_of(stubs.graph.GetStatus(graph.GetStatusRequest()))).message


async def until_problem(stubs: Stubs, cause: str) -> None:
    """Wait until ``GetStatus.problems`` names the cause; empty = until there is no problem."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            problems = (await stubs.graph.GetStatus(graph.GetStatusRequest())).problems
            if any(cause in problem for problem in problems) if cause else not problems:
                return
            await asyncio.sleep(0.02)


async def until_refused(stubs: Stubs, cause: str) -> Failure:
    """Wait until a write is refused for the cause."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            failure = await failure_of(create(stubs, f"lost-{uuid4()}"))
            assert failure.code is grpc.StatusCode.UNAVAILABLE, failure
            if cause in failure.message:
                return failure
            await asyncio.sleep(0.02)


async def create(stubs: Stubs, name: str) -> None:
    """Create a service of which only the name matters."""
    await stubs.catalog.CreateService(catalog.CreateServiceRequest(service=Service(service_id=name)))


async def until_written(stubs: Stubs, name: str) -> None:
    """Create it as soon as that is possible; it is UNAVAILABLE until then."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                await create(stubs, name)
            except grpc.aio.AioRpcError as error:
                assert read_failure(error).code is grpc.StatusCode.UNAVAILABLE
                await asyncio.sleep(0.02)
            else:
                return


def traverse(start: str, consistency: Consistency | None = None) -> graph.TraverseRequest:
    """Ask for what a service depends on."""
    return graph.TraverseRequest(
        service_id=start, direction=graph.DIRECTION_DOWNSTREAM, consistency=consistency
    )
