"""How a graph that nobody needs any more goes without keeping anybody waiting."""

from collections import deque
from collections.abc import Iterable, Iterator
from itertools import islice, repeat
from typing import Any, cast

from graphcore.topology import Topology
from graphcore.waiting import WaitingDependencies

_STEP = 1_000


def dismantle(topology: Topology, waiting: WaitingDependencies) -> Iterator[None]:
    """
    Free what a graph holds, some thousands of records a step.

    Edges and nodes stay, without their records: removing them would take longer, and without records they go in a few milliseconds
    altogether. No list of all records is made, because the garbage collector would look through it, for twenty milliseconds each time.
    """
    for column in (topology.dependency_payloads, topology.service_payloads, topology.service_briefs):
        yield from column.emptying()
    digraph, nothing = topology.digraph, repeat(cast("Any", None))
    for edge_by_dependency in topology.edge_by_dependency.shards():
        for edges in _steps(edge_by_dependency.values()):
            deque(map(digraph.update_edge_by_index, edges, nothing), maxlen=0)
            yield
        edge_by_dependency.clear()
    for nodes in _steps(topology.node_by_service.values()):
        deque(map(digraph.__setitem__, nodes, nothing), maxlen=0)
        yield
    topology.node_by_service.clear()
    topology.node_by_name.clear()
    digraph.clear()
    yield
    while waiting:
        waiting.forget_newest(_STEP)
        yield


def _steps(indices: Iterable[int]) -> Iterator[list[int]]:
    remaining = iter(indices)
    while some := list(islice(remaining, _STEP)):
        yield some
