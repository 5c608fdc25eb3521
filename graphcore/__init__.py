"""
A dependency graph in memory: services, their dependencies, and questions about them.

A library that works without the server, for instance in a notebook:

>>> from graphcore import DependencyGraph, DependencyRecord, Direction, ServiceRecord, reach
>>> shop = [ServiceRecord(1, "web"), ServiceRecord(2, "cart"), ServiceRecord(3, "stock")]
>>> calls = [DependencyRecord("a", 1, 2), DependencyRecord("b", 2, 3), DependencyRecord("c", 3, 2)]
>>> graph = DependencyGraph.from_records(shop, calls)
>>> found = reach(graph, "web", Direction.DOWNSTREAM, max_depth=2)
>>> [graph.digraph[node].name for node in found.nodes.tolist()]
['cart', 'stock']
>>> graph.component_of("cart").members
('cart', 'stock')
"""

from graphcore.components.components import Component, Components
from graphcore.graph.building import GraphBuilder
from graphcore.graph.copying import split_changes
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter, EdgeFlag
from graphcore.graph.records import (
    AliasRecord,
    ChangeSet,
    DependencyRecord,
    DuplicateNameError,
    ServiceRecord,
    UnknownServiceError,
)
from graphcore.traversal import Direction, Reach, adjacency, reach

__all__ = [
    "AliasRecord",
    "ChangeSet",
    "Component",
    "Components",
    "DependencyGraph",
    "DependencyRecord",
    "Direction",
    "DuplicateNameError",
    "EdgeFilter",
    "EdgeFlag",
    "GraphBuilder",
    "Reach",
    "ServiceRecord",
    "UnknownServiceError",
    "adjacency",
    "reach",
    "split_changes",
]
