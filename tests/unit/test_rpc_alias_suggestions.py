"""Searches for services that look like one: one at a time, for callers that still wait."""

import asyncio
import threading
from contextlib import nullcontext
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from depgraph.v1 import catalog_service_pb2 as pb
from graphcore import DependencyGraph, ServiceRecord
from server.domain.live_graph import Freshness, Reading
from server.rpc import alias_suggestions
from server.rpc.alias_suggestions import AliasSuggester, suggestions_question
from tests.support.eventually import PATIENCE_SECONDS

CONTEXT = cast("Any", SimpleNamespace(time_remaining=lambda: None, peer=lambda: "ipv4:127.0.0.1:1"))
QUESTION = suggestions_question(pb.SuggestAliasesRequest())


class ChangingGraph:
    """A live graph that has another revision each time."""

    def __init__(self) -> None:
        self.copies = 0

    async def at(self, *_: object) -> Reading:
        return Reading(DependencyGraph(), Freshness("", timedelta(0)))

    def hold(self, _: Reading) -> Any:
        self.copies += 1
        graph = DependencyGraph.from_records([ServiceRecord(b"1", "web", b"")])
        return nullcontext(Reading(graph, Freshness(str(self.copies), timedelta(0))))


async def test_callers_that_left_while_they_waited_cost_no_copy_and_no_search(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def search(_: object) -> list[Any]:
        loop.call_soon_threadsafe(begun.set)
        assert may_end.wait(PATIENCE_SECONDS)
        return []

    monkeypatch.setattr(alias_suggestions, "_suggestions", search)
    live = ChangingGraph()
    suggester = AliasSuggester(cast("Any", live), 1_000_000)
    async with asyncio.timeout(PATIENCE_SECONDS):
        callers = [asyncio.create_task(suggester.answer(QUESTION, CONTEXT)) for _ in range(10)]
        await begun.wait()
        # The first one too: its search goes on, and has the turn.
        for caller in callers:
            caller.cancel()
        await asyncio.gather(*callers, return_exceptions=True)
        last = asyncio.create_task(suggester.answer(QUESTION, CONTEXT))
        await asyncio.sleep(0)
        assert live.copies == 1
        may_end.set()
        assert not (await last).suggestions
    assert live.copies == 2
