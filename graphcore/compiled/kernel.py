"""What a kernel is, and the book in which all of them stand."""

from collections.abc import Callable, Iterator
from types import FunctionType
from typing import Any, cast


class Kernel:
    """
    One kernel: ``run`` is the fastest form of it there is at the moment, ``plain`` the function as written.

    Callers look ``run`` up at every call, because it is replaced when the compiled form becomes available. ``nogil`` says
    that the compiled form lets other threads run meanwhile.
    """

    __slots__ = ("nogil", "plain", "run", "signature")

    def __init__(self, signature: str, plain: Callable[..., Any], *, nogil: bool) -> None:
        self.signature = signature
        self.plain = cast("FunctionType", plain)
        self.nogil = nogil
        self.run = plain

    def __call__(self, *arguments: Any) -> Any:
        """Run it; kernels call each other like this."""
        return self.run(*arguments)

    @property
    def name(self) -> str:
        """Where it was declared and how it is called there."""
        return f"{self.plain.__module__}.{self.plain.__qualname__}"


class Kernels:
    """Kernels that become compiled together; iterated in the order in which they were declared."""

    def __init__(self) -> None:
        self._by_name: dict[str, Kernel] = {}

    def __iter__(self) -> Iterator[Kernel]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def declare(self, signature: str, *, nogil: bool = True) -> Callable[[Callable[..., Any]], Kernel]:
        """
        Declare a kernel with its numba signature, such as ``"int64(int32[:, ::1], int64)"``.

        It may call other kernels by their names, never in a circle. Without ``nogil`` it keeps the interpreter's lock, which is
        better for one that takes microseconds: whoever lets go of the lock while another thread waits for it gets it back 5 ms later.
        """

        def declare(plain: Callable[..., Any]) -> Kernel:
            kernel = Kernel(signature, plain, nogil=nogil)
            self._by_name[kernel.name] = kernel
            return kernel

        return declare


KERNELS = Kernels()
"""All kernels of the program: those whose modules have been imported."""

kernel = KERNELS.declare
