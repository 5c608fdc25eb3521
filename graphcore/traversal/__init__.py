"""Breadth-first walks over a graph, and its adjacency list."""
