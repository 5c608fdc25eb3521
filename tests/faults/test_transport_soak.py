"""
Fast callers of all kinds on either transport: every answer is right.

When they are gone, nothing of them may remain.

``--soak-seconds 600`` for a long run of each with figures; ``--seed`` to roll the same dice again.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import pytest

from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1.types_pb2 import Consistency
from server.config import TransportName
from server.domain.revision import Revision
from tests.support.eventually import PATIENCE_SECONDS, eventually
from tests.support.plain_sql import connected
from tests.support.process_figures import ProcessFigures, process_figures
from tests.support.raw_calls import Call, Request, connect
from tests.support.scene import Record
from tests.support.soak_client import SoakClient, soak_client
from tests.support.soak_graph import fill, writer_name
from tests.support.soak_questions import TRAVERSE, WATCH
from tests.support.soak_round import OK, described, is_for_want_of_room
from tests.support.workers import ManyWorkers, Metrics, many_workers

pytestmark = pytest.mark.costly

SHORT_SECONDS = 1.0
# A connection takes so many calls at once.
CALLS_A_CONNECTION = 100
MAX_CALLS, MAX_STREAMS = 2 * CALLS_A_CONNECTION, 60
LIMITS = (
    *("--max-concurrent-calls", str(MAX_CALLS)),
    *("--max-streaming-calls", str(MAX_STREAMS)),
    *("--max-question-bytes", "4096"),
)
GONE = ("running_calls", "waiting_calls", "unsent_bytes", "large_requests_bytes")
KINDS = (
    *("Traverse: OK", "BatchTraverse: OK", "GetComponent: OK", "GetDependency: OK", "Check: OK"),
    *("must fail: NOT_FOUND", "must fail: INVALID_ARGUMENT", "must fail: RESOURCE_EXHAUSTED"),
    *("must fail: UNIMPLEMENTED", "given up", "hardly any time: DEADLINE_EXCEEDED", "left behind"),
    *("write: OK", "write given up", "read of one's own write: OK", "read of what is written: OK"),
    *("stream: OK", "stream given up", "adjacency list: OK", "watch: batches", "watch given up"),
    *("official in time: OK", "official cancelled: CANCELLED", "channels closed", "crowd: OK"),
)
MOST_MORE_ROUNDS = 60
UNEXPECTED = {"Internal", "Unknown", "DataLoss"}
# A thread for slow work starts at first need, which may be late, while callers come and go by the
# thousand.
MOST_LATER_THREADS = min(32, (os.cpu_count() or 1) + 4)
# The allocator keeps or returns some MiB from round to round. A leaked object takes at least fifty
# bytes: one per sixth call of a long run would exceed this, as would four kilobytes a connection.
MOST_MORE_MIB = 32
CONNECTIONS = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass
class Soak:
    """A server and its callers, who come for a round and are all gone after it."""

    server: ManyWorkers
    database: asyncpg.Connection
    clients: Sequence[SoakClient]
    counts: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0

    async def round(self, seconds: float) -> ProcessFigures:
        """Let all call for so long, and look at the server once nothing runs any more."""
        began = time.perf_counter()
        ended = await asyncio.gather(*(client.call_for(seconds) for client in self.clients))
        self.seconds += time.perf_counter() - began
        for counts, faults in ended:
            self.counts.update(counts)
            assert faults == []
        await self.all_gone()
        return await self.figures()

    async def all_gone(self) -> None:
        """Wait until no call is left, running, waiting or unread."""
        await self.server.metrics_until(lambda figures: all(gauge(figures, name) == 0 for name in GONE))

    async def figures(self) -> ProcessFigures:
        """Measure the server's process, except its database connections, whose number varies."""
        figures = process_figures(self.server.process.pid)
        return figures._replace(descriptors=figures.descriptors - await self.database.fetchval(CONNECTIONS))

    def has_seen_enough(self) -> bool:
        """Whether every kind of call was made."""
        return all(self.counts[kind] for kind in KINDS)


def gauge(figures: Metrics, name: str) -> float:
    return figures[f"depgraph_rpc_{name}", frozenset()]


@pytest.mark.timeout(0)  # as long as the soak
async def test_fast_callers_get_right_answers_and_leave_nothing_behind(
    transport: TransportName, database_url: str, seed: int, soak_seconds: float | None, record: Record
) -> None:
    seconds, rounds, clients = (SHORT_SECONDS, 2, 1) if soak_seconds is None else (soak_seconds, 6, 2)
    arguments = ("--database-url", database_url, "--transport", transport, *LIMITS)
    async with AsyncExitStack() as stack:
        database = await stack.enter_async_context(connected(database_url))
        await fill(database, clients)
        server = await stack.enter_async_context(many_workers(*arguments, count=1))
        calling = [
            await stack.enter_async_context(soak_client(server.address, number, seed))
            for number in range(clients)
        ]
        soak = Soak(server, database, calling)
        # The first round makes what is made once: compiled code, the pool's connections, most
        # threads for slow work.
        start, *later = [await soak.round(seconds / rounds) for _ in range(rounds)]
        for _ in range(MOST_MORE_ROUNDS):
            if not soak.has_seen_enough():
                later.append(await soak.round(SHORT_SECONDS / 2))
        record({"transport soak": transport, "seed": seed} | summary(soak, start, *later))
        assert soak.has_seen_enough(), [kind for kind in KINDS if not soak.counts[kind]]
        async with asyncio.timeout(4 * PATIENCE_SECONDS):
            await assert_there_is_room_for_all(soak)
        await assert_takes_no_more(soak, start, later[-1])
        assert UNEXPECTED.isdisjoint(codes(await server.metrics()))
        assert errors_in(server) == []


def summary(soak: Soak, *figures: ProcessFigures) -> dict[str, Any]:
    calls = sum(soak.counts.values())
    return {
        "calls": calls,
        "seconds": round(soak.seconds, 1),
        "a second": round(calls / soak.seconds),
        "MiB after each round": [one.resident for one in figures],
        "descriptors": [one.descriptors for one in figures],
        "threads": [one.threads for one in figures],
        "counts": dict(sorted(soak.counts.items())),
    }


async def assert_takes_no_more(soak: Soak, start: ProcessFigures, end: ProcessFigures) -> None:
    """The server takes no more than after the first round."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (now := await soak.figures()).descriptors > start.descriptors:
            await asyncio.sleep(0.01)
    assert now.threads <= start.threads + MOST_LATER_THREADS
    assert end.resident - start.resident < MOST_MORE_MIB


def codes(figures: Metrics) -> set[str]:
    """The codes that any call ended with, as the server counts them."""
    return {dict(labels)["grpc_code"] for name, labels in figures if name == "grpc_server_handled_total"}


def errors_in(server: ManyWorkers) -> list[Any]:
    """What was logged as an error, and what was printed past the log."""
    printed = [line for line in server.said if "Traceback" in line and not line.startswith("{")]
    return printed + [record for record in server.records if record["level"] in {"error", "critical"}]


async def assert_there_is_room_for_all(soak: Soak) -> None:
    """As many calls and streams as there may be find room at once, and one more does not."""
    transaction = soak.database.transaction()
    await transaction.start()
    await soak.database.execute("UPDATE services SET team = team WHERE service_id = $1", writer_name(0))
    plain = await soak.database.fetchval("SELECT depgraph_feed.revision()")
    # They wait for what is not committed yet.
    waiting = waiting_for(Revision.of(plain).token)
    async with asked(soak, waiting, MAX_CALLS) as answered:
        await soak.server.metrics_until(lambda figures: gauge(figures, "running_calls") == MAX_CALLS)
        await assert_refused(soak, waiting)
        await transaction.commit()
        calls = await asyncio.gather(*answered)
    assert [described(call) for call in calls if call.code != OK] == []
    await soak.all_gone()
    begun: list[bytes] = []
    async with asked(soak, Request(WATCH, b""), MAX_STREAMS, begun.append):
        await eventually(lambda: len(begun) == MAX_STREAMS)
        await assert_refused(soak, Request(WATCH, b""))


def waiting_for(revision: str) -> Request:
    question = graph.TraverseRequest(
        service_id=writer_name(0),
        direction=graph.DIRECTION_DOWNSTREAM,
        consistency=Consistency(at_least_as_fresh=revision),
    )
    return Request(TRAVERSE, question.SerializeToString())


@asynccontextmanager
async def asked(
    soak: Soak, request: Request, count: int, came: Callable[[bytes], None] | None = None
) -> "AsyncIterator[list[asyncio.Task[Call]]]":
    """Make so many calls, on as few connections as they fit, which are closed in the end."""
    connections = [await connect(soak.server.address) for _ in range(0, count, CALLS_A_CONNECTION)]
    yield [
        asyncio.create_task(connections[place // CALLS_A_CONNECTION].call(request, came))
        for place in range(count)
    ]
    for connection in connections:
        connection.drop()


async def assert_refused(soak: Soak, request: Request) -> None:
    connection = await connect(soak.server.address)
    refused = await connection.call(request)
    assert is_for_want_of_room(refused), described(refused)
    connection.finish()
