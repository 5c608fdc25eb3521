"""Kernels: small functions over arrays that are compiled to machine code where that is at hand, and run as they stand where not."""

from collections.abc import Callable
from typing import Any


class Kernel:
    """
    One kernel: ``run`` is the fastest form of it there is at the moment, ``plain`` the function as written.

    Callers look ``run`` up at every call, because it is replaced when the compiled form becomes available.
    """

    __slots__ = ("plain", "run", "signature")

    def __init__(self, signature: str, plain: Callable[..., Any]) -> None:
        self.signature = signature
        self.plain = plain
        self.run = plain

    def __call__(self, *arguments: Any) -> Any:
        """Run it; kernels call each other like this."""
        return self.run(*arguments)


def kernel(signature: str) -> Callable[[Callable[..., Any]], Kernel]:
    """Declare a kernel with its numba signature, such as ``"int64(int32[:, ::1], int64)"``."""

    def declare(plain: Callable[..., Any]) -> Kernel:
        return Kernel(signature, plain)

    return declare
