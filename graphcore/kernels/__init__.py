"""Kernels over the arrays of the traversal index; see ``graphcore.compiling`` for what a kernel may be written in."""
