"""Kernels that run compiled for a while."""

from collections.abc import Iterator
from contextlib import contextmanager

from graphcore.compiled import KERNELS, compile_all


@contextmanager
def compiled_kernels() -> Iterator[None]:
    """Let all kernels run compiled while the context lasts, and as they did before afterwards; the first time takes half a minute."""
    before, state = [(kernel, kernel.run) for kernel in KERNELS], KERNELS.state
    compile_all()
    try:
        yield
    finally:
        for kernel, run in before:
            kernel.run = run
        KERNELS.state = state
