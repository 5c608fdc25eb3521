"""
Which compiled code counts: the keys of kernels, and whose files are trusted.

numba's cache files are pickled and hold machine code: a user who can write them can run programs as
the user who loads them. Nothing here imports numba.
"""

import contextlib
import hashlib
import os
import platform
import stat
import sys
import time
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import version
from pathlib import Path
from types import CodeType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from graphcore.compiling import Kernel

OPTIONS = {"forceinline": True}
"""
numba's options for every kernel. Left alone, LLVM calls smaller kernels in inner loops, and each
call counts references to each array: building an index took twice as long.
"""

_KEPT_SECONDS = 30 * 24 * 3600
_WRITABLE_BY_OTHERS = stat.S_IWGRP | stat.S_IWOTH


def kernel_keys(kernels: Iterable["Kernel"]) -> dict[str, str]:
    """
    Return the key of each kernel by its name: equal keys mean equal machine code.

    A key stands for the kernel's signature and bytecode, the globals that it uses, the keys of the
    kernels that it calls, the versions of Python, numba, llvmlite and numpy, and the platform.
    Raises ``ValueError`` when kernels call each other in a cycle, ``TypeError`` for a global whose
    value may change unnoticed.
    """
    keys: dict[str, str] = {}
    for each in kernels:
        _add_key(each, keys, ())
    return {each.name: keys[each.name] for each in kernels}


def set_key(kernels: Iterable["Kernel"]) -> str:
    """Return the key of the kernels together."""
    return _digest(*sorted(kernel_keys(kernels).items()))


def _add_key(kernel: "Kernel", keys: dict[str, str], callers: tuple[str, ...]) -> str:
    if kernel.name in callers:
        raise ValueError(f"kernels call each other in a cycle: {' > '.join((*callers, kernel.name))}")
    if kernel.name not in keys:
        code, callees = kernel.plain.__code__, kernel.callees()
        called = [_add_key(callee, keys, (*callers, kernel.name)) for callee in callees.values()]
        values = [
            (name, _described(value, code.co_names))
            for name, value in kernel.globals_used().items()
            if name not in callees
        ]
        keys[kernel.name] = _digest(
            _environment(),
            kernel.name,
            kernel.signature,
            kernel.nogil,
            _code_parts(code, kernel.plain.__doc__),
            called,
            values,
        )
    return keys[kernel.name]


def _described(value: Any, names: Sequence[str]) -> Any:
    if isinstance(value, ModuleType):
        found = {name: getattr(value, name, None) for name in names}
        return value.__name__, [pair for pair in found.items() if isinstance(pair[1], (int, float))]
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return str(value.dtype), value.shape, value.tobytes()
    if isinstance(value, tuple):
        return [_described(part, names) for part in value]
    if isinstance(value, (bool, int, float, str, bytes, np.generic)):
        return type(value).__name__, repr(value)
    if isinstance(value, type) or callable(value):
        return getattr(value, "__module__", ""), value.__name__
    raise TypeError(f"a kernel uses a global {type(value).__name__}, which may change without being noticed")


def _code_parts(code: CodeType, doc: str | None = None) -> Any:
    """Return what the code does, without its docstring and where its source is."""
    constants = [
        _code_parts(each) if isinstance(each, CodeType) else repr(each)
        for each in code.co_consts
        if each is not doc or doc is None
    ]
    return code.co_code, code.co_varnames, code.co_names, code.co_argcount, constants


@cache
def _environment() -> str:
    versions = [f"{name} {version(name)}" for name in ("numba", "llvmlite", "numpy")]
    return _digest(platform.machine(), sys.platform, sys.version, EXTENSION_SUFFIXES[0], versions, OPTIONS)


def _digest(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:32]


def is_trusted(path: Path) -> bool:
    """
    Whether only this user and root can write a file or folder that is there; a link never counts.

    Windows has no such modes; its folders above belong to the user or the administrator.
    """
    status = path.lstat()
    if sys.platform == "win32":
        return True
    return status.st_uid in (os.geteuid(), 0) and not status.st_mode & _WRITABLE_BY_OTHERS


def first_writable(folders: Iterable[Path]) -> Path | None:
    """Return the first folder that is there, or can be made, and can be trusted and written."""
    return next(filter(_made, folders), None)


def _made(folder: Path) -> bool:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        if not folder.exists():
            folder.mkdir(exist_ok=True)
            # Whatever the umask is: others read what root has compiled, only the owner writes.
            folder.chmod(0o755)
        return is_trusted(folder) and os.access(folder, os.W_OK)
    except OSError:
        return False


def find_compiled(folders: Iterable[Path], kernels: Sequence["Kernel"]) -> Path | None:
    """Return the first trusted folder that has all the kernels compiled."""
    name = set_key(kernels)
    for folder in folders:
        with contextlib.suppress(OSError):
            if is_trusted(folder) and is_trusted(folder / name):
                return folder
    return None


def remove_old(folder: Path, kernels: Sequence["Kernel"]) -> None:
    """Remove the files of versions that were last compiled more than a month ago."""
    current = (*kernel_keys(kernels).values(), set_key(kernels))
    for path in folder.iterdir():
        if any(key in path.name for key in current):
            # Versions share files: those of a set must not be removed while its mark stays.
            path.touch()
        elif path.stat().st_mtime < time.time() - _KEPT_SECONDS:
            path.unlink(missing_ok=True)


class CachePlace(NamedTuple):
    """Where numba's cache has the code of one kernel: a cache locator, as numba calls it."""

    folder: Path
    key: str
    is_writable: bool

    @classmethod
    def from_function(cls, function: Any, _file: str) -> "CachePlace | None":
        """Return the place of a kernel."""
        place: CachePlace | None = getattr(function, "cache_place", None)
        return place

    def check(self) -> None:
        """Raise ``PermissionError`` unless files of the kernel are there and trusted."""
        files = self._files()
        if not files or not all(map(is_trusted, [self.folder, *files])):
            raise PermissionError(f"{self.folder} has no trusted file for it")

    def remove(self) -> None:
        """Remove the files of the kernel."""
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return list(self.folder.glob(f"*{self.key}*"))

    def ensure_cache_path(self) -> None:
        """Refuse to keep what numba has compiled where it was to be loaded only."""
        if not self.is_writable:
            raise PermissionError(f"{self.folder} has no code for this numba and processor")

    def get_cache_path(self) -> str:
        """Return the folder."""
        return str(self.folder)

    def get_disambiguator(self) -> str:
        """Return what distinguishes the files of this kernel from those of others."""
        return self.key

    def get_source_stamp(self) -> str:
        """Return what is equal only if the kernel is the same."""
        return self.key
