"""
Kernels that examine a graph as it would be after a change, without changing the graph itself.

``rows`` makes compressed rows of the graph with some pairs removed and others added, and shrinks
them to their components; ``upstream`` finds for hundreds of services at a time what reaches them.
In the rows that they pass on, nodes have the numbers 0, 1, …, the targets of node ``n`` are
``target[start[n] : start[n + 1]]``, and components are numbered so that none calls a later one.
"""
