"""Many kernels compiled by several processes, since numba holds one processor only."""

import multiprocessing
import os
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from importlib import import_module

from graphcore.compiled import cache
from graphcore.compiled.kernel import KERNELS, Kernel

# A process takes 1.5 s to begin with, and compiles for itself what kernels of others call.
_LEAST_KERNELS = 20
_MOST_PROCESSES = 4


def process_count(kernels: Sequence[Kernel]) -> int:
    """Tell how many processes should share these kernels; 1 = they are compiled soonest where one is."""
    known = {id(kernel) for kernel in KERNELS}
    if not all(id(kernel) in known for kernel in kernels):
        # Another process finds kernels by importing what declares them, into the book of the program.
        return 1
    return max(1, min(_processors(), len(kernels) // _LEAST_KERNELS, _MOST_PROCESSES))


def compile_kernels(kernels: Sequence[Kernel], *, alone: bool = False) -> cache.Code:
    """Compile kernels, many of them in several processes unless it is to be done ``alone``; raises ``KernelError``."""
    processes = 1 if alone else process_count(kernels)
    if processes > 1:
        # Semaphores may be missing, and a program read from standard input can't be started again.
        with suppress(OSError, ImportError, BrokenProcessPool):
            return compile_parts(kernels, processes)
    return compile_here(kernels)


def compile_parts(kernels: Sequence[Kernel], processes: int) -> cache.Code:
    """Compile kernels of the program in so many processes; raises what ``compile_here`` raises."""
    modules = [(kernel.plain.__module__, kernel.name) for kernel in kernels]
    # Kernels of one module call each other.
    shares = [
        modules[len(modules) * part // processes : len(modules) * (part + 1) // processes]
        for part in range(processes)
    ]
    code: dict[str, bytes] = {}
    # Spawned: a fork would take over threads of gRPC and LLVM in whatever state they are.
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        for part in pool.map(_compile_share, shares):
            code.update(part)
    return code


def compile_here(kernels: Sequence[Kernel]) -> cache.Code:
    """Compile kernels in this process; raises ``KernelError``."""
    from graphcore.compiled.compiler import Compiler  # noqa: PLC0415 - imports numba

    compiler = Compiler()
    code: dict[str, bytes] = {}
    for kernel in kernels:
        try:
            code[kernel.name] = compiler.object_code(kernel)
        except Exception as error:
            # numba's first line says at which step, the next ones what is wrong, many more where.
            words = " ".join(str(error).split("\n\n")[0].split())
            raise KernelError(f"{kernel.name} can't be compiled: {type(error).__name__}: {words}") from error
    return code


class KernelError(Exception):
    """A kernel that can't be compiled; tells which, and why in numba's words."""


def _compile_share(share: Sequence[tuple[str, str]]) -> cache.Code:
    for module, _ in share:
        import_module(module)
    names = {name for _, name in share}
    return compile_here([kernel for kernel in KERNELS if kernel.name in names])


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
