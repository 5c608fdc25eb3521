"""ListChanges: single changes, newest first, or those nearest to a service."""

import asyncio
from collections.abc import Collection, Hashable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, cast
from uuid import UUID

from depgraph.v1 import history_service_pb2 as pb
from graphcore import DependencyGraph
from graphcore.analysis.distances import distances
from server.domain.dependencies import DependencyRow
from server.domain.errors import HistoryUnavailableError, InvalidPageTokenError, ServiceNotFoundError
from server.domain.history import Mark
from server.domain.history_changes import AnyChange, ChangePlace, States, Window, present_mark
from server.domain.live_graph import Freshness, LiveGraph
from server.domain.revision import Revision
from server.domain.services import Service, ServiceAlias
from server.rpc.answers import freshness_message, tag, timestamp
from server.rpc.context import Context, time_left
from server.rpc.history.pasts import (
    History,
    asking_while_held,
    check_order,
    live_since,
    mark_freshness,
    mark_of,
    position_of,
)
from server.rpc.history.questions import ChangesQuestion
from server.rpc.history.rows import alias_change
from server.rpc.paging import ChangeKey, fitted_page
from server.rpc.questions import FROM_MEMORY, resolved_field
from server.rpc.validate import EPOCH, shown
from server.wire.fields import field
from server.wire.history import dependency_change, service_change

_CHANGES = tag(pb.ListChangesResponse, "changes")
_SINCE, _UNTIL = tag(pb.ListChangesResponse, "since"), tag(pb.ListChangesResponse, "until")
_SERVICE, _DEPENDENCY, _ALIAS = (tag(pb.Change, name) for name in ("service", "dependency", "alias"))
_MICROSECOND = timedelta(microseconds=1)


class _Pages(NamedTuple):
    """
    What the pages of a list have in common: their window, and the present that it began with.

    ``until`` is the freshness of the later state.
    """

    window: Window
    present: Mark
    until: Freshness

    @property
    def text(self) -> str:
        """What a page token holds."""
        ends = self.window.since.at, self.present.at
        moments = [str((moment - EPOCH) // _MICROSECOND) for moment in ends]
        until = self.window.until
        later = "" if until is self.present else str((until.at - EPOCH) // _MICROSECOND)
        return "|".join((*moments, later, self.present.feed_id, self.present.snapshot.text))


class ChangeLists:
    """Lists changes between two states, which all pages of a list have in common."""

    def __init__(self, live: LiveGraph, history: History) -> None:
        self._live = live
        self._history = history

    async def answer(self, question: ChangesQuestion, context: Context, limit: int) -> bytes:
        """List a page; raises ``ServiceNotFoundError``, and what ``PastReader`` does."""
        if question.after is None:
            pages = await self._first(question, context)
        else:
            pages = await self._again(question.after.window, context)
        after = None if question.after is None else ChangePlace(question.after.hops, question.after.seq)
        resolved = b""
        if question.service_id:
            near, resolved = await self._near(question, pages, context)
            rows = await self._history.store.nearest(pages.window, near, question.size + 1, after)
        else:
            rows = await self._history.store.newest(pages.window, question.size + 1, after)

        def key(change: AnyChange) -> ChangeKey:
            return ChangeKey(change.place.seq, change.place.hops, pages.text)

        following = key(rows[question.size - 1]) if len(rows) > question.size else None
        listed, following = fitted_page(rows[: question.size], following, change_message, key, limit)
        token = pb.ListChangesResponse(next_page_token=question.tokens.write(following))
        return b"".join(
            (
                *(field(_CHANGES, each) for each in listed),
                token.SerializeToString(),
                field(_SINCE, freshness_message(mark_freshness(pages.window.since))),
                field(_UNTIL, freshness_message(pages.until)),
                resolved,
            )
        )

    async def _first(self, question: ChangesQuestion, context: Context) -> _Pages:
        """Begin a list."""
        since = await self._since(question, context)
        until = (
            None if question.until is None else await mark_of(self._history.reader, question.until, context)
        )
        freshness = (await live_since(self._live, since, context)).freshness
        position = position_of(self._live)
        present = present_mark(position, datetime.now(UTC))
        if until is None:
            return _Pages(Window(since, present, position), present, freshness)
        check_order(since, until, "since", "is after until")
        return _Pages(Window(since, until, position), present, mark_freshness(until))

    async def _since(self, question: ChangesQuestion, context: Context) -> Mark:
        """Find the earlier state; for a list without one, the oldest there is will do."""
        try:
            return await mark_of(self._history.reader, question.since, context)
        except HistoryUnavailableError as error:
            if question.has_since or "oldest_time" not in error.metadata:
                raise
            oldest = datetime.fromisoformat(error.metadata["oldest_time"])
            return await mark_of(self._history.reader, oldest, context)

    async def _again(self, text: str, context: Context) -> _Pages:
        """Go on with a list."""
        try:
            *moments, later, feed_id, snapshot = text.split("|")
            since_at, present_at = map(_moment, moments)
            until_at = _moment(later) if later else None
            revision = Revision.of(f"{feed_id}/{snapshot}")
        except (ValueError, OverflowError):
            # The digest of a token has no key, so anybody can make one.
            raise InvalidPageTokenError("page_token: not a token of this list") from None
        since = await mark_of(self._history.reader, since_at, context)
        if revision.snapshot is None or position_of(self._live).feed_id != feed_id:
            raise HistoryUnavailableError("the list was begun before the database broke off: begin it again")
        present = Mark(present_at, 0, revision.snapshot, feed_id, None, is_exact=True)
        # Another replica may have answered the page before.
        await live_since(self._live, present, context)
        position = position_of(self._live)
        until = present if until_at is None else await mark_of(self._history.reader, until_at, context)
        return _Pages(Window(since, until, position), present, mark_freshness(until))

    async def _near(
        self, question: ChangesQuestion, pages: _Pages, context: Context
    ) -> tuple[Mapping[UUID, int], bytes]:
        """Measure how far services are from the one asked for; returns its alias, too."""
        reading = await self._live.at(FROM_MEMORY, time_left(context))
        async with self._live.hold(reading) as held:
            graph = held.graph
            own = graph.resolve(question.service_id)
            gone: UUID | None = None
            async with asking_while_held():
                former = await self._history.store.former_ends(pages.window, pages.present.snapshot.text)
                if own is None:
                    gone = await self._history.store.last_named(pages.window, question.service_id)
            resolved = b""
            if own is not None:
                start = graph.service(own).key
                resolved = resolved_field(pb.ListChangesResponse, [question.service_id], [own])
            elif gone is not None:
                start = gone.bytes
            else:
                raise ServiceNotFoundError(
                    f"no service named {shown(question.service_id)}, nor was there one in that time",
                    service_id=question.service_id,
                )
            more = [(source.bytes, target.bytes) for source, target in former.pairs]
            without = [key.bytes for key in former.later]
            near = await asyncio.to_thread(_distances, graph, start, question.max_hops, more, without)
        return near, resolved


def _distances(
    graph: DependencyGraph,
    start: Hashable,
    most_hops: int,
    more: Collection[tuple[bytes, bytes]],
    without: Iterable[bytes],
) -> dict[UUID, int]:
    found = distances(graph, start, most_hops, more=more, without=without)
    return {UUID(bytes=key): hops for key, hops in found.items() if isinstance(key, bytes)}


def _moment(microseconds: str) -> datetime:
    return EPOCH + int(microseconds) * _MICROSECOND


def change_message(change: AnyChange) -> bytes:
    """Encode a ``Change``."""
    head = pb.Change(
        time=timestamp(change.at),
        who=change.principal or "",
        hops=change.place.hops,
        revision=change.revision,
    ).SerializeToString()
    return head + _subject(change)


def _subject(change: AnyChange) -> bytes:
    states = change.states
    last = states.after or states.before
    if isinstance(last, Service):
        return field(_SERVICE, service_change(*cast("States[Service]", states)))
    if isinstance(last, DependencyRow):
        of_dependency = cast("States[DependencyRow]", states)
        before, after = (
            ("", "") if row is None else (change.names[row.source], change.names[row.target])
            for row in of_dependency
        )
        return field(_DEPENDENCY, dependency_change(*of_dependency, before, after))
    aliases = cast("States[ServiceAlias]", states)
    owners = [None if row is None else change.names[row.service_id] for row in aliases]
    return field(_ALIAS, alias_change("" if last is None else last.alias, *owners))
