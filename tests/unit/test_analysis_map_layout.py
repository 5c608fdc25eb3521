"""Places on maps: within the picture, apart, the same again, and little moved."""

import math
from itertools import combinations

import numpy as np
import pytest

from graphcore.analysis.map_layout import Former, Places, Pulls, map_layout


def pulls(pairs: list[tuple[int, int]]) -> Pulls:
    source, target = np.array(pairs, np.int64).reshape(-1, 2).T
    return Pulls(source, target, np.ones(len(pairs)))


def clusters(count: int) -> list[tuple[int, int]]:
    """Two groups of nodes that all call each other, and one call between them."""
    half = count // 2
    inside = [pair for some in (range(half), range(half, count)) for pair in combinations(some, 2)]
    return [*inside, (0, half)]


def distance(places: Places, one: int, other: int) -> float:
    return math.dist(places[:, one], places[:, other])


SHAPES = {
    "no calls": lambda _: [],
    "a star": lambda count: [(0, other) for other in range(1, count)],
    "a ring": lambda count: [(node, (node + 1) % count) for node in range(count)],
    "clusters": clusters,
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("count", [2, 3, 40, 300])
def test_nodes_are_within_the_picture_and_apart(shape: str, count: int) -> None:
    places = map_layout(count, pulls(SHAPES[shape](count)))
    assert places.shape == (2, count)
    assert places.min() >= 0
    assert places.max() <= 1
    # Nodes on a square grid would be 1 apart in this unit.
    nearest = min(distance(places, *pair) for pair in combinations(range(count), 2)) * math.sqrt(count)
    assert nearest > 0.4


def test_one_node_is_in_the_middle_and_none_is_nowhere() -> None:
    assert map_layout(1, pulls([])).tolist() == [[0.5], [0.5]]
    assert map_layout(0, pulls([])).shape == (2, 0)


def test_nodes_that_call_each_other_are_nearer() -> None:
    count = 20
    places = map_layout(count, pulls(clusters(count)))
    together = [distance(places, *pair) for pair in combinations(range(count // 2), 2)]
    across = [distance(places, one, other) for one in range(10) for other in range(10, 20)]
    assert 1.5 * np.mean(together) < np.mean(across)


def test_the_same_graph_has_the_same_places() -> None:
    one, two = (map_layout(40, pulls(clusters(40))) for _ in range(2))
    assert one.tolist() == two.tolist()


def test_with_former_places_only_what_may_move_moves_further_than_out_of_the_way() -> None:
    former = map_layout(40, pulls(clusters(40)))
    is_free = np.isin(np.arange(40), (3, 33))
    after = map_layout(40, pulls([*clusters(40), (3, 33)]), Former(former, is_free))
    moved = np.hypot(*(after - former))
    assert moved[is_free].min() > 0
    assert np.median(moved[~is_free]) < 0.01
    assert moved[~is_free].max() < 0.1
    assert distance(after, 3, 33) < distance(former, 3, 33)


def test_a_new_node_begins_between_those_that_call_it() -> None:
    former = map_layout(20, pulls(clusters(20)))
    unknown = np.column_stack((former, [np.nan, np.nan]))
    callers = [(0, 20), (1, 20), (2, 20)]
    after = map_layout(21, pulls([*clusters(20), *callers]), Former(unknown, np.zeros(21, np.bool_)))
    near = np.mean([distance(after, 20, node) for node in range(10)])
    far = np.mean([distance(after, 20, node) for node in range(10, 20)])
    assert near < far
