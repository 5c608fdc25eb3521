"""How a graph that nobody needs any more goes without keeping anybody waiting."""

from collections.abc import Iterator
from typing import Any, TypeVar, cast

import numpy as np

from graphcore.topology import Topology
from graphcore.waiting import WaitingDependencies

T = TypeVar("T")

_STEP = 2_000


def dismantle(topology: Topology, waiting: WaitingDependencies) -> Iterator[None]:
    """
    Free what a graph holds, some thousands of records a step.

    Edges and nodes stay, without their records: removing them would take longer, and without records they go in nanoseconds.
    """
    digraph, nothing = topology.digraph, cast("Any", None)
    for edge_by_dependency in topology.edge_by_dependency.shards():
        for edges in _emptied(edge_by_dependency):
            topology.dependency_payloads.clear(np.array(edges, np.int32))
            for edge in edges:
                digraph.update_edge_by_index(edge, nothing)
            yield
    for nodes in _emptied(topology.node_by_service):
        topology.service_payloads.clear(np.array(nodes, np.int32))
        topology.service_briefs.clear(np.array(nodes, np.int32))
        for node in nodes:
            digraph[node] = nothing
        yield
    for _ in _emptied(topology.node_by_name):
        yield
    while waiting:
        waiting.forget_newest(_STEP)
        yield


def _emptied(table: dict[T, int]) -> Iterator[list[int]]:
    """Empty a table from its end and yield the values, a step's worth at a time."""
    while table:
        yield [table.popitem()[1] for _ in range(min(_STEP, len(table)))]
    table.clear()
