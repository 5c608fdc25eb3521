"""
A dependency graph in memory: services, who calls whom, and the questions one asks of it.

A library of its own, as much at home in a notebook as in a server:

>>> from graphcore import DependencyGraph, DependencyRecord, Direction, ServiceRecord, traverse
>>> shop = [ServiceRecord(1, "web"), ServiceRecord(2, "cart"), ServiceRecord(3, "stock")]
>>> calls = [DependencyRecord("a", 1, 2), DependencyRecord("b", 2, 3), DependencyRecord("c", 3, 2)]
>>> graph = DependencyGraph.from_records(shop, calls)
>>> [service.name for service in traverse(graph, "web", Direction.DOWNSTREAM, max_depth=2).services]
['cart', 'stock']
>>> graph.component_of("cart").members
('cart', 'stock')
"""

from graphcore.components.components import Component, Components
from graphcore.graph.building import GraphBuilder
from graphcore.graph.copying import parts
from graphcore.graph.dependency_graph import DependencyGraph
from graphcore.graph.flags import EdgeFilter, EdgeFlag
from graphcore.graph.records import (
    ChangeSet,
    DependencyRecord,
    DuplicateNameError,
    ServiceRecord,
    UnknownServiceError,
)
from graphcore.traversal.adjacency_list import adjacency
from graphcore.traversal.reach import Direction, Reach, reach
from graphcore.traversal.traversal import Traversal, TraversedDependency, traverse

__all__ = [
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
    "Traversal",
    "TraversedDependency",
    "UnknownServiceError",
    "adjacency",
    "parts",
    "reach",
    "traverse",
]
