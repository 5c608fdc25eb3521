"""Answers with effective dependencies yield to other tasks, and come from one snapshot."""

import asyncio
import weakref
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import pytest

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import ChangeSet, DependencyGraph, DependencyRecord, ServiceRecord
from server import wire
from server.concurrency import CooperativeYield
from server.domain.dependencies import DependencyRow, DiscoverySource
from server.domain.live_graph import Freshness
from server.domain.records import flags_of
from server.domain.services import Service
from server.rpc import answers
from server.rpc.graph import parts, traverse
from server.rpc.graph.parts import traverse_stream
from server.rpc.graph.traverse import freshness_field, sliced_answer, traverse_question

NOW = datetime(2026, 1, 1, tzinfo=UTC)
FRESHNESS = Freshness("revision", timedelta(milliseconds=3))
ASKED = traverse_question(
    pb.TraverseRequest(service_id="service 0", direction=pb.DIRECTION_DOWNSTREAM, effective=True)
)
TARGETS = 40


@pytest.fixture(autouse=True)
def others_run_after_every_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (answers, traverse, parts):
        monkeypatch.setattr(module, "CooperativeYield", partial(CooperativeYield, length=0.0))


def fan() -> DependencyGraph:
    """A service that calls so many others, each call reported twice."""
    services = [
        Service(
            UUID(int=place),
            f"service {place}",
            "{}",
            "medium",
            None,
            discovered=True,
            created_at=NOW,
            updated_at=NOW,
        )
        for place in range(TARGETS + 1)
    ]
    sources: tuple[DiscoverySource, ...] = ("manual", "kubernetes")
    return DependencyGraph.from_records(
        [
            ServiceRecord(row.id, row.service_id, wire.service_record(row), wire.encoded_id(row.service_id))
            for row in services
        ],
        [dependency(place, source) for place in range(1, TARGETS + 1) for source in sources],
    )


def dependency(place: int, source: DiscoverySource) -> DependencyRecord:
    row = DependencyRow(
        UUID(int=1_000 * place + len(source)),
        UUID(int=0),
        UUID(int=place),
        "sync",
        "hard",
        protocol=None,
        timeout_ms=None,
        retry_config=None,
        discovery_source=source,
        confidence_score=1.0,
        last_observed_at=NOW,
        is_stale=False,
        created_at=NOW,
        updated_at=NOW,
    )
    flags = flags_of(row)
    assert flags is not None
    record = wire.dependency_record(row, "service 0", f"service {place}")
    return DependencyRecord(row.id, row.source, row.target, flags, 1.0, record)


def emptied(graph: DependencyGraph) -> None:
    graph.apply(ChangeSet(removed_services=list(graph.service_keys)))


async def test_changes_made_while_an_answer_is_encoded_are_not_in_it() -> None:
    graph = fan()
    expected = await sliced_answer(graph, ASKED, FRESHNESS, 2**30)
    assert len(pb.TraverseResponse.FromString(expected).effective_dependencies) == TARGETS
    answering = asyncio.create_task(sliced_answer(graph, ASKED, FRESHNESS, 2**30))
    await asyncio.sleep(0)
    assert not answering.done()
    emptied(graph)
    assert await answering == expected


async def test_an_answer_that_is_being_encoded_does_not_keep_the_queue_of_walks_alive() -> None:
    graph = fan()
    queue = weakref.ref(graph.index.walks.queue)
    answering = asyncio.create_task(sliced_answer(graph, ASKED, FRESHNESS, 2**30))
    await asyncio.sleep(0)
    graph.index.walks.renew()
    assert not answering.done()
    assert queue() is None
    await answering


async def test_a_stream_continues_over_the_snapshot_it_began_with() -> None:
    graph = fan()
    parts = traverse_stream(graph, ASKED, freshness_field(FRESHNESS), 2_000)
    emptied(graph)
    answered = [pb.StreamTraverseResponse.FromString(part) async for part in parts]
    assert sum(len(part.effective_dependencies) for part in answered) == TARGETS
    assert sum(len(part.services) for part in answered) == TARGETS
    assert max(part.ByteSize() for part in answered) <= 2_000
