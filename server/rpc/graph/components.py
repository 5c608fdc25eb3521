"""Strongly connected components: the questions, the search, answers from encoded records."""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import accumulate, islice
from typing import NamedTuple

from depgraph.v1 import graph_service_pb2 as pb
from graphcore import Component
from server.concurrency import SharedComponentSearch
from server.domain.alerts import MOST_MEMBERS
from server.domain.live_graph import Consistency, Freshness, LiveGraph, Reading
from server.rpc.answers import VARINT, tag, too_large
from server.rpc.context import TimeLeft
from server.rpc.paging import (
    COMPONENTS,
    NAMES,
    PAGE_OVERHEAD,
    ComponentKey,
    PageTokens,
    fitted_page,
    page_size,
)
from server.rpc.questions import FROM_MEMORY, consistency, is_name, own_names
from server.rpc.validate import Check
from server.wire.fields import field, varint

_DEFAULT_MIN_SIZE = 2
_MAX_MEMBERS = 100_000
# The tag and the length of a name.
_MEMBER_OVERHEAD_BYTES = 2

_COMPONENT = tag(pb.GetComponentResponse, "component")
_FRESHNESS = tag(pb.GetComponentResponse, "freshness")
_TOKEN = tag(pb.GetComponentResponse, "next_page_token")
_MEMBER = tag(pb.Component, "members")
_SIZE = tag(pb.Component, "size", VARINT)
_EDGE_COUNT = tag(pb.Component, "edge_count", VARINT)
_IS_CYCLE = tag(pb.Component, "is_cycle", VARINT) + b"\x01"
# ``components`` has the number of ``GetComponentResponse.component``, so a record serves both.
_LIST_TOKEN = tag(pb.ListComponentsResponse, "next_page_token")
_LIST_TOTAL = tag(pb.ListComponentsResponse, "total_count", VARINT)
_LIST_FRESHNESS = tag(pb.ListComponentsResponse, "freshness")


class ComponentQuestion(NamedTuple):
    """The component of a service, with at most ``page_size`` members (0 = all) after ``after``."""

    service_id: str
    consistency: Consistency
    page_size: int = 0
    after: str = ""

    @property
    def tokens(self) -> PageTokens[str]:
        """The tokens of its pages."""
        return PageTokens("members", self.service_id, NAMES)


def component_question(request: pb.GetComponentRequest) -> ComponentQuestion:
    """Read a request; raises ``InvalidInputError``."""
    name = request.service_id
    # Most requests are this plain, and this look costs a tenth of the full checks.
    if not (request.HasField("consistency") or request.page_size or request.page_token) and is_name(name):
        return ComponentQuestion(name, FROM_MEMORY)
    check = Check()
    check.text("service_id", name)
    size = check.number("page_size", request.page_size, 0, _MAX_MEMBERS, "0 = all")
    after = PageTokens("members", name, NAMES).read(check, request.page_token) or ""
    wanted = consistency(check, request.consistency)
    check.done()
    return ComponentQuestion(name, wanted, size, after)


class ComponentsQuestion(NamedTuple):
    """A page of the components of at least ``min_size`` services, after the component of a key."""

    min_size: int
    page_size: int
    after: ComponentKey | None
    consistency: Consistency
    tokens: PageTokens[ComponentKey]


def components_question(request: pb.ListComponentsRequest) -> ComponentsQuestion:
    """Read a request; raises ``InvalidInputError``."""
    check = Check()
    min_size = check.at_least("min_size", request.min_size, 0) or _DEFAULT_MIN_SIZE
    tokens = PageTokens("components", min_size, COMPONENTS)
    size, after = page_size(check, request.page_size), tokens.read(check, request.page_token)
    wanted = consistency(check, request.consistency)
    check.done()
    return ComponentsQuestion(min_size, size, after, wanted, tokens)


def component_answer(
    component: Component, question: ComponentQuestion, freshness: bytes, max_bytes: int
) -> bytes:
    """Encode a ``GetComponentResponse``; raises ``ResponseTooLargeError`` for too many members."""
    if question.page_size:
        record, last = component_page(component, question.page_size, question.after, max_bytes)
        token = question.tokens.write(last)
        return record + field(_FRESHNESS, freshness) + (field(_TOKEN, token.encode()) if token else b"")
    if _may_fit(component, max_bytes):
        record = component_record(component)
        if len(record) + len(freshness) <= max_bytes:
            return record + field(_FRESHNESS, freshness)
    raise too_large(f"{component.size:,} members", max_bytes, "ask for them page by page (page_size)")


def component_page(component: Component, size: int, after: str, max_bytes: int) -> tuple[bytes, str]:
    """
    Encode a component with at most ``size`` members after a name, as far as they fit ``max_bytes``.

    Returns the last of these names too, empty if no members follow it. O(log members + size).
    """
    first = bisect_right(component.members, after) if after else 0
    fields = [field(_MEMBER, name.encode()) for name in component.members[first : first + size]]
    room = max_bytes - PAGE_OVERHEAD
    # One name fits any answer.
    fitting = max(1, sum(total <= room for total in accumulate(map(len, fields))))
    last = first + fitting - 1
    following = component.members[last] if last + 1 < component.size else ""
    return _record(component, b"".join(islice(fields, fitting))), following


def components_answer(
    listed: Sequence[Component], question: ComponentsQuestion, freshness: bytes, max_bytes: int
) -> bytes:
    """
    Encode the ``ListComponentsResponse`` of a page. O(log listed + page).

    ``listed`` are all components, by falling size, then first member.
    """
    start = 0
    if (after := question.after) is not None:
        position = (-after.size, after.first_member)
        start = bisect_right(listed, position, key=lambda component: (-component.size, component.members[0]))
    end = start + question.page_size
    page = listed[start:end]
    records, following = fitted_page(
        page,
        _key_of(page[-1]) if end < len(listed) else None,
        lambda component: listed_record(component, max_bytes),
        _key_of,
        max_bytes,
    )
    token = question.tokens.write(following)
    return b"".join(
        (
            *records,
            field(_LIST_TOKEN, token.encode()) if token else b"",
            _LIST_TOTAL + varint(len(listed)) if listed else b"",
            field(_LIST_FRESHNESS, freshness),
        )
    )


def _key_of(component: Component) -> ComponentKey:
    return ComponentKey(component.size, component.members[0])


def listed_record(component: Component, max_bytes: int) -> bytes:
    """Encode a component; if it does not fit, with its first ``MOST_MEMBERS`` members only."""
    room = max_bytes - PAGE_OVERHEAD
    if _may_fit(component, room) and len(record := component_record(component)) <= room:
        return record
    return component_page(component, MOST_MEMBERS, "", max_bytes)[0]


def component_record(component: Component) -> bytes:
    """Encode a component as a field of the answers; O(members) once, then O(1)."""
    memo = component.memo
    if not isinstance(memo.whole, bytes):
        memo.whole = _record(component, _members(component))
    return memo.whole


def _may_fit(component: Component, max_bytes: int) -> bool:
    """Return False if it can't fit, without encoding it: a character takes a byte or more."""
    if isinstance(component.memo.whole, bytes):
        return True
    least = component.size * _MEMBER_OVERHEAD_BYTES
    return least <= max_bytes and least + sum(map(len, component.members)) <= max_bytes


def _record(component: Component, members: bytes) -> bytes:
    edge_count = component.edge_count
    return field(
        _COMPONENT,
        b"".join(
            (
                members,
                _SIZE + varint(component.size),
                _EDGE_COUNT + varint(edge_count) if edge_count else b"",
                _IS_CYCLE if component.is_cycle else b"",
            )
        ),
    )


def _members(component: Component) -> bytes:
    memo = component.memo
    if not isinstance(memo.members, bytes):
        memo.members = b"".join([field(_MEMBER, name.encode()) for name in component.members])
    return memo.members


class ComponentReader:
    """Reads components as fresh as wanted; long work runs in a thread under the read lock."""

    def __init__(self, live: LiveGraph, searches: SharedComponentSearch) -> None:
        self._live = live
        self._searches = searches

    async def of(
        self, service_id: str, wanted: Consistency, time_left: TimeLeft
    ) -> tuple[Component, str, Freshness]:
        """
        Look up a service's component, and its own name.

        O(members log members) once after a change.
        """
        reading = await self._searched(wanted, time_left)
        graph = reading.graph
        [own] = own_names(graph, service_id)
        if graph.components.is_named(graph.node(own)):
            return graph.component_of(own), own, reading.freshness
        async with self._held(wanted, time_left) as held:
            [own] = own_names(held.graph, service_id)
            found = await asyncio.to_thread(held.graph.component_of, own)
            return found, own, held.freshness

    async def largest_first(
        self, min_size: int, wanted: Consistency, time_left: TimeLeft
    ) -> tuple[list[Component], Freshness]:
        """List the components of at least ``min_size`` services, largest first."""
        reading = await self._searched(wanted, time_left)
        components = reading.graph.components
        if components.is_listed(min_size):
            return components.largest_first(min_size), reading.freshness
        async with self._held(wanted, time_left) as held:
            found = await asyncio.to_thread(held.graph.components.largest_first, min_size)
            return found, held.freshness

    async def _searched(self, wanted: Consistency, time_left: TimeLeft) -> Reading:
        """Return the graph once its components are known."""
        reading = await self._live.at(wanted, time_left())
        if reading.graph.components.is_ready:
            return reading
        with reading.keeps():
            await self._searches.finish(reading.graph.components)
        # The replica may have replaced the graph meanwhile.
        return await self._live.at(wanted, time_left())

    @asynccontextmanager
    async def _held(self, wanted: Consistency, time_left: TimeLeft) -> AsyncIterator[Reading]:
        """Hold the graph, whose components are known."""
        while True:
            async with self._live.hold(await self._searched(wanted, time_left)) as held:
                # The replica may have replaced the graph before it was held.
                if held.graph.components.is_ready:
                    # Here, not in the thread: other calls may do the same.
                    held.graph.components.finish()
                    yield held
                    return
