"""Kernels: small functions over arrays that are compiled to machine code where that is at hand, and run as they stand where not."""

from graphcore.compiled.folders import first_writable, usual_folders
from graphcore.compiled.kernel import KERNELS, Kernel, Kernels, KernelState, kernel
from graphcore.compiled.parts import KernelError
from graphcore.compiled.start import (
    compile_all,
    compile_and_keep,
    import_kernels,
    is_kept,
    kernel_state,
    load_kept,
    load_packed,
)

__all__ = [
    "KERNELS",
    "Kernel",
    "KernelError",
    "KernelState",
    "Kernels",
    "compile_all",
    "compile_and_keep",
    "first_writable",
    "import_kernels",
    "is_kept",
    "kernel",
    "kernel_state",
    "load_kept",
    "load_packed",
    "usual_folders",
]
