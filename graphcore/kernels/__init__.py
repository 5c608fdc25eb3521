"""Kernels over the arrays of the traversal index; see ``graphcore.compiled`` for what a kernel may be written in."""
