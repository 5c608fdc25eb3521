"""
Kernels that read a binary COPY stream and write records.

See ``graphcore.compiling`` for what a kernel may be written in.
"""
