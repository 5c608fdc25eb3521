"""Kept components, by example: what an update does to them, and what it leaves to a search."""

from collections.abc import Iterator

import pytest

from graphcore.components import index as component_index
from graphcore.components.edits import ComponentEdits, joined
from tests.support.component_world import ComponentWorld, Edge
from tests.support.kernel_forms import FORMS, kernels_in_form


@pytest.fixture(scope="module", params=FORMS, autouse=True)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


def world_of(*ends: tuple[int, int], work: int | None = None, floor: float = 0.0) -> ComponentWorld:
    world = ComponentWorld(work=work, floor=floor)
    world.add_nodes(sorted({node for pair in ends for node in pair}))
    world.add_edges([Edge(*pair) for pair in ends])
    world.apply()
    world.catch_up()
    return world


def ring(first: int, size: int) -> list[tuple[int, int]]:
    return [(first + place, first + (place + 1) % size) for place in range(size)]


def test_removing_a_node_splits_a_ring() -> None:
    world = world_of(*ring(0, 5))
    assert world.kept() == {(0, 1, 2, 3, 4): 5}
    world.remove_node(2)
    assert world.apply() is not None
    assert world.kept() == {(0,): 0, (1,): 0, (3,): 0, (4,): 0}


def test_two_rings_split_and_merge_with_their_edges() -> None:
    world = world_of(*ring(0, 4), *ring(4, 3), (0, 4))
    (back,) = world.add_edges([Edge(5, 1)])
    world.apply()
    assert world.kept() == {(0, 1, 2, 3, 4, 5, 6): 9}
    world.remove_edges([back])
    assert world.apply() is not None
    assert world.kept() == {(0, 1, 2, 3): 4, (4, 5, 6): 3}


def test_the_largest_part_keeps_its_label_and_the_others_get_new_ones() -> None:
    world = world_of(*ring(0, 6), *ring(6, 2), (0, 6), (7, 1))
    label = world.index.label(0)
    world.remove_edges(
        [number for number, edge in world.edges.items() if (edge.source, edge.target) == (7, 1)]
    )
    touched = world.apply()
    assert world.index.label(0) == label
    assert touched is not None
    assert touched.reformed == {label, world.index.label(6)}


def test_one_of_two_parallel_edges_is_enough_for_a_cycle() -> None:
    world = world_of((0, 1), (1, 0), (0, 1))
    world.remove_edges([0])
    touched = world.apply()
    assert world.kept() == {(0, 1): 2}
    assert touched == (set(), {world.index.label(0)})
    world.remove_edges([2])
    world.apply()
    assert world.kept() == {(0,): 0, (1,): 0}


def test_an_edge_along_the_order_of_components_changes_no_label() -> None:
    world = world_of(*ring(0, 3), *ring(3, 3), (0, 3))
    world.add_edges([Edge(1, 4)])
    assert world.apply() == (set(), set())


def test_a_node_index_reused_in_one_change_set_is_reported() -> None:
    world = world_of(*ring(0, 3))
    world.remove_node(1)
    world.add_nodes([1])
    world.add_edges([Edge(0, 1), Edge(1, 2)])
    touched = world.apply()
    assert world.kept() == {(0, 1, 2): 3}
    assert touched is not None
    assert touched.reformed == {world.index.label(1)}


def test_edges_below_the_least_confidence_form_no_cycle() -> None:
    world = world_of((0, 1), floor=0.5)
    world.add_edges([Edge(1, 0, confidence=0.4)])
    world.apply()
    assert world.kept() == {(0,): 0, (1,): 0}
    world.add_edges([Edge(1, 0, confidence=0.5)])
    world.apply()
    assert world.kept() == {(0, 1): 2}


def test_the_index_grows_with_the_graph() -> None:
    world = world_of(*ring(0, 3), work=50_000)
    world.add_nodes(range(3, 500))
    world.add_edges([Edge(*pair) for pair in ring(100, 300)])
    world.apply()
    assert world.index.is_ready
    assert world.index.size(world.index.label(250)) == 300
    assert world.kept() == world.expected()


def test_a_change_set_above_the_work_limit_needs_a_search() -> None:
    world = world_of(*ring(0, 3), work=20)
    world.add_nodes(range(3, 30))
    assert world.apply() is None
    assert not world.index.is_ready
    world.catch_up()
    assert world.kept() == world.expected()


def test_a_component_too_large_to_split_needs_a_search() -> None:
    world = world_of(*ring(0, 100), work=50)
    world.remove_edges([0])
    assert world.apply() is None
    world.catch_up()
    assert len(world.kept()) == 100


def test_orders_without_room_between_them_need_a_search() -> None:
    # Each new node goes between node 2 and the one before, and halves the room between them.
    world = world_of((0, 2), (1, 2), (2, 3), (3, 4))
    updates = 0
    for node in range(5, 90):
        world.add_nodes([node])
        world.add_edges([Edge(node, node - 1 if node > 5 else 3), Edge(2, node)])
        updates += world.apply() is not None
        world.catch_up()
        assert world.kept() == world.expected()
    assert 40 < updates < 85


def test_marks_are_reset_before_they_overflow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component_index, "_GREATEST_STAMP", 5)
    world = world_of(*ring(0, 8), (2, 6), (6, 3))
    for _ in range(20):
        world.remove_edges([3])
        world.apply()
        assert world.kept() == world.expected()
        world.add_edges([Edge(3, 4)])
        world.apply()
        assert world.kept() == world.expected()


def test_only_the_latest_search_is_adopted() -> None:
    world = ComponentWorld()
    world.add_nodes(range(3))
    first = world.begin()
    world.add_edges([Edge(*pair) for pair in ring(0, 3)])
    world.apply()
    second = world.begin()
    first.run()
    second.run()
    assert not world.index.adopt(first)
    assert world.index.adopt(second)
    assert world.index.adopt(first)
    assert world.kept() == {(0, 1, 2): 3}


def test_a_search_is_dropped_when_too_much_changes_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(component_index, "_MOST_PENDING", 3)
    world = world_of(work=2)
    world.index.is_ready = False
    search = world.begin()
    world.add_nodes(range(2))
    world.apply()
    world.add_edges([Edge(0, 1), Edge(1, 0)])
    world.apply()
    search.run()
    assert not world.index.adopt(search)
    world.catch_up()
    assert world.kept() == {(0, 1): 2}


def test_edits_that_cancel_each_other_leave_nothing() -> None:
    world = ComponentWorld()
    world.add_nodes(range(3))
    edges = world.add_edges([Edge(0, 1), Edge(0, 1), Edge(1, 2)])
    world.remove_edges(edges[:1])
    world.remove_node(2)
    edits = joined([ComponentEdits(present=[2]), world.edits()]).net()
    assert (edits.lost.tolist(), edits.gained.tolist()) == ([], [[0, 1]])
    assert (sorted(edits.present), edits.absent) == ([0, 1], [2])
