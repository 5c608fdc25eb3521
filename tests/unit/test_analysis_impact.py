"""Blast radius by example; that everything is found is the matter of the property tests."""

from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphcore import DependencyGraph, DependencyRecord, EdgeFilter, ServiceRecord, UnknownServiceError
from graphcore.analysis.edge_selection import passing_edges
from graphcore.analysis.impact import impact_of
from graphcore.kernels import ANSWER, TICK
from tests.support.examples import examples
from tests.support.kernel_forms import FORMS, kernels_in_form


@pytest.fixture(scope="module", params=FORMS, autouse=True)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


def callers_of_hub(names: list[str]) -> DependencyGraph:
    return DependencyGraph.from_records(
        [ServiceRecord(name, name) for name in ["hub", *names]],
        [DependencyRecord(name, name, "hub") for name in names],
    )


@examples(30)
@given(st.sets(st.text(st.characters(exclude_characters="\0"), min_size=1, max_size=6), max_size=30))
def test_unusual_names_are_sorted_by_code_point(names: set[str]) -> None:
    graph = callers_of_hub(sorted(names - {"hub"}, reverse=True))
    found = impact_of(graph, "hub", passing_edges(graph, EdgeFilter()))
    assert [graph.digraph[node].name for node in found.nodes.tolist()] == sorted(names - {"hub"})


def test_many_names_are_sorted_as_few_are() -> None:
    names = [f"{place * 7919 % 10_007:x}" for place in range(5_000)]
    graph = callers_of_hub(names)
    found = impact_of(graph, "hub", passing_edges(graph, EdgeFilter()))
    assert [graph.digraph[node].name for node in found.nodes.tolist()] == sorted(names)


def test_impact_does_not_use_the_scratch_of_walks() -> None:
    graph = callers_of_hub(["a", "b"])
    before = graph.index.walks.rows.copy()
    impact_of(graph, "hub", passing_edges(graph, EdgeFilter()))
    assert (graph.index.walks.rows == before).all()
    assert graph.index.walks.rows[ANSWER, TICK] == before[ANSWER, TICK]


def test_an_unknown_service_and_a_negative_bound_are_refused() -> None:
    graph = callers_of_hub(["a"])
    mask = passing_edges(graph, EdgeFilter())
    with pytest.raises(UnknownServiceError):
        impact_of(graph, "unknown", mask)
    with pytest.raises(ValueError, match="max_hops"):
        impact_of(graph, "hub", mask, -1)
