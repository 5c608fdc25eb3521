"""
Kernels that keep strongly connected components while edges come and go.

Start reading at ``update``; ``layout`` describes the arrays. A lost edge can only split its
component (``split``, with ``reach`` and ``parts``). A gained edge can only merge components, and
only if it leads back in their order (``merge``, with ``chain`` and ``orders``). ``full`` finds all
components of a graph.
"""
