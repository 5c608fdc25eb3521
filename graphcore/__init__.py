"""
A dependency graph in memory: services, who calls whom, and the questions one asks of it.

A library of its own, as much at home in a notebook as in a server:

>>> from graphcore import DependencyGraph, DependencyRecord, Direction, ServiceRecord, components, traverse
>>> shop = [ServiceRecord(1, "web"), ServiceRecord(2, "cart"), ServiceRecord(3, "stock")]
>>> calls = [DependencyRecord("a", 1, 2), DependencyRecord("b", 2, 3), DependencyRecord("c", 3, 2)]
>>> graph = DependencyGraph.from_records(shop, calls)
>>> [service.name for service in traverse(graph, "web", Direction.DOWNSTREAM, max_depth=2).services]
['cart', 'stock']
>>> components(graph).of("cart").members
('cart', 'stock')
"""

from graphcore.adjacency import adjacency
from graphcore.building import GraphBuilder
from graphcore.changes import ChangeSet, DependencyRecord, ServiceRecord
from graphcore.components import Component, Components, components
from graphcore.copying import parts
from graphcore.errors import DuplicateNameError, UnknownServiceError
from graphcore.flags import EdgeFilter, EdgeFlag
from graphcore.graph import DependencyGraph
from graphcore.reach import Direction, Reach, reach
from graphcore.traversal import Traversal, TraversedDependency, traverse

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
    "components",
    "parts",
    "reach",
    "traverse",
]
