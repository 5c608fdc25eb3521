"""Kernels that read a binary COPY stream and write records; see ``graphcore.compiled`` for what a kernel may be written in."""
