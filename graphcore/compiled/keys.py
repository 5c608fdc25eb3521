"""
Keys: equal keys mean equal machine code, so that code compiled once can be taken again without looking at the compiler.

Nothing here imports numba or LLVM.
"""

import hashlib
import pkgutil
import platform
import sys
from collections.abc import Iterable
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import PackageNotFoundError, version
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from graphcore.compiled.kernel import Kernel

_MAKERS = ("compiler.py", "entry.py", "keys.py", "scratch.py", "signature.py", "table.py")
"""Sources in this package that decide which code a kernel becomes, and what that code expects of the loader."""

COMPILERS = ("numba", "llvmlite", "numpy")

Key = str
"""Sixteen hexadecimal digits or more."""

_PLAIN_VALUES = (bool, int, float, str, bytes, type(None), np.generic)
_NAMED_VALUES = (type, FunctionType, BuiltinFunctionType, np.ufunc)


def environment_key() -> Key:
    """
    Return the key of everything but the kernels: interpreter, platform, compilers, and this package itself.

    The processor's model is not part of it, since code is compiled for every processor of an architecture.
    """
    return _digest(
        *map(_source_digest, _MAKERS),
        platform.machine(),
        sys.platform,
        EXTENSION_SUFFIXES[0],
        object.__basicsize__,
        *(f"{name} {_version(name)}" for name in COMPILERS),
    )


def kernel_keys(kernels: Iterable[Kernel]) -> dict[str, Key]:
    """
    Return the key of each kernel by its name.

    It stands for code, signature, the values of globals and the kernels that are called. ``ValueError`` when kernels call each
    other in a circle, ``TypeError`` when a kernel uses a global that is no number, array, module, type, function or kernel.
    """
    keys: dict[str, Key] = {}
    for kernel in kernels:
        _add_key(kernel, keys, ())
    return keys


def set_key(keys: dict[str, Key]) -> Key:
    """Return the key of the kernels together."""
    return _digest(*sorted(keys.items()))


def _add_key(kernel: Kernel, keys: dict[str, Key], callers: tuple[str, ...]) -> Key:
    if kernel.name in callers:
        raise ValueError(f"kernels call each other in a circle: {' > '.join((*callers, kernel.name))}")
    if kernel.name not in keys:
        inner = (*callers, kernel.name)
        code = kernel.plain.__code__
        used = [
            (name, _add_key(value, keys, inner) if isinstance(value, Kernel) else _value(value, code, kernel))
            for name, value in kernel.globals_used().items()
        ]
        keys[kernel.name] = _digest(kernel.name, kernel.signature, kernel.nogil, _code(code), used)
    return keys[kernel.name]


def _value(value: Any, code: CodeType, kernel: Kernel) -> Any:
    """Describe a global so that another description means another value."""
    if isinstance(value, ModuleType):
        return [value.__name__, *_constants(value, code)]
    if isinstance(value, _PLAIN_VALUES):
        return [type(value).__name__, repr(value)]
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return [str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, tuple):
        return [_value(part, code, kernel) for part in value]
    if isinstance(value, _NAMED_VALUES):
        return [getattr(value, "__module__", ""), value.__name__]
    raise TypeError(
        f"{kernel.name} uses a global {type(value).__name__}, which may change without being noticed"
    )


def _constants(module: ModuleType, code: CodeType) -> list[tuple[str, str]]:
    """List the numbers of a module that the code may look at: the compiler takes them as they are."""
    looked_at = ((name, getattr(module, name, None)) for name in sorted(code.co_names))
    return [(name, repr(value)) for name, value in looked_at if isinstance(value, (int, float))]


def _code(code: CodeType) -> list[Any]:
    """Describe what code does, leaving out where its source stands."""
    constants = [
        _code(constant) if isinstance(constant, CodeType) else [type(constant).__name__, repr(constant)]
        for constant in code.co_consts
    ]
    return [code.co_code.hex(), code.co_varnames, code.co_names, code.co_argcount, constants]


@cache
def _source_digest(name: str) -> Key:
    try:
        source = pkgutil.get_data(__package__, name)
    except OSError:  # installed without sources: the version of what it was installed with stands for them
        source = _version("depgraph").encode()
    return hashlib.sha256(source or b"").hexdigest()


@cache
def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "missing"


def _digest(*parts: Any) -> Key:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
