"""Components that are not known yet are searched aside, once for all who wait."""

import asyncio

import pytest

from graphcore import DependencyGraph, DependencyRecord, ServiceRecord, components
from graphcore.kept_components import KeptComponents
from server.component_search import ComponentSearch

SIZE = 60


@pytest.fixture(autouse=True)
def _every_graph_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphcore.kept_components.AT_ONCE_COMPILED", 0)
    monkeypatch.setattr("graphcore.kept_components.AT_ONCE_PLAIN", 0)


def ring() -> DependencyGraph:
    services = [ServiceRecord(place, f"s{place}") for place in range(SIZE)]
    calls = [DependencyRecord(f"d{place}", place, (place + 1) % SIZE) for place in range(SIZE)]
    return DependencyGraph.from_records(services, calls)


async def test_all_who_wait_share_one_search(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = 0
    begin = KeptComponents.begin

    def counted(kept: KeptComponents) -> object:
        nonlocal begun
        begun += 1
        return begin(kept)

    monkeypatch.setattr(KeptComponents, "begin", counted)
    graph, search = ring(), ComponentSearch()
    await asyncio.gather(*(search.finish(graph.kept_components) for _ in range(5)))
    assert graph.kept_components.is_ready
    assert begun == 1
    assert components(graph).of("s7").size == SIZE


async def test_who_goes_away_leaves_the_search_to_the_others() -> None:
    graph, search = ring(), ComponentSearch()
    first = asyncio.create_task(search.finish(graph.kept_components))
    second = asyncio.create_task(search.finish(graph.kept_components))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert graph.kept_components.is_ready


async def test_another_graph_has_a_search_of_its_own() -> None:
    search, graphs = ComponentSearch(), [ring(), ring()]
    await asyncio.gather(*(search.finish(graph.kept_components) for graph in graphs))
    assert all(graph.kept_components.is_ready for graph in graphs)
