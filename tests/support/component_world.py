"""A graph kept twice: as arrays with kept components, and in networkx, which is the oracle."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from graphcore.components.edits import ChangedLabels, ComponentEdits
from graphcore.components.index import ComponentIndex, ComponentSearch
from graphcore.graph.flags import STALE
from graphcore.graph.index import TraversalIndex
from graphcore.kernels.components import LABEL


@dataclass
class Edge:
    source: int
    target: int
    confidence: float = 1.0
    stale: bool = False


@dataclass
class ComponentWorld:
    """Nodes and edges by number; ``apply`` makes a change set of the edits since the last call."""

    work: int | None = None
    floor: float = 0.0
    edges: dict[int, Edge] = field(default_factory=dict)
    nodes: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.arrays = TraversalIndex()
        self.index = ComponentIndex(self.arrays, floor=self.floor, work=self.work)
        self._free: list[int] = []
        self._used = 0
        self._touched_nodes: set[int] = set()
        self._lost: list[tuple[int, int]] = []
        self._gained: list[tuple[int, int]] = []

    def add_nodes(self, nodes: Iterable[int]) -> None:
        for node in nodes:
            self.arrays.cover(node + 1)
            self.nodes.add(node)
            self._touched_nodes.add(node)

    def remove_node(self, node: int) -> None:
        """Remove it with its edges; its number may come again."""
        self.remove_edges(
            [number for number, edge in self.edges.items() if node in {edge.source, edge.target}]
        )
        self.arrays.forget_node(node)
        self.nodes.discard(node)
        self._touched_nodes.add(node)

    def add_edges(self, edges: Sequence[Edge]) -> list[int]:
        numbers = []
        for edge in edges:
            number = self._free.pop() if self._free else self._used
            self._used = max(self._used, number + 1)
            self.edges[number] = edge
            numbers.append(number)
            self._gained += self._if_it_counts(edge)
        self.arrays.link(
            numbers,
            [edge.source for edge in edges],
            [edge.target for edge in edges],
            [STALE * edge.stale for edge in edges],
            [edge.confidence for edge in edges],
        )
        return numbers

    def remove_edges(self, numbers: Sequence[int]) -> None:
        self.arrays.unlink(list(numbers))
        for number in numbers:
            self._lost += self._if_it_counts(self.edges.pop(number))
        self._free += numbers

    def turn(self, number: int) -> None:
        """Let an edge be stale, or no longer."""
        edge = self.edges[number]
        self._lost += self._if_it_counts(edge)
        edge.stale = not edge.stale
        self._gained += self._if_it_counts(edge)
        self.arrays.reflag([number], [STALE * edge.stale], [edge.confidence])

    def edits(self) -> ComponentEdits:
        """Everything that was edited since this was last asked."""
        edits = ComponentEdits(
            _pairs(self._lost),
            _pairs(self._gained),
            [node for node in self._touched_nodes if node in self.nodes],
            [node for node in self._touched_nodes if node not in self.nodes],
        )
        self._lost, self._gained, self._touched_nodes = [], [], set()
        return edits

    def apply(self) -> ChangedLabels | None:
        """Tell the index what was edited."""
        return self.index.update(self.edits())

    def begin(self) -> ComponentSearch:
        return self.index.begin(np.array(sorted(self.nodes), np.int32))

    def catch_up(self) -> None:
        """Search everything if the index is not ready, as often as it takes."""
        while not self.index.is_ready:
            search = self.begin()
            search.run()
            self.index.adopt(search)

    def expected(self) -> dict[tuple[int, ...], int]:
        """The components by networkx: their sorted nodes, with the number of edges inside."""
        counting = [edge for edge in self.edges.values() if self._if_it_counts(edge)]
        reference: nx.DiGraph[int] = nx.DiGraph()
        reference.add_nodes_from(self.nodes)
        reference.add_edges_from((edge.source, edge.target) for edge in counting)
        members = [tuple(sorted(found)) for found in nx.strongly_connected_components(reference)]
        place = {node: found for found in members for node in found}
        inside = dict.fromkeys(members, 0)
        for edge in counting:
            if place[edge.source] == place[edge.target]:
                inside[place[edge.source]] += 1
        return inside

    def kept(self) -> dict[tuple[int, ...], int]:
        """The components of the index in the same form, after a check of their sizes and nodes."""
        index = self.index
        found = {tuple(sorted(index.members(label))): label for label in index.labels(1)}
        for members, label in found.items():
            assert index.size(label) == len(members)
            assert {index.label(node) for node in members} == {label}
        assert sum(map(len, found)) == np.count_nonzero(index._state[LABEL] >= 0)
        return {members: index.edge_count(label) for members, label in found.items()}

    def _if_it_counts(self, edge: Edge) -> list[tuple[int, int]]:
        return [] if edge.stale or edge.confidence < self.floor else [(edge.source, edge.target)]


def _pairs(pairs: list[tuple[int, int]]) -> NDArray[np.int32]:
    return np.array(pairs, np.int32).reshape(-1, 2)
