"""
The primary is lost and its standby promoted.

Servers whose URL names both hosts recover without help.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import grpc
import pytest

from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Consistency
from server.app import Application
from server.config import Settings
from server.domain.revision import Revision
from server.store.embedded import EmbeddedPostgres
from tests.support.calls import Stubs
from tests.support.channels import open_channel
from tests.support.eventually import eventually
from tests.support.failover import CREATED, Caller, everybody_busy
from tests.support.failures import failure_of
from tests.support.following import assert_caught_up
from tests.support.scene import Record, connected
from tests.support.soundness import assert_sound
from tests.support.standby import promote, replayed_received, standby_of, url_of_both
from tests.support.watching import RESET, Mirror, Rows, Watcher, expected
from tests.support.world import populate

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

REPLICAS = 2
ENOUGH = 30


@dataclass(frozen=True)
class Server:
    """A whole server, what leads to it, and a watcher who stays there."""

    application: Application
    channel: grpc.aio.Channel
    caller: Caller
    watcher: Watcher


async def test_servers_go_on_at_the_promoted_standby_that_their_url_names(
    own_postgres: EmbeddedPostgres, reachable_folder: Path, seed: int, record: Record
) -> None:
    async with connected(own_postgres.url) as connection:
        await populate(connection)
    async with standby_of(own_postgres.url, reachable_folder / "standby") as standby:
        url = url_of_both(own_postgres.url, standby.url)
        async with servers(url) as running, watched(running) as watching:
            callers = [server.caller for server in running]
            async with everybody_busy(url, callers, seed):
                await all_write(callers)
                left = await leave(running[0])
                before = left.mirror.revision
                await own_postgres.crash()
                shown = await created(standby.url, at_its_end=True)
                began = time.monotonic()
                await promote(standby.url)
                await asyncio.gather(*(caller.reads_fresh() for caller in callers))
                read_after = time.monotonic() - began
                await all_write(callers)
                await refuse_revision(running, before)
                await callers[0].stubs.write_edges("new-a>new-b", "new-b>new-a")
                await callers[1].sees_alert("new-a", "new-b")
                await resumes_with_reset(running[1], left)
            lost = assert_kept(callers, before, shown, await created(standby.url))
            await assert_exact(running, standby.url)
            await assert_watched(running, watching, before, standby.url)
    record(
        {
            "fault": "failover of two servers whose URL names both hosts, from the promotion",
            "seconds to recover": round(read_after, 3),
            "largest lag seen": max(caller.largest_lag for caller in callers).total_seconds(),
            "acknowledged": sum(len(caller.acknowledged) for caller in callers),
            "of these never sent to the standby": lost,
            "refused": [dict(caller.refused) for caller in callers],
            "seed": seed,
        }
    )


@asynccontextmanager
async def servers(url: str) -> AsyncIterator[list[Server]]:
    """Run servers in this process."""
    settings = Settings(listen="127.0.0.1:0", database_url=url)
    async with AsyncExitStack() as stack:
        running = []
        for number in range(REPLICAS):
            application = Application(settings, report=lambda _: None)
            await stack.enter_async_context(application)
            channel = await stack.enter_async_context(open_channel(application.address))
            caller, watcher = Caller(Stubs(channel), number), Watcher(channel, include_state=True)
            running.append(Server(application, channel, caller, watcher))
        yield running


@asynccontextmanager
async def watched(running: Sequence[Server]) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Fold what the watchers who stay are sent, until a server ends their stream."""

    async def watch(watcher: Watcher) -> None:
        while True:
            await watcher.batch()

    tasks = [asyncio.create_task(watch(server.watcher)) for server in running]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def all_write(callers: Sequence[Caller]) -> None:
    """Wait until each caller had some more writes acknowledged."""
    enough = [len(caller.acknowledged) + ENOUGH for caller in callers]
    await eventually(
        lambda: all(len(caller.acknowledged) >= each for caller, each in zip(callers, enough, strict=True))
    )


async def leave(server: Server) -> Watcher:
    """Watch until everything is known, and go."""
    watcher = Watcher(server.channel, include_state=True)
    assert (await watcher.batch()).event == RESET
    watcher.kill()
    return watcher


async def created(url: str, *, at_its_end: bool = False) -> set[str]:
    """
    Return which services of callers a database has.

    ``at_its_end``: first wait until a standby has applied everything that it was sent.
    """
    async with connected(url) as connection:
        if at_its_end:
            await replayed_received(connection)
        return {row["service_id"] for row in await connection.fetch(CREATED)}


async def refuse_revision(running: Sequence[Server], revision: str) -> None:
    """No server answers for a revision of the database that is gone."""
    consistency = Consistency(at_least_as_fresh=revision)
    for server in running:
        request = graph.ListComponentsRequest(consistency=consistency)
        failure = await failure_of(server.caller.stubs.graph.ListComponents(request))
        assert failure.code is grpc.StatusCode.FAILED_PRECONDITION
        assert failure.reason == "REVISION_UNKNOWN"


async def resumes_with_reset(server: Server, left: Watcher) -> None:
    """A watcher who comes back with a revision from before begins anew."""
    back = Watcher(server.channel, left.mirror, revision=left.mirror.revision)
    assert (await back.batch()).event == RESET
    back.kill()


def assert_kept(callers: Sequence[Caller], before: str, shown: set[str], now: set[str]) -> int:
    """Only acknowledged writes that the standby was never sent are lost; returns how many."""
    feed_id = Revision.parse(before).feed_id
    old = {name for caller in callers for name in caller.acknowledged_by(feed_id)}
    everything = {name for caller in callers for name in caller.acknowledged}
    assert old
    assert old & shown
    assert everything - old
    assert everything - (old - shown) <= now
    # Refused callers got the code with which they may try again.
    assert {code for caller in callers for code in caller.refused} <= {"UNAVAILABLE"}
    return len(old - shown)


async def assert_exact(running: Sequence[Server], url: str) -> None:
    """Memory equals the tables on all servers, row by row, and all is well with them."""
    async with connected(url) as connection:
        for server in running:
            await assert_sound(server.channel, url)
        for server in running:
            await assert_caught_up(server.application.replica, connection)


async def assert_watched(
    running: Sequence[Server], watching: Sequence[asyncio.Task[None]], before: str, url: str
) -> None:
    """Each watcher has the tables of the new database, or received the end of its stream."""
    async with connected(url) as connection:
        rows = await expected(connection)
    for server, task in zip(running, watching, strict=True):
        mirror = server.watcher.mirror
        await eventually(partial(knows, mirror, task, rows))
        if task.done():
            assert isinstance(task.exception(), grpc.aio.AioRpcError)
        else:
            assert Revision.parse(mirror.revision).feed_id != Revision.parse(before).feed_id


def knows(mirror: Mirror, watching: asyncio.Task[None], rows: Rows) -> bool:
    """Whether a watcher knows everything, or that the stream is over."""
    return watching.done() or mirror.rows == rows
