"""Kernels in either of their forms, for tests that must hold in both."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from graphcore.compiled import KERNELS, kernel_state

FORMS = ("plain", "compiled")


@contextmanager
def kernels_in_form(form: str) -> Iterator[None]:
    """Let kernels run as plain Python, or compiled, or skip the test if nothing has compiled them."""
    if form == "compiled":
        if not kernel_state().compiled:
            pytest.skip("nothing has compiled the kernels")
        yield
        return
    former = [(kernel, kernel.run) for kernel in KERNELS]
    for kernel in KERNELS:
        kernel.run = kernel.plain
    try:
        yield
    finally:
        for kernel, run in former:
            kernel.run = run
