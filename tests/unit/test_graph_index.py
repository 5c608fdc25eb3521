"""The traversal index: what it does when it gets full, and what it gives back."""

import random
from collections.abc import Iterator

import numpy as np
import pytest

from graphcore.graph.flags import STALE
from graphcore.graph.index import TraversalIndex
from graphcore.kernels import GARBAGE, USED
from tests.support.index_checks import Link, check_index
from tests.support.kernel_forms import FORMS, kernels_in_form


@pytest.fixture(scope="module", params=FORMS, autouse=True)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


def random_links(count: int, nodes: int) -> list[Link]:
    chance = random.Random(count)  # noqa: S311 - the same every time
    links = []
    for _ in range(count):
        source, target = chance.sample(range(nodes), 2)
        links.append(Link(source, target, chance.choice((1, 2, 513)), chance.random()))
    return links


def linked(index: TraversalIndex, links: list[Link], first: int = 0) -> dict[int, Link]:
    """Link them all at once, the edges being numbered from ``first``."""
    edges = range(first, first + len(links))
    sources, targets, flags, confidences = zip(*links, strict=True)
    index.link(edges, sources, targets, flags, confidences)
    return dict(zip(edges, links, strict=True))


def test_a_batch_much_larger_than_the_index_is_linked() -> None:
    index = TraversalIndex()
    check_index(index, linked(index, random_links(3_000, 100)))


def test_a_built_index_equals_a_linked_one() -> None:
    links = random_links(3_000, 100)
    sources, targets, flags, confidences = (np.array(column) for column in zip(*links, strict=True))
    ends = np.stack([sources, targets], axis=1).astype(np.int32)
    index = TraversalIndex.built(110, ends, flags.astype(np.int32), confidences)
    check_index(index, dict(enumerate(links)))
    assert index.ledger[GARBAGE] == 0


def test_a_roomier_copy_is_equal_and_has_room() -> None:
    index = TraversalIndex()
    links = linked(index, random_links(300, 50))
    index.unlink(range(100))
    left = {edge: link for edge, link in links.items() if edge >= 100}
    copy = index.roomier(300, 5_000)
    check_index(copy, left)
    assert not copy.is_cramped(300, 100)
    left |= linked(copy, random_links(100, 50), 300)
    index.become(copy)
    check_index(index, left)


def test_linking_no_edges_changes_nothing() -> None:
    index = TraversalIndex()
    index.link([], [], [], [], [])
    index.unlink([])
    check_index(index, {})


def test_a_pool_that_is_mostly_garbage_is_compacted_instead_of_growing() -> None:
    index = TraversalIndex()
    links = linked(index, random_links(400, 40))
    gone = [edge for edge, link in links.items() if not {link.source, link.target} <= {1, 2, 3}]
    index.unlink(gone)
    for node in range(40):
        if node not in {1, 2, 3}:
            index.forget_node(node)
    left = {edge: link for edge, link in links.items() if edge not in set(gone)}
    check_index(index, left)
    length, garbage = index.pool.shape[1], index.ledger[GARBAGE]
    assert 2 * garbage > length
    added: dict[int, Link] = {}
    while index.ledger[GARBAGE] >= garbage and len(added) < length:
        edge = len(links) + len(added)
        added |= linked(index, [Link(edge % 3 + 1, edge % 17 + 20, 1, 1.0)], edge)
    assert index.ledger[GARBAGE] < garbage
    assert index.pool.shape[1] == length
    check_index(index, left | added)


def test_edges_added_and_removed_repeatedly_take_no_more_memory() -> None:
    index = TraversalIndex()
    sizes = []
    for round_ in range(60):
        links = linked(index, [link._replace(flags=round_ % 2 * STALE) for link in random_links(300, 50)])
        index.unlink(list(links))
        for node in range(50):
            index.forget_node(node)
        sizes.append(index.pool.nbytes + sum(column.nbytes for column in (index.nodes, index.edges)))
    assert sizes[-1] == sizes[10]
    assert index.ledger[USED] == index.ledger[GARBAGE]
    check_index(index, {})
