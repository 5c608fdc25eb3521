"""GraphService: answers from memory."""

from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import TypeAlias

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import Component, DependencyGraph, adjacency
from server.concurrency.component_search import SharedComponentSearch
from server.config import Limits
from server.domain.consistency import Consistency, MinimizeLatency
from server.domain.detection import DetectionStatus
from server.domain.errors import NotReadyError
from server.domain.health import FeedHealth
from server.domain.workers import Peers
from server.rpc import encode, enums
from server.rpc.answer_fields import freshness_message, traverse_freshness
from server.rpc.context import Context, begin_answer, time_left
from server.rpc.decode_graph import (
    FROM_MEMORY,
    component_question,
    consistency,
    traverse_question,
    watched_since,
)
from server.rpc.graph.adjacency_messages import adjacency_messages
from server.rpc.graph.batch_traverse import batch_traverse
from server.rpc.graph.component_reader import ComponentReader
from server.rpc.graph.components import (
    component_answer,
    component_page,
    component_page_answer,
    components_answer,
    listed_record,
)
from server.rpc.graph.effective_answer import effective_answer, traverse_stream
from server.rpc.graph.traverse import traverse_answer
from server.rpc.graph.traverse_requests import question_of
from server.rpc.graph.watch import WatchParts
from server.rpc.methods import at_once, takes_bytes
from server.rpc.paging import ComponentKey, PageTokens, fitted_page, page_size
from server.rpc.ports import LiveGraph, WatchedGraph
from server.rpc.validate import Check

_DEFAULT_MIN_SIZE = 2

# The bytes of a message, ready to be sent.
Answer: TypeAlias = bytes


class GraphServicer:
    """
    Answers from the live graph, with messages or with the bytes of messages.

    Between ``LiveGraph.at`` and the end of what is read from graph and freshness nothing is awaited, so that an answer comes from
    one snapshot; encoding may await, since what was read can't change.
    """

    def __init__(
        self,
        live: LiveGraph,
        watched: WatchedGraph,
        limits: Limits,
        *,
        started_at: datetime,
        version: str,
        transport: str,
        health: Callable[[], FeedHealth],
        peers: Peers,
        component_search: SharedComponentSearch,
        detection: Callable[[], DetectionStatus],
    ) -> None:
        self._live = live
        self._watched = watched
        self._watch_parts = WatchParts(limits.max_part_bytes)
        self._components = ComponentReader(live, component_search)
        self._detection = detection
        self._limits = limits
        self._max_response = limits.max_response_bytes
        self._started_at = started_at
        self._version = version
        self._transport = transport
        self._health = health
        self._peers = peers

    def _traversed_at_once(self, request: bytes) -> Answer | None:
        question = question_of(request)
        if question.effective or question.consistency is not FROM_MEMORY:
            return None
        return traverse_answer(self._live.now(), question, self._live.freshness(), self._max_response)

    @takes_bytes
    @at_once(_traversed_at_once)
    async def Traverse(self, request: bytes, context: Context) -> Answer:
        """Walk from a service; the answer is one message."""
        question, live = question_of(request), self._live
        wanted = question.consistency
        graph = live.now() if wanted is FROM_MEMORY else await live.at(wanted, time_left(context))
        if question.effective:
            return await effective_answer(graph, question, live.freshness(), self._max_response)
        return traverse_answer(graph, question, live.freshness(), self._max_response)

    async def StreamTraverse(
        self, request: pb.StreamTraverseRequest, context: Context
    ) -> AsyncIterator[Answer]:
        """Walk from a service; the answer comes in parts."""
        question = traverse_question(request)
        graph = await self._graph(question.consistency, context)
        freshness = traverse_freshness(self._live.freshness())
        async for part in traverse_stream(graph, question, freshness, self._limits.max_part_bytes):
            yield part

    async def BatchTraverse(self, request: pb.BatchTraverseRequest, context: Context) -> Answer:
        """Walk from many services over one snapshot."""
        return await batch_traverse(self._live, request, self._max_response, lambda: time_left(context))

    async def GetAdjacencyList(
        self, request: pb.GetAdjacencyListRequest, context: Context
    ) -> AsyncIterator[Answer]:
        """Stream the services with what they call directly."""
        check = Check()
        wanted = consistency(check, request.consistency)
        check.done()
        pairs = adjacency(await self._graph(wanted, context), include_stale=request.include_stale)
        freshness = freshness_message(self._live.freshness())
        for message in adjacency_messages(pairs, freshness, self._limits.max_part_bytes):
            yield message

    async def ListComponents(self, request: pb.ListComponentsRequest, context: Context) -> Answer:
        """List strongly connected components, largest first."""
        check = Check()
        min_size = check.at_least("min_size", request.min_size, 0) or _DEFAULT_MIN_SIZE
        tokens = PageTokens("components", min_size)
        size, after = page_size(check, request.page_size), tokens.component(check, request.page_token)
        wanted = consistency(check, request.consistency)
        check.done()
        listed, freshness = await self._components.largest_first(
            min_size, wanted, partial(time_left, context)
        )
        record = partial(listed_record, max_bytes=self._max_response)
        page, following = fitted_page(*_page_of(listed, size, after), record, _key_of, self._max_response)
        token = tokens.of_component(following)
        return components_answer(page, token, len(listed), freshness_message(freshness))

    async def GetComponent(self, request: pb.GetComponentRequest, context: Context) -> Answer:
        """Tell which component a service is in; its members all at once, or page by page."""
        asked = component_question(request)
        found, freshness = await self._components.of(
            asked.service_id, asked.consistency, partial(time_left, context)
        )
        if not asked.page_size:
            return component_answer(found, freshness_message(freshness), self._max_response)
        record, last = component_page(found, asked.page_size, asked.after, self._max_response)
        return component_page_answer(record, asked.tokens.of_name(last), freshness_message(freshness))

    # Writes by itself, since a write that nobody reads has to be interrupted from inside the watch.
    async def Watch(self, request: pb.WatchRequest, context: Context) -> None:
        """Stream changes until the caller has enough of them."""
        since = watched_since(request)
        async with self._watched.watch(since, include_state=request.include_state) as batches:
            await begin_answer(context)
            async for batch in batches:
                async for part in self._watch_parts.of(batch):
                    await context.write(part)

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        """Tell how large and how fresh the graph is."""
        health = self._health()
        with _reason_why_not_ready(health):
            graph = await self._live.at(MinimizeLatency(), time_left(context))
        status = self._live.status()
        return pb.GetStatusResponse(
            service_count=graph.service_count,
            dependency_count=graph.dependency_count,
            stale_dependency_count=graph.stale_count,
            waiting_dependency_count=graph.waiting_count,
            feed_state=enums.FEED_STATE.number[status.feed_state.value],
            warm_duration=encode.duration(status.warm_duration),
            warm_count=status.warm_count,
            last_ingestions=[encode.ingestion(ingestion) for ingestion in status.ingestions],
            server_version=self._version,
            transport=self._transport,
            start_time=encode.timestamp(self._started_at),
            freshness=encode.freshness(self._live.freshness()),
            problems=health.problems,
            last_audit=None if health.last_audit is None else encode.audit(health.last_audit),
            change_log_rows=health.change_log_rows,
            worker=self._peers.number,
            worker_count=self._peers.count,
            detection=encode.detection(self._detection()),
        )

    async def _graph(self, wanted: Consistency, context: Context) -> DependencyGraph:
        if isinstance(wanted, MinimizeLatency):
            return self._live.now()
        return await self._live.at(wanted, time_left(context))


@contextmanager
def _reason_why_not_ready(health: FeedHealth) -> Iterator[None]:
    try:
        yield
    except NotReadyError as error:
        unsaid = [problem for problem in health.problems if problem not in error.message]
        raise NotReadyError("; ".join([error.message, *unsaid])) from None


def _key_of(component: Component) -> ComponentKey:
    return ComponentKey(component.size, component.members[0])


def _page_of(
    listed: list[Component], size: int, after: ComponentKey | None
) -> tuple[list[Component], ComponentKey | None]:
    """Cut the page that follows a key out of components that are sorted by falling size, then first member."""
    start = 0
    if after is not None:
        position = (-after.size, after.first_member)
        start = bisect_right(listed, position, key=lambda component: (-component.size, component.members[0]))
    page = listed[start : start + size]
    is_last = start + size >= len(listed)
    return page, None if is_last else _key_of(page[-1])
