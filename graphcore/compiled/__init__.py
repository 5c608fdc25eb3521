"""Kernels: small functions over arrays that are compiled to machine code where that is at hand, and run as they stand where not."""

from graphcore.compiled.compiling import compile_all
from graphcore.compiled.kernel import KERNELS, Kernel, Kernels, kernel

__all__ = ["KERNELS", "Kernel", "Kernels", "compile_all", "kernel"]
