"""Shortest paths in hard graphs, by example; property tests check which paths are found."""

from collections.abc import Iterator
from itertools import islice, pairwise, product

import pytest

from graphcore import DependencyGraph, DependencyRecord, EdgeFilter, ServiceRecord, UnknownServiceError
from graphcore.analysis.edge_selection import passing_edges
from graphcore.analysis.paths import ShortestPaths, shortest_paths
from tests.support.kernel_forms import FORMS, kernels_in_form

Pairs = list[tuple[str, str]]


@pytest.fixture(scope="module", params=FORMS, autouse=True)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


def graph_of(pairs: Pairs) -> DependencyGraph:
    names = sorted({name for pair in pairs for name in pair})
    return DependencyGraph.from_records(
        [ServiceRecord(name, name) for name in names],
        [DependencyRecord(number, *pair) for number, pair in enumerate(pairs)],
    )


def find(graph: DependencyGraph, source: str, target: str, **bounds: int) -> tuple[ShortestPaths, list[str]]:
    found = shortest_paths(graph, source, target, passing_edges(graph, EdgeFilter()), **bounds)
    return found, [">".join(graph.digraph[node].name for node in path) for path in found.paths]


def layers(width: int, depth: int) -> Pairs:
    """``a``, then layers whose every service calls all of the next, then ``z``."""
    names = [[f"{layer:02}{place}" for place in range(width)] for layer in range(depth)]
    return [pair for near, far in pairwise([["a"], *names, ["z"]]) for pair in product(near, far)]


def test_the_first_of_very_many_paths_come_in_order_of_their_names() -> None:
    graph = graph_of(layers(4, 12))
    found, names = find(graph, "a", "z", max_paths=50, max_effort=20_000_000)
    # As if one counted: the last layers change first.
    head = ["a", *(f"{layer:02}0" for layer in range(9))]
    tails = product("0123", repeat=3)
    assert names == [
        ">".join([*head, *(f"{layer:02}{place}" for layer, place in enumerate(tail, 9)), "z"])
        for tail in islice(tails, 50)
    ]
    assert not found.truncated


def test_a_long_chain_is_one_path() -> None:
    chain = [f"{hop:05}" for hop in range(3_000)]
    found, names = find(graph_of(list(pairwise(chain))), chain[0], chain[-1], max_paths=3)
    assert names == [">".join(chain)]
    assert not found.truncated


def test_a_detour_is_found_where_distances_lead_back_through_the_source() -> None:
    # From the dense part, z is two hops away through a, the source; the detour takes a hundred.
    thicket = [f"t{number}" for number in range(12)]
    tangle = [pair for pair in product(thicket, thicket) if pair[0] != pair[1]]
    back = [(name, "a") for name in thicket]
    round_ = ["t0", *(f"{hop:03}" for hop in range(100)), "z"]
    graph = graph_of([("a", "z"), ("a", "t5"), *tangle, *back, *pairwise(round_)])
    found, names = find(graph, "a", "z", max_paths=2, max_effort=1_000_000)
    assert names == ["a>z", ">".join(["a", "t5", *round_])]
    assert not found.truncated


def test_a_search_that_takes_too_long_ends_and_says_so() -> None:
    graph = graph_of(layers(4, 12))
    found, names = find(graph, "a", "z", max_paths=50, max_effort=20_000)
    assert found.truncated
    assert 0 < len(names) < 50
    assert names == find(graph, "a", "z", max_paths=len(names))[1]


def test_unknown_services_are_refused() -> None:
    graph = graph_of([("a", "b")])
    for ends in (("a", "c"), ("c", "a")):
        with pytest.raises(UnknownServiceError):
            find(graph, *ends)


def test_bounds_out_of_range_are_refused() -> None:
    graph = graph_of([("a", "b")])
    for source, target, max_paths, max_hops in (("a", "a", 1, 0), ("a", "b", 0, 0), ("a", "b", 1, -1)):
        with pytest.raises(ValueError, match="no paths to find"):
            find(graph, source, target, max_paths=max_paths, max_hops=max_hops)
