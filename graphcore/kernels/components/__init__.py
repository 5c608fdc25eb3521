"""
Kernels that keep strongly connected components while edges come and go.

Start reading at ``update``; ``layout`` says where everything stands. A lost edge can only split its
component (``split``, with ``reach`` and ``parts``), a gained one only merge components, and only if
it leads back in their order (``merge``, with ``chain`` and ``orders``). ``full`` finds all of them
from nothing.
"""
