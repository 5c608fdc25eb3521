"""The adjacency list: per service the services it calls directly."""

from graphcore.flags import STALE
from graphcore.graph import DependencyGraph


def adjacency(graph: DependencyGraph, *, include_stale: bool = False) -> list[tuple[str, tuple[str, ...]]]:
    """
    List every service with the names it calls directly, distinct; both sorted by code point, services without any included.

    O(V log V + E log E).
    """
    digraph = graph.digraph
    name_of = {node: digraph[node].name for node in digraph.node_indices()}
    blocked = 0 if include_stale else STALE
    targets: dict[str, set[str]] = {name: set() for name in name_of.values()}
    for source, target, record in digraph.weighted_edge_list():
        if not record.flags & blocked:
            targets[name_of[source]].add(name_of[target])
    return [(name, tuple(sorted(targets[name]))) for name in sorted(targets)]
