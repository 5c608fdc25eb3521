"""The traversal index through random edits, and through what it does when it gets full. No I/O."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, cast

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from numpy.typing import NDArray

from graphcore import DependencyGraph
from graphcore.graph.flags import STALE
from graphcore.graph.index import TraversalIndex
from tests.support.edits import Edit, difference, edits, populations, snapshot
from tests.support.examples import examples
from tests.support.graphs import graph_of
from tests.support.index_checks import Link, check_graph, check_index
from tests.support.kernel_forms import FORMS, given_in_both_forms, kernels_in_form
from tests.support.rows import Tables

if TYPE_CHECKING:
    from graphcore.components.components import Components

NODES = st.integers(0, 30)
LINKS = st.builds(
    Link,
    NODES,
    NODES,
    st.sampled_from((0, 1, 5, STALE, STALE | 3)),
    st.sampled_from((0.0, 0.5, 1.0)),
).filter(lambda link: link.source != link.target)


@pytest.fixture(scope="module", params=FORMS)
def form(request: pytest.FixtureRequest) -> Iterator[None]:
    with kernels_in_form(request.param):
        yield


class IndexMachine(RuleBasedStateMachine):
    """An index, and a dict of its edges; edge indices are reused, as rustworkx does."""

    def __init__(self) -> None:
        super().__init__()
        self.index = TraversalIndex()
        self.links: dict[int, Link] = {}
        self.free: list[int] = []

    @rule(links=st.lists(LINKS, max_size=60))
    def link(self, links: list[Link]) -> None:
        fresh = range(len(self.links) + len(self.free), len(self.links) + len(self.free) + len(links))
        edges = ([self.free.pop() for _ in range(min(len(self.free), len(links)))] + list(fresh))[
            : len(links)
        ]
        self.links.update(zip(edges, links, strict=True))
        self.index.link(
            edges,
            [link.source for link in links],
            [link.target for link in links],
            [link.flags for link in links],
            [link.confidence for link in links],
        )

    @rule(choice=st.randoms(use_true_random=False), share=st.sampled_from((0.1, 0.5, 1.0)))
    def unlink(self, choice: random.Random, share: float) -> None:
        gone = [edge for edge in self.links if choice.random() < share]
        self._forget_edges(gone)

    @precondition(lambda self: self.links)
    @rule(choice=st.randoms(use_true_random=False), links=st.lists(LINKS, min_size=1, max_size=8))
    def reflag(self, choice: random.Random, links: list[Link]) -> None:
        edges = list({choice.choice(sorted(self.links)): None for _ in links})
        others = [
            self.links[edge]._replace(flags=link.flags, confidence=link.confidence)
            for edge, link in zip(edges, links[: len(edges)], strict=True)
        ]
        self.links.update(zip(edges, others, strict=True))
        self.index.reflag(edges, [link.flags for link in others], [link.confidence for link in others])

    @rule(node=NODES)
    def forget_node(self, node: int) -> None:
        self._forget_edges([edge for edge, link in self.links.items() if node in (link.source, link.target)])
        self.index.cover(node + 1)
        self.index.forget_node(node)

    def _forget_edges(self, edges: list[int]) -> None:
        self.index.unlink(edges)
        for edge in edges:
            del self.links[edge]
        self.free += edges

    @invariant()
    def it_holds_what_it_must(self) -> None:
        check_index(self.index, self.links)


@pytest.mark.usefixtures("form")
def test_index_invariants_hold_after_any_edits() -> None:
    run_state_machine_as_test(IndexMachine, settings=settings(examples(30), stateful_step_count=25))


@given_in_both_forms(
    60, populations(), st.lists(st.tuples(st.lists(edits(), max_size=12), st.booleans()), max_size=8)
)
def test_index_columns_and_deltas_follow_the_digraph(
    rows: Tables, groups: list[tuple[list[Edit], bool]]
) -> None:
    graph = graph_of(rows)
    recorder = Notes()
    graph.components = cast("Components", recorder)
    for group, unchanged_too in groups:
        before, fresh = snapshot(rows), fresh_pairs(graph)
        for edit in group:
            edit(rows)
        graph.apply(difference(before, rows, unchanged_too))
        check_graph(graph)
        assert fresh - recorder.removed + recorder.added == fresh_pairs(graph)
        assert recorder.removed <= fresh


class Notes:
    """Takes the place of what follows a graph's shape."""

    def update(self, removed: NDArray[np.int32], added: NDArray[np.int32], nodes: NDArray[np.int32]) -> None:
        self.removed = Counter(map(tuple, removed.tolist()))
        self.added = Counter(map(tuple, added.tolist()))
        self.nodes = set(nodes.tolist())


def fresh_pairs(graph: DependencyGraph) -> "Counter[tuple[int, int]]":
    return Counter(
        (source, target)
        for source, target, record in graph.digraph.weighted_edge_list()
        if not record.flags & STALE
    )
