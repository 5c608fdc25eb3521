"""Kernels that read a binary COPY stream and write records; see ``graphcore.compiling`` for what a kernel may be written in."""
