"""DiffGraph: what differs between two states of the graph, in parts of bounded size."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterator
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import UUID

from depgraph.v1 import history_service_pb2 as pb
from graphcore import DependencyGraph
from graphcore.analysis.graph_changes import GraphChanges, graph_changes
from server.domain.history import Mark, Point
from server.domain.history_changes import Window, present_mark
from server.domain.live_graph import Freshness, LiveGraph, Reading
from server.domain.records import KIND_BITS
from server.domain.services import SERVICE_KINDS, ServiceKind
from server.rpc.analysis.change import cycle_change_message, impact_change_message
from server.rpc.analysis.servicer import Analyses
from server.rpc.answers import freshness_message, joined_parts, tag
from server.rpc.context import Context
from server.rpc.history.pasts import (
    History,
    asking_while_held,
    check_order,
    live_since,
    mark_freshness,
    mark_of,
    patience,
    position_of,
)
from server.rpc.history.questions import DiffQuestion
from server.rpc.history.rows import differing
from server.wire.fields import field

_FROM, _TO = tag(pb.DiffGraphResponse, "from"), tag(pb.DiffGraphResponse, "to")
_CYCLE_CHANGE = tag(pb.DiffGraphResponse, "cycle_changes")
_IMPACT_CHANGE = tag(pb.DiffGraphResponse, "impact_changes")


class _States(NamedTuple):
    """The states that are named: the graph in the earlier one, and the later; None = now."""

    earlier: Mark
    before: Reading
    later: Mark | None


class _Compared(NamedTuple):
    """Which states are compared, once it is settled which the later is."""

    window: Window
    later: Freshness


class GraphDiffs:
    """
    Compares states of the graph: rows out of the database, what follows from them in memory.

    The two are read side by side. The later state is the live graph, if none is named: then it
    holds still while cycles and blast radii are compared, and rows are read as of its snapshot.
    """

    def __init__(self, live: LiveGraph, history: History, analyses: Analyses) -> None:
        self._live = live
        self._history = history
        self._analyses = analyses

    async def parts(self, question: DiffQuestion, context: Context, max_bytes: int) -> AsyncIterator[bytes]:
        """Yield the encoded answer in parts of at most ``max_bytes``, but for a larger record."""
        earlier = await mark_of(self._history.reader, question.earlier, context)
        later: Mark | None = None
        if question.later is not None:
            later = await mark_of(self._history.reader, question.later, context)
            check_order(earlier, later, "from", "is after to")
        before = await self._history.graphs.at(_point(question.earlier, earlier), patience(context))
        begun: asyncio.Future[_Compared] = asyncio.get_running_loop().create_future()
        with before.keeps():
            states = _States(earlier, before, later)
            comparing = asyncio.create_task(self._changes(question, states, context, begun))
            try:
                rows, freshness = await self._rows(question, before, begun, comparing)
            except BaseException:
                comparing.cancel()
                raise
        try:
            first = field(_FROM, freshness_message(mark_freshness(earlier)))
            first += field(_TO, freshness_message(freshness))
            async for part in joined_parts(rows, max_bytes, first=first):
                yield part
            changes = await comparing
            async for part in joined_parts(_effects(changes), max_bytes, last=_counts(changes)):
                yield part
        finally:
            comparing.cancel()

    async def _rows(
        self,
        question: DiffQuestion,
        before: Reading,
        begun: "asyncio.Future[_Compared]",
        comparing: "asyncio.Task[GraphChanges]",
    ) -> tuple[Iterator[bytes], Freshness]:
        """Read what differs; returns the freshness of the later state, too."""
        await asyncio.wait((begun, comparing), return_when=asyncio.FIRST_COMPLETED)
        if not begun.done():
            # It failed before it began.
            await comparing
        window, freshness = begun.result()
        found = await self._history.store.netted(window, _words_of(question.edge_filter.excluded_kinds))
        return await asyncio.to_thread(differing, found, question.edge_filter, before.graph), freshness

    async def _changes(
        self,
        question: DiffQuestion,
        states: _States,
        context: Context,
        begun: "asyncio.Future[_Compared]",
    ) -> GraphChanges:
        """Compare the graphs; ``begun`` is told which the later state is, once that is settled."""
        earlier, before, later = states
        reported = dict[UUID, float]()
        if later is not None and question.later is not None:
            begun.set_result(
                _Compared(Window(earlier, later, position_of(self._live)), mark_freshness(later))
            )
            after = await self._history.graphs.at(_point(question.later, later), patience(context))
        else:
            after = await live_since(self._live, earlier, context)

        async def begin(reading: Reading) -> None:
            nonlocal reported
            if begun.done():
                return
            position = position_of(self._live)
            window = Window(earlier, present_mark(position, datetime.now(UTC)), position)
            begun.set_result(_Compared(window, reading.freshness))
            if max(question.edge_filter.min_confidence, reading.graph.cycle_confidence) > 0.0:
                async with asking_while_held():
                    reported = await self._history.store.reported(window)

        def compare(graph: DependencyGraph) -> GraphChanges:
            return graph_changes(
                before.graph,
                graph,
                question.edge_filter,
                most_impacts=question.most_impacts,
                min_confidence=graph.cycle_confidence,
                confidences={key.bytes: confidence for key, confidence in reported.items()},
            )

        found, _ = await self._analyses.of(after, context, compare, begin=begin, beside=before)
        return found


def _point(wanted: Point, mark: Mark) -> Point:
    """Name a mark for good: a time may come to stand for a later one."""
    return mark.at if isinstance(wanted, datetime) else wanted


def _words_of(kinds: int) -> Collection[ServiceKind]:
    return [kind for kind in SERVICE_KINDS if KIND_BITS[kind] & kinds]


def _effects(changes: GraphChanges) -> Iterator[bytes]:
    for change in changes.cycle_changes:
        yield field(_CYCLE_CHANGE, cycle_change_message(change).SerializeToString())
    for impact in changes.impacts.changes:
        yield field(_IMPACT_CHANGE, impact_change_message(impact).SerializeToString())


def _counts(changes: GraphChanges) -> bytes:
    return pb.DiffGraphResponse(
        impact_change_count=changes.impacts.count, impacts_truncated=changes.impacts.truncated
    ).SerializeToString()
