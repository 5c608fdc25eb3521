"""A replica of the previous version keeps working during and after this version's migration."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING

import asyncpg
import grpc
import pytest

from depgraph.v1 import graph_service_pb2 as graph
from server.app import Application
from server.config import FeedSettings, Settings
from server.store import migrate
from tests.support.calls import FRESH, Stubs
from tests.support.channels import open_channel
from tests.support.command import depgraph
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.following import assert_caught_up
from tests.support.own_writes import OwnReads, add_writers, write_by_rpc, write_by_sql
from tests.support.plain_sql import connected
from tests.support.random_writer import RandomWriter
from tests.support.scene import Record
from tests.support.serving import PATIENCE_SECONDS as START_SECONDS
from tests.support.serving import Program, serving, start
from tests.support.soundness import assert_sound
from tests.support.watching import RESET, Rows, Watcher, expected
from tests.support.world import FREE, free, populate

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

if TYPE_CHECKING:  # a class of annotations only
    from depgraph.v1.types_pb2 import Dependency

ENOUGH = 20
FEED = "SELECT depgraph_feed.open()"
# Everything that the feed asks of its functions happens during the test: steps, pruning, audits.
BUSY = FeedSettings(
    poll_interval=timedelta(seconds=0.2),
    keep_log=timedelta(seconds=1),
    prune_interval=timedelta(seconds=0.2),
    audit_interval=timedelta(seconds=1),
)
BUSY_FLAGS = ("--poll-interval=0.2", "--keep-log=1", "--prune-interval=0.2", "--audit-interval=1")
# Others delete the same rows at the same time; a migration may keep a writer waiting for too long.
LATE = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)
REFUSED = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.ABORTED, grpc.StatusCode.UNAVAILABLE)


async def test_a_replica_of_the_version_before_goes_on_beside_the_new_schema(
    version_before: Program, empty_database_url: str, seed: int, record: Record
) -> None:
    url = empty_database_url
    async with (
        serving("--database-url", url, *BUSY_FLAGS, program=version_before) as served,
        open_channel(served.address) as to_old,
        connected(url) as connection,
    ):
        await populate(connection)
        old, watcher = Stubs(to_old), Watcher(to_old, include_state=True)
        watching = asyncio.create_task(watch(watcher))
        async with writing(url, [old], seed) as counts:
            await until_enough(counts)
            run_of_the_feed = await connection.fetchval(FEED)
            await migrate_up(url)
            await assert_goes_on(old)
            # The replica did not have to read everything, and revisions of before still hold.
            assert await connection.fetchval(FEED) == run_of_the_feed
            await until_enough(counts)
        settings = Settings(listen="127.0.0.1:0", database_url=url, feed=BUSY)
        async with (
            Application(settings, report=lambda _: None) as application,
            open_channel(application.address) as to_new,
        ):
            new = Stubs(to_new)
            replicas = [old, new]
            async with writing(url, replicas, seed + 1) as beside:
                await until_enough(beside)
            await assert_exact(old, await expected(connection))
            await assert_exact(new, await expected(connection))
            reads = await read_own_writes(url, connection, replicas)
            await assert_sound(to_old, url)
            await assert_sound(to_new, url)
            await assert_caught_up(application.replica, connection)
            await assert_exact(old, await expected(connection))
        rows = await expected(connection)
        await eventually(lambda: watcher.mirror.rows == rows or watching.done())
        watching.cancel()
        await assert_begins_with(Watcher(to_old, include_state=True), rows)
        assert list((await old.graph.GetStatus(graph.GetStatusRequest())).problems) == []
    record(
        {"beside the version before": dict(counts + beside), "token reads": len(reads.waits), "seed": seed}
    )


async def test_a_program_of_the_version_before_starts_on_the_new_schema_or_says_why_not(
    version_before: Program, database_url: str
) -> None:
    process = await start("--database-url", database_url, program=version_before)
    assert process.stdout is not None
    line = b"it did not start in time"
    try:
        async with asyncio.timeout(START_SECONDS):
            line = await process.stdout.readline()
    finally:
        # One that says nothing on its standard output is on its way out.
        if line and process.returncode is None:
            process.terminate()
        _, said = await process.communicate()
    if not line:
        assert process.returncode == 1
        assert "a newer depgraph migrated it" in said.decode()


@asynccontextmanager
async def writing(url: str, replicas: Sequence[Stubs], seed: int) -> AsyncIterator[Counter[str]]:
    """Let two SQL writers and a gRPC writer per replica change random rows; count the changes."""
    stop = asyncio.Event()
    counts = Counter({"commits": 0} | {f"calls of replica {number}": 0 for number in range(len(replicas))})
    async with asyncio.TaskGroup() as group:
        for number in range(2):
            dice = Random(f"{seed} {number}")  # noqa: S311 - a game of dice, no secret
            group.create_task(RandomWriter(url, dice, counts).run(stop))
        for number, stubs in enumerate(replicas):
            dice = Random(f"{seed} calls {number}")  # noqa: S311 - a game of dice, no secret
            group.create_task(write_on(stubs, dice, counts, f"calls of replica {number}", stop))
        yield counts
        stop.set()


async def write_on(stubs: Stubs, dice: Random, counts: Counter[str], name: str, stop: asyncio.Event) -> None:
    """Connect services at random by calls until asked to stop."""
    while not stop.is_set():
        source, target = dice.sample(range(FREE), 2)
        try:
            await stubs.write_edges(f"{free(source)}>{free(target)}", timeout_ms=dice.randrange(1, 1_000))
        except grpc.aio.AioRpcError as error:
            if error.code() not in REFUSED:
                raise
            counts[error.code().name] += 1
        else:
            counts[name] += 1


async def until_enough(counts: Counter[str]) -> None:
    """Wait until every writer has got on."""
    names = [name for name in counts if name == "commits" or name.startswith("calls")]
    wanted = {name: counts[name] + ENOUGH for name in names}
    await eventually(lambda: all(counts[name] >= enough for name, enough in wanted.items()))


async def migrate_up(url: str) -> None:
    """Bring the schema to this version's, as an operator does."""
    ran = await asyncio.to_thread(depgraph, "migrate", "up", "--database-url", url)
    assert ran.returncode == 0, ran.stderr
    assert not (await migrate.status(url)).pending


async def assert_goes_on(stubs: Stubs) -> None:
    """A replica still reads the database; a failure says whether the replica reports a problem."""
    try:
        request = graph.ListComponentsRequest(consistency=FRESH)
        await stubs.graph.ListComponents(request, timeout=PATIENCE_SECONDS)
    except grpc.aio.AioRpcError as error:
        status = await stubs.graph.GetStatus(graph.GetStatusRequest())
        said = "; ".join(status.problems) or "nothing of it"
        raise AssertionError(f"the replica does not go on ({error.details()}), and says {said}") from error


async def watch(watcher: Watcher) -> None:
    """Fold what comes until cancelled."""
    while True:
        await watcher.batch()


async def read_own_writes(url: str, connection: asyncpg.Connection, replicas: Sequence[Stubs]) -> OwnReads:
    """Write through each replica and by SQL; each write's revision is honoured by all replicas."""
    await connection.execute("DELETE FROM services WHERE service_id LIKE 'own-%'")
    await add_writers(connection, len(replicas) + 1)
    for stubs in replicas:
        # A replica refuses a revision from a run of the database that it does not know yet,
        # rather than wait for it.
        await assert_goes_on(stubs)
    reads = OwnReads(replicas)
    await asyncio.gather(
        *(
            write_by_rpc(stubs, at, reads, lambda: reads.writes >= ENOUGH)
            for at, stubs in enumerate(replicas)
        ),
        write_by_sql(url, len(replicas), reads, lambda: reads.writes >= ENOUGH),
    )
    assert reads.stale == 0
    return reads


async def assert_exact(stubs: Stubs, rows: Rows) -> None:
    """Fully consistent walks on a replica find exactly the tables' dependencies, all columns."""
    services, dependencies = rows
    walks = [
        graph.TraverseRequest(
            service_id=service.service_id,
            direction=graph.DIRECTION_DOWNSTREAM,
            max_depth=1,
            include_stale=True,
            consistency=FRESH,
        )
        for service in services.values()
    ]
    answer = await stubs.graph.BatchTraverse(
        graph.BatchTraverseRequest(requests=walks), timeout=PATIENCE_SECONDS
    )
    found: dict[str, Dependency] = {}
    for each in answer.responses:
        assert each.HasField("traversal"), each.error
        found.update({edge.id: edge for edge in each.traversal.dependencies})
        assert all(services[service.id] == service for service in each.traversal.services)
    assert found == dependencies


async def assert_begins_with(watcher: Watcher, rows: Rows) -> None:
    """A watcher that comes now is given what the tables hold."""
    assert (await watcher.batch()).event == RESET
    assert watcher.mirror.rows == rows
