"""Components after each random change set equal those of networkx. No I/O."""

import random
from collections.abc import Callable, Iterator
from itertools import cycle, pairwise, product
from typing import TypeAlias

import pytest
from hypothesis import strategies as st

from tests.support.component_world import ComponentWorld, Edge
from tests.support.kernel_forms import given_in_both_forms

Edit: TypeAlias = Callable[[ComponentWorld], None]

NODES = range(9)
CHOOSER = random.Random(1)  # noqa: S311 - the same each time
# Some nodes in some order, drawn as one: hypothesis would draw each.
ORDERS = [CHOOSER.sample(NODES, length) for length in range(2, 10) for _ in range(60)]


def add_edges(ends: list[tuple[int, int]], confidence: float, stale: bool) -> Edit:
    def edit(world: ComponentWorld) -> None:
        world.add_nodes({node for pair in ends for node in pair} - world.nodes)
        world.add_edges([Edge(*pair, confidence, stale) for pair in ends if pair[0] != pair[1]])

    return edit


def remove_edge(place: int) -> Edit:
    def edit(world: ComponentWorld) -> None:
        if world.edges:
            world.remove_edges([sorted(world.edges)[place % len(world.edges)]])

    return edit


def turn_edge(place: int) -> Edit:
    def edit(world: ComponentWorld) -> None:
        if world.edges:
            world.turn(sorted(world.edges)[place % len(world.edges)])

    return edit


def remove_node(node: int) -> Edit:
    def edit(world: ComponentWorld) -> None:
        if node in world.nodes:
            world.remove_node(node)

    return edit


def add_node(node: int) -> Edit:
    return lambda world: world.add_nodes({node} - world.nodes)


def edits() -> st.SearchStrategy[Edit]:
    node, place = st.sampled_from(NODES), st.integers(0, 40)
    ends = st.lists(st.sampled_from(list(product(NODES, NODES))), min_size=1, max_size=6)
    some = st.sampled_from(ORDERS)
    path = some.map(lambda order: list(pairwise(order)))
    ring = some.map(lambda order: list(pairwise([*order, order[0]])))
    both_ways = some.map(lambda order: [*pairwise(order), *pairwise(reversed(order))])
    fresh = st.one_of(ends, path, ring, both_ways)
    added = st.builds(add_edges, fresh, st.sampled_from((0.2, 0.8)), st.just(value=False))
    stale = st.builds(add_edges, ends, st.just(0.8), st.just(value=True))
    removed = st.builds(remove_edge, place)
    return st.one_of(
        added,
        added,
        stale,
        removed,
        removed,
        removed,
        st.builds(turn_edge, place),
        st.builds(remove_node, node),
        st.builds(add_node, node),
    )


def change_sets() -> st.SearchStrategy[list[list[Edit]]]:
    return st.lists(st.lists(edits(), min_size=1, max_size=5), min_size=1, max_size=20)


@given_in_both_forms(200, change_sets(), st.sampled_from((0.0, 0.5)))
def test_components_are_right_after_every_change_set(groups: list[list[Edit]], floor: float) -> None:
    world = ComponentWorld(floor=floor)
    world.catch_up()
    for group in groups:
        for edit in group:
            edit(world)
        world.apply()
        world.catch_up()  # rarely needed: orders may lie too close after many splits
        assert world.kept() == world.expected()


@given_in_both_forms(200, change_sets(), st.sampled_from((3, 10, 25)))
def test_components_are_right_with_little_work_allowed(groups: list[list[Edit]], work: int) -> None:
    world = ComponentWorld(work=work)
    for group in groups:
        for edit in group:
            edit(world)
        world.apply()
        world.catch_up()
        assert world.kept() == world.expected()


@given_in_both_forms(
    200,
    change_sets(),
    st.lists(st.integers(0, 3), min_size=1, max_size=20),
    st.sampled_from((3, 25, None)),
)
def test_components_are_right_when_changes_arrive_during_a_search(
    groups: list[list[Edit]], paces: list[int], work: int | None
) -> None:
    world = ComponentWorld(work=work)
    steps = search_steps(world)
    for group, pace in zip(groups, cycle(paces), strict=False):
        for edit in group:
            edit(world)
        world.apply()
        for _ in range(pace):
            next(steps)
        if world.index.is_ready:
            assert world.kept() == world.expected()
    world.catch_up()
    assert world.kept() == world.expected()


def search_steps(world: ComponentWorld) -> Iterator[None]:
    """Begin a search, run it, adopt it, and again, whether or not there is need for it."""
    while True:
        search = world.begin()
        yield
        search.run()
        yield
        assert world.index.adopt(search) == world.index.is_ready
        yield


@given_in_both_forms(150, change_sets())
def test_components_not_reported_as_changed_are_unchanged(groups: list[list[Edit]]) -> None:
    world = ComponentWorld()
    world.catch_up()
    for group in groups:
        index = world.index
        before = {label: (sorted(index.members(label)), index.edge_count(label)) for label in index.labels(1)}
        for edit in group:
            edit(world)
        touched = world.apply()
        if touched is None:
            world.catch_up()
            continue
        after = {label: (sorted(index.members(label)), index.edge_count(label)) for label in index.labels(1)}
        for label in before.keys() | after.keys():
            if label not in touched.reformed:
                assert before[label][0] == after[label][0]
                if label not in touched.recounted:
                    assert before[label] == after[label]


def random_edge(chooser: random.Random, nodes: int, reach: int) -> Edge:
    """An edge to a node at most ``reach`` away: small values make nested cycles."""
    source = chooser.randrange(nodes)
    return Edge(source, (source + chooser.choice((-1, 1)) * chooser.randint(1, reach)) % nodes)


@pytest.mark.parametrize(
    ("nodes", "edges", "reach", "seed"),
    [(200, 260, 100, 1), (300, 900, 150, 2), (120, 1500, 60, 3), (200, 420, 2, 4), (300, 800, 5, 5)],
)
def test_components_of_larger_graphs_stay_right_over_long_sequences(
    nodes: int, edges: int, reach: int, seed: int
) -> None:
    chooser = random.Random(seed)  # noqa: S311 - the same each time
    world = ComponentWorld()
    world.add_nodes(range(nodes))
    world.add_edges([random_edge(chooser, nodes, reach) for _ in range(edges)])
    world.apply()
    world.catch_up()
    for step in range(400):
        for _ in range(chooser.choice((1, 1, 1, 4))):
            if chooser.random() < 0.5 + (len(world.edges) - edges) / edges:
                world.remove_edges([chooser.choice(list(world.edges))])
            else:
                world.add_edges([random_edge(chooser, nodes, reach)])
        world.apply()
        world.catch_up()
        if step % 10 == 9:
            assert world.kept() == world.expected()
