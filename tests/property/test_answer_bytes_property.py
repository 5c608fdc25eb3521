"""Answers joined from records equal messages of the generated code, built by a plain search."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1 import types_pb2
from graphcore import DependencyGraph
from server.domain.errors import ServiceNotFoundError
from server.domain.live_graph import Consistency, Freshness, Reading
from server.domain.revision import Revision
from server.rpc.errors import status_of
from server.rpc.graph.batch_traverse import batch_traverse
from server.rpc.graph.parts import traverse_stream
from server.rpc.graph.traverse import freshness_field, sliced_answer, traverse_answer, traverse_question
from tests.support import effective, oracle
from tests.support.answered import WholeTables, whole
from tests.support.examples import examples
from tests.support.graphs import filters, tables
from tests.support.rows import PlainFilter, PlainService, Tables
from tests.support.wire_rows import dependencies, services, texts

LIMIT = 2**30
DIRECTIONS = {
    "downstream": pb.DIRECTION_DOWNSTREAM,
    "upstream": pb.DIRECTION_UPSTREAM,
    "both": pb.DIRECTION_BOTH,
}
freshness_values = st.builds(
    Freshness,
    texts,
    st.timedeltas(timedelta(0), timedelta(days=30_000)) | st.just(timedelta(seconds=7)),
)


class Asked(NamedTuple):
    """A question in the words of the oracle, and as a request."""

    start: PlainService
    direction: str
    max_depth: int
    chosen: PlainFilter
    full: bool
    max_services: int
    effective: bool

    def request(self) -> pb.TraverseRequest:
        """Put it as a caller does."""
        chosen = self.chosen
        return pb.TraverseRequest(
            service_id=self.start.name,
            direction=DIRECTIONS[self.direction],
            max_depth=self.max_depth,
            include_stale=chosen.include_stale,
            filter=pb.EdgeFilter(
                communication_modes=_enum(types_pb2.CommunicationMode, "COMMUNICATION_MODE_", chosen.modes),
                criticalities=_enum(
                    types_pb2.DependencyCriticality, "DEPENDENCY_CRITICALITY_", chosen.criticalities
                ),
                discovery_sources=_enum(types_pb2.DiscoverySource, "DISCOVERY_SOURCE_", chosen.discoveries),
                min_confidence=chosen.min_confidence,
            ),
            view=pb.TRAVERSAL_VIEW_FULL if self.full else pb.TRAVERSAL_VIEW_IDS,
            max_services=self.max_services,
            effective=self.effective,
        )


class Live:
    """A graph that never changes."""

    def __init__(self, graph: DependencyGraph, freshness: Freshness) -> None:
        self._graph = graph
        self._freshness = freshness

    @property
    def position(self) -> None:
        return None

    def now(self) -> DependencyGraph:
        return self._graph

    def holds(self, revision: Revision) -> bool:  # noqa: ARG002 - the port's
        return True

    @asynccontextmanager
    async def hold(self, reading: Reading) -> AsyncIterator[Reading]:
        yield reading

    async def at(self, wanted: Consistency, within: timedelta | None) -> Reading:  # noqa: ARG002 - the port's
        return Reading(self._graph, self._freshness)

    def freshness(self) -> Freshness:
        return self._freshness

    def status(self) -> Any:
        raise NotImplementedError


def _enum(enum: Any, prefix: str, words: frozenset[str]) -> list[Any]:
    return [enum.Value(prefix + word.upper()) for word in sorted(words)]


@st.composite
def whole_tables(draw: st.DrawFn) -> WholeTables:
    """Tables whose services have names of all sorts and lengths."""
    plain = draw(tables(max_services=draw(st.sampled_from([3, 10])), max_edges=25))
    suffixes = draw(st.lists(texts | st.just("x" * 130), min_size=1, max_size=4))
    named = {
        key: PlainService(key, service.name + suffixes[place % len(suffixes)])
        for place, (key, service) in enumerate(plain.services.items())
    }
    return whole(
        Tables(named, plain.edges),
        draw(st.lists(services, min_size=1, max_size=3)),
        draw(st.lists(dependencies, min_size=1, max_size=3)),
    )


@st.composite
def questions(draw: st.DrawFn, rows: WholeTables) -> Asked:
    return Asked(
        draw(st.sampled_from(list(rows.plain.services.values()))),
        draw(st.sampled_from(list(DIRECTIONS))),
        draw(st.integers(1, 10)),
        draw(filters()),
        draw(st.booleans()),
        draw(st.just(0) | st.integers(1, 8)),
        draw(st.booleans()),
    )


def expected(rows: WholeTables, asked: Asked, returned: pb.TraverseResponse) -> pb.TraverseResponse:
    """Build the answer without freshness; only the order within a depth comes from the real one."""
    reached = effective.reached if asked.effective else oracle.reached
    found = reached(rows.plain, asked.start.key, asked.direction, asked.max_depth, asked.chosen)
    order = _order(found.depths, returned.service_ids)
    truncated = 0 < asked.max_services < len(order)
    edges = found.edges
    if truncated:
        order = _order(found.depths, returned.service_ids)[: asked.max_services]
        edges = oracle.edges_within(rows.plain, edges, {asked.start.name, *order})
    places = {dependency.id: place for place, dependency in enumerate(returned.dependencies)}
    listed = [] if asked.effective else sorted(edges, key=lambda key: places.get(str(key), -1))
    message = rows.answer(order, found.depths, listed, full=asked.full)
    message.truncated = truncated
    if asked.effective and asked.full:
        message.effective_dependencies.extend(_effective(rows, asked, edges, returned))
    return message


def _effective(
    rows: WholeTables, asked: Asked, leads: set[UUID], returned: pb.TraverseResponse
) -> list[types_pb2.EffectiveDependency]:
    """Merge the pairs of these edges, in the order of the answer."""
    pairs = effective.taking_part(rows.plain, asked.chosen)
    found = {}
    for key in leads:
        edge = rows.plain.edges[key]
        merged = effective.effective_of(rows.messages(other.key for other in pairs[edge.source, edge.target]))
        found[merged.source_service_id, merged.target_service_id] = merged
    order = [(each.source_service_id, each.target_service_id) for each in returned.effective_dependencies]
    return [found.pop(pair) for pair in order] + list(found.values())


def _order(depths: dict[str, int], returned: Sequence[str]) -> list[str]:
    """Sort services by depth, those of one depth as in the answer."""
    places = {name: place for place, name in enumerate(returned)}
    return sorted(depths, key=lambda name: (depths[name], places.get(name, len(places))))


def freshness_message_of(freshness: Freshness) -> types_pb2.Freshness:
    message = types_pb2.Freshness(revision=freshness.revision)
    message.lag.FromTimedelta(freshness.lag)
    return message


@examples(150)
@given(st.data(), whole_tables(), freshness_values)
async def test_an_answer_is_what_the_generated_code_would_have_built(
    data: st.DataObject, rows: WholeTables, freshness: Freshness
) -> None:
    asked = data.draw(questions(rows))
    graph, question = rows.graph(), traverse_question(asked.request())
    if asked.effective:
        raw = await sliced_answer(graph, question, freshness, LIMIT)
    else:
        raw = traverse_answer(graph, question, freshness, LIMIT)
    returned = pb.TraverseResponse.FromString(raw)
    message = expected(rows, asked, returned)
    message.freshness.CopyFrom(freshness_message_of(freshness))
    assert returned == message
    assert len(raw) == message.ByteSize()


@examples(80)
@given(st.data(), whole_tables(), freshness_values, st.integers(200, 2_000))
async def test_the_parts_of_a_stream_are_the_answer_cut_up(
    data: st.DataObject, rows: WholeTables, freshness: Freshness, max_bytes: int
) -> None:
    asked = data.draw(questions(rows))
    graph, request = rows.graph(), asked.request()
    parts = traverse_stream(graph, traverse_question(request), freshness_field(freshness), max_bytes)
    raw = [part async for part in parts]
    returned = pb.TraverseResponse.FromString(b"".join(raw))
    message = expected(rows, asked, returned)
    message.freshness.CopyFrom(freshness_message_of(freshness))
    assert returned == message
    for part in map(pb.StreamTraverseResponse.FromString, raw):
        records = len(part.service_ids) + len(part.dependencies) + len(part.effective_dependencies)
        assert part.ByteSize() <= max_bytes or records == 1
        assert part.truncated == message.truncated


@examples(80)
@given(st.data(), whole_tables(), freshness_values)
async def test_a_batch_is_its_answers_side_by_side(
    data: st.DataObject, rows: WholeTables, freshness: Freshness
) -> None:
    asked = data.draw(st.lists(questions(rows), max_size=4))
    requests = [one.request() for one in asked] + [
        pb.TraverseRequest(service_id="nobody", direction=pb.DIRECTION_BOTH)
    ]
    graph = rows.graph()
    batch = pb.BatchTraverseRequest(requests=requests)
    raw = await batch_traverse(Live(graph, freshness), batch, LIMIT, lambda: None)
    returned = pb.BatchTraverseResponse.FromString(raw)
    said = freshness_message_of(freshness)
    message = pb.BatchTraverseResponse(freshness=said)
    for one, result in zip(asked, returned.responses, strict=False):
        single = expected(rows, one, result.traversal)
        single.freshness.CopyFrom(said)
        message.responses.add(traversal=single)
    missing = ServiceNotFoundError("no service named 'nobody'", service_id="nobody")
    message.responses.add(error=status_of(missing))
    assert returned == message
