"""
Kernels over the arrays of the traversal index.

See ``graphcore.compiling`` for what a kernel may be written in.
"""
