"""What a kernel is, and the book in which kernels stand."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import FunctionType
from typing import Any


class Kernel:
    """
    One kernel: ``run`` is the fastest form of it there is at the moment, ``plain`` the function as written.

    Callers look ``run`` up at every call, because it is replaced when the compiled form becomes available. ``nogil`` says
    that the compiled form lets other threads run meanwhile.
    """

    __slots__ = ("nogil", "plain", "run", "signature")

    def __init__(self, signature: str, plain: FunctionType, *, nogil: bool) -> None:
        self.signature = signature
        self.plain = plain
        self.nogil = nogil
        self.run: Callable[..., Any] = plain

    def __call__(self, *arguments: Any) -> Any:
        """Run it; kernels call each other like this."""
        return self.run(*arguments)

    @property
    def name(self) -> str:
        """The module that declares it, and its name there."""
        return f"{self.plain.__module__}.{self.plain.__qualname__}"

    def globals_used(self) -> Mapping[str, Any]:
        """Give the globals that its code may look at, by name; names of attributes that happen to be globals are among them."""
        known = self.plain.__globals__
        return {name: known[name] for name in sorted(self.plain.__code__.co_names) if name in known}

    def calls(self) -> Mapping[str, "Kernel"]:
        """Give the kernels that it calls, by the names it has for them."""
        return {name: value for name, value in self.globals_used().items() if isinstance(value, Kernel)}

    def clone(self, replaced: Mapping[str, Any]) -> FunctionType:
        """Return the plain function with other globals under the names in ``replaced``."""
        plain = self.plain
        clone = FunctionType(plain.__code__, plain.__globals__ | dict(replaced), plain.__name__)
        clone.__qualname__, clone.__module__ = plain.__qualname__, plain.__module__
        return clone


@dataclass(frozen=True, slots=True)
class KernelState:
    """How kernels run now, compiled or as plain Python; ``told`` says how that came about."""

    compiled: bool
    told: str


class Kernels:
    """Kernels that become compiled together; iterated in the order in which they were declared."""

    def __init__(self) -> None:
        self._by_name: dict[str, Kernel] = {}
        self.state = KernelState(compiled=False, told="not compiled yet")

    def __iter__(self) -> Iterator[Kernel]:
        return iter(tuple(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def declare(self, signature: str, *, nogil: bool = True) -> Callable[[Callable[..., Any]], Kernel]:
        """
        Declare a kernel with its signature (see ``graphcore.compiled.signature``), such as ``"int64(int32[:, ::1], int64)"``.

        It may call other kernels by their names, never in a circle, and see the values that globals had when it was compiled.
        ``nogil`` lets other threads run meanwhile, at 0.03 µs a call; a thread that calls short kernels without a pause and
        competes with others that run Python gets about a third less done than one that keeps the lock.
        """

        def declare(plain: Callable[..., Any]) -> Kernel:
            if not isinstance(plain, FunctionType) or plain.__closure__ or plain.__defaults__:
                raise TypeError(
                    f"{plain!r} can't be a kernel: it must be a function without closure and defaults"
                )
            kernel = Kernel(signature, plain, nogil=nogil)
            self._by_name[kernel.name] = kernel
            return kernel

        return declare

    def switch(self, compiled: Mapping[str, Callable[..., Any]]) -> None:
        """Let kernels run as ``compiled`` has them, by name; ``KeyError`` when one is unknown, and nothing changes."""
        forms = [(self._by_name[name], form) for name, form in compiled.items()]
        for kernel, form in forms:
            kernel.run = form


KERNELS = Kernels()
"""All kernels of the program: those whose modules have been imported."""

kernel = KERNELS.declare
