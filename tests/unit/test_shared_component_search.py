"""Components that are not known yet are searched outside the event loop, once for all callers."""

import asyncio

import pytest

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord
from graphcore.components.components import Components
from server.concurrency import SharedComponentSearch

SIZE = 60


@pytest.fixture(autouse=True)
def _every_graph_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphcore.components.components.SEARCHED_AT_ONCE", 0)


def ring() -> DependencyGraph:
    services = [ServiceRecord(place, f"s{place}") for place in range(SIZE)]
    calls = [DependencyRecord(f"d{place}", place, (place + 1) % SIZE) for place in range(SIZE)]
    return DependencyGraph.from_records(services, calls)


async def test_concurrent_callers_share_one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0
    begin = Components.begin

    def counted(kept: Components) -> object:
        nonlocal begun
        begun += 1
        return begin(kept)

    monkeypatch.setattr(Components, "begin", counted)
    graph, search = ring(), SharedComponentSearch()
    await asyncio.gather(*(search.finish(graph.components) for _ in range(5)))
    assert graph.components.is_ready
    assert begun == 1
    assert graph.component_of("s7").size == SIZE


async def test_a_cancelled_caller_does_not_end_the_search_of_others() -> None:
    graph, search = ring(), SharedComponentSearch()
    first = asyncio.create_task(search.finish(graph.components))
    second = asyncio.create_task(search.finish(graph.components))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert graph.components.is_ready


async def test_each_graph_has_its_own_search() -> None:
    search, graphs = SharedComponentSearch(), [ring(), ring()]
    await asyncio.gather(*(search.finish(graph.components) for graph in graphs))
    assert all(graph.components.is_ready for graph in graphs)
