"""Kernels to machine code, with numba."""

from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from graphcore.compiled.kernel import KERNELS, Kernel


def compile_all(kernels: Iterable[Kernel] = KERNELS) -> None:
    """Compile the kernels in this process and let them all run compiled from now on; takes a third of a second each."""
    compiled: dict[int, Any] = {}
    every = tuple(kernels)
    for kernel in every:
        _compile(kernel, compiled)
    for kernel in every:
        kernel.run = compiled[id(kernel)]


def _compile(kernel: Kernel, compiled: dict[int, Any]) -> Any:
    """Compile the kernel after those that it calls."""
    if id(kernel) not in compiled:
        callees = {
            name: _compile(value, compiled)
            for name, value in kernel.plain.__globals__.items()
            if isinstance(value, Kernel) and name in kernel.plain.__code__.co_names
        }
        compiled[id(kernel)] = _jitted(kernel, callees)
    return compiled[id(kernel)]


def _jitted(kernel: Kernel, callees: dict[str, Any]) -> Callable[..., Any]:
    from numba import njit  # noqa: PLC0415 - half a second and 65 MB, for those who compile

    dispatcher = njit(nogil=kernel.nogil)(_clone(kernel.plain, callees))
    dispatcher.compile(kernel.signature)
    dispatcher.disable_compile()
    return dispatcher


def _clone(plain: FunctionType, callees: dict[str, Any]) -> FunctionType:
    """Return the function with other globals in place of the kernels that it calls."""
    clone = FunctionType(plain.__code__, plain.__globals__ | callees, plain.__name__, plain.__defaults__)
    clone.__qualname__, clone.__module__ = plain.__qualname__, plain.__module__
    return clone
