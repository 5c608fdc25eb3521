"""GraphService: answers from memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeAlias

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import adjacency
from server.concurrency import SharedComponentSearch
from server.config import Limits
from server.domain.live_graph import Consistency, LiveGraph, MinimizeLatency, Reading
from server.rpc.answers import freshness_message
from server.rpc.context import Context, begin_answer, time_left
from server.rpc.graph.batch_traverse import batch_traverse
from server.rpc.graph.components import (
    ComponentReader,
    component_answer,
    component_question,
    components_answer,
    components_question,
)
from server.rpc.graph.map import drawn_map, map_answer, map_question
from server.rpc.graph.map_places import MapPlaces
from server.rpc.graph.neighbourhood import neighbourhood_answer
from server.rpc.graph.neighbourhood_question import neighbourhood_question
from server.rpc.graph.parts import adjacency_messages, traverse_stream
from server.rpc.graph.search import search_answer, search_question
from server.rpc.graph.status import ServerStatus
from server.rpc.graph.traverse import freshness_field, sliced_answer, traverse_answer, traverse_question
from server.rpc.graph.watch import WatchedGraph, WatchParts, watched_since
from server.rpc.past_answers import of_then
from server.rpc.questions import FROM_MEMORY, consistency, resolved_field
from server.rpc.validate import Check

# The bytes of a message.
Answer: TypeAlias = bytes


class GraphServicer:
    """
    Answers from the live graph, with messages or with the bytes of messages.

    Handlers await nothing between ``LiveGraph.at`` and the last read of graph and freshness, so an
    answer comes from one snapshot. They may await while they encode what they have read.
    """

    def __init__(
        self,
        live: LiveGraph,
        watched: WatchedGraph,
        limits: Limits,
        component_search: SharedComponentSearch,
        status: ServerStatus,
    ) -> None:
        self._live = live
        self._watched = watched
        self._watch_parts = WatchParts(limits.max_part_bytes)
        self._components = ComponentReader(live, component_search)
        self._status = status
        self._places = MapPlaces()
        self._max_part = limits.max_part_bytes
        self._max_response = limits.max_response_bytes

    def Traverse_at_once(self, request: pb.TraverseRequest) -> Answer | None:
        """Answer ``Traverse`` without waiting; None = the question needs to wait."""
        question = traverse_question(request)
        if question.effective or question.consistency is not FROM_MEMORY:
            return None
        return traverse_answer(self._live.now(), question, self._live.freshness(), self._max_response)

    async def Traverse(self, request: pb.TraverseRequest, context: Context) -> Answer:
        """Walk from a service; the answer is one message."""
        question = traverse_question(request)
        reading = await self._reading(question.consistency, context)
        answer = await sliced_answer(reading.graph, question, reading.freshness, self._max_response)
        return await of_then(answer, pb.TraverseResponse, reading.freshness)

    async def StreamTraverse(
        self, request: pb.StreamTraverseRequest, context: Context
    ) -> AsyncIterator[Answer]:
        """Walk from a service; the answer comes in parts."""
        question = traverse_question(request)
        reading = await self._reading(question.consistency, context)
        freshness = freshness_field(reading.freshness)
        async for part in traverse_stream(reading.graph, question, freshness, self._max_part):
            yield await of_then(part, pb.StreamTraverseResponse, reading.freshness)

    async def BatchTraverse(self, request: pb.BatchTraverseRequest, context: Context) -> Answer:
        """Walk from many services over one snapshot."""
        return await batch_traverse(self._live, request, self._max_response, partial(time_left, context))

    async def GetAdjacencyList(
        self, request: pb.GetAdjacencyListRequest, context: Context
    ) -> AsyncIterator[Answer]:
        """Stream each service with the services it calls directly."""
        check = Check()
        wanted = consistency(check, request.consistency)
        check.done()
        reading = await self._reading(wanted, context)
        pairs = adjacency(reading.graph, include_stale=request.include_stale)
        freshness = freshness_message(reading.freshness)
        for message in adjacency_messages(pairs, freshness, self._max_part):
            yield message

    async def ListComponents(self, request: pb.ListComponentsRequest, context: Context) -> Answer:
        """List strongly connected components, largest first."""
        question = components_question(request)
        listed, freshness = await self._components.largest_first(
            question.min_size, question.consistency, partial(time_left, context)
        )
        return components_answer(listed, question, freshness_message(freshness), self._max_response)

    async def GetComponent(self, request: pb.GetComponentRequest, context: Context) -> Answer:
        """Return the component of a service, with all members or page by page."""
        question = component_question(request)
        asked = question.service_id
        found, own, freshness = await self._components.of(
            asked, question.consistency, partial(time_left, context)
        )
        answer = component_answer(found, question, freshness_message(freshness), self._max_response)
        return answer + resolved_field(pb.GetComponentResponse, [asked], [own])

    # Writes by itself: the watch has to interrupt a write to a watcher that does not read.
    async def Watch(self, request: pb.WatchRequest, context: Context) -> None:
        """Stream changes until the caller ends the call."""
        since = watched_since(request)
        async with self._watched.watch(since, include_state=request.include_state) as batches:
            await begin_answer(context)
            async for batch in batches:
                async for part in self._watch_parts.of(batch):
                    await context.write(part)

    async def SearchServices(self, request: pb.SearchServicesRequest, context: Context) -> Answer:
        """Find services by a piece of their name."""
        question = search_question(request)
        async with self._held(question.consistency, context) as held:
            answer = await search_answer(held.graph, question, held.freshness, self._max_response)
        return await of_then(answer, pb.SearchServicesResponse, held.freshness)

    async def GetNeighbourhood(self, request: pb.GetNeighbourhoodRequest, context: Context) -> Answer:
        """Return what a picture around a service shows."""
        question = neighbourhood_question(request)
        async with self._held(question.consistency, context) as held:
            answer = await neighbourhood_answer(held.graph, question, held.freshness, self._max_response)
        return await of_then(answer, pb.GetNeighbourhoodResponse, held.freshness)

    async def GetMap(self, request: pb.GetMapRequest, context: Context) -> Answer:
        """Return what a picture of the whole graph shows."""
        question = map_question(request)
        async with self._held(question.consistency, context) as held:
            drawn = await drawn_map(held.graph, question)
        answer = await map_answer(drawn, question, held.freshness, self._max_response, self._places)
        return await of_then(answer, pb.GetMapResponse, held.freshness)

    async def GetStatus(self, request: pb.GetStatusRequest, context: Context) -> pb.GetStatusResponse:
        """Report size and freshness of the graph, and health of the server."""
        with self._status.explaining():
            reading = await self._live.at(MinimizeLatency(), time_left(context))
        return self._status.message(reading.graph, self._live.status(), reading.freshness)

    async def _reading(self, wanted: Consistency, context: Context) -> Reading:
        if wanted is FROM_MEMORY:
            return Reading(self._live.now(), self._live.freshness())
        return await self._live.at(wanted, time_left(context))

    @asynccontextmanager
    async def _held(self, wanted: Consistency, context: Context) -> AsyncIterator[Reading]:
        """Hold a graph as fresh as wanted, for what awaits while it reads."""
        reading = await self._live.at(wanted, time_left(context))
        async with self._live.hold(reading) as held:
            yield held
