"""What memory holds at one moment, noted while it stands still."""

from graphcore import DependencyGraph
from server.domain.held import HeldGraph
from server.replica.records import entry_of
from server.turns import Turns

_LOT = 1_000


async def held_graph(graph: DependencyGraph) -> HeldGraph:
    """Note all records of a graph, which stands still meanwhile; lets others run every millisecond. O(V + E)."""
    held, turns = HeldGraph(), Turns()
    for nodes in graph.service_lots(_LOT):
        held.services.add(map(entry_of, nodes))
        await turns.next()
    for edges in graph.dependency_lots(_LOT):
        held.dependencies.add(map(entry_of, edges))
        await turns.next()
    held.dependencies.add(map(entry_of, graph.waiting_dependencies()))
    return held
