"""Rows as graphs of networkx, for oracles of analyses."""

import networkx as nx

from tests.support.rows import PlainEdge, PlainFilter, Tables


def counting(rows: Tables, chosen: PlainFilter) -> list[PlainEdge]:
    """The edges of the graph that a filter admits."""
    return [edge for edge in rows.joined_edges() if chosen.admits(edge)]


def digraph(rows: Tables, edges: list[PlainEdge]) -> "nx.DiGraph[str]":
    """All services by name, and who calls whom over these edges."""
    graph: nx.DiGraph[str] = nx.DiGraph()
    graph.add_nodes_from(service.name for service in rows.services.values())
    graph.add_edges_from((rows.name(edge.source), rows.name(edge.target)) for edge in edges)
    return graph
