"""
Kernels that look at a graph as it would be, without touching the one there is.

``rows`` makes compressed rows of the graph with some pairs taken out and others put in,
``condensation`` shrinks rows to their components, ``upstream`` tells for hundreds of services at a
time who reaches them. What is between is plain: nodes have the numbers 0, 1, …, the targets of the
node ``n`` are ``target[start[n] : start[n + 1]]``, and components are numbered so that none calls a
later one.
"""
