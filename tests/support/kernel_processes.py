"""
A package with three kernels, and processes that compile and use them.

They are forked from one that has imported numba, which takes each of them half a second otherwise.
"""

import os
import sys
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from unittest.mock import patch

from graphcore.compiling import KERNELS, Kernel, compile_kernels, import_kernels
from graphcore.kernel_cache import find_compiled, kernel_keys

PATIENCE_SECONDS = 110
FORKING = get_context("forkserver")
FORKING.set_forkserver_preload(["tests.support.prepared_numba"])

SOURCE = """
from graphcore.compiling import kernel

@kernel("int64(int64)")
def helper(number):
    return number + 1

@kernel("int64(int64)")
def caller(number):
    return helper(number) * 10

@kernel("int64(int64)")
def bystander(number):
    return number
"""


class Package:
    """A package with three kernels, and a folder to keep them in."""

    def __init__(self, folder: Path) -> None:
        self.sources, self.kept = folder / "sources", folder / "kept"
        self._inner = self.sources / "tiny_package" / "inner.py"
        self._inner.parent.mkdir(parents=True)
        self.kept.mkdir()
        self.kept.chmod(0o755)
        (self._inner.parent / "__init__.py").touch()
        self.write(SOURCE)

    def write(self, source: str) -> None:
        self._inner.write_text(source)

    def kernels(self) -> tuple[Kernel, ...]:
        sys.dont_write_bytecode = True  # a source that changes within a second would not be read again
        sys.path.insert(0, str(self.sources))
        return import_kernels(["tiny_package"])


class Running:
    """A process that does some work; it ends without a result if the work ends it."""

    def __init__(self, work: Callable[..., Any], *arguments: Any) -> None:
        self._answer, there = FORKING.Pipe(duplex=False)
        self._process = FORKING.Process(target=_answered, args=(there, work, arguments))
        self._process.start()
        there.close()

    def result(self) -> Any:
        """Wait for the end; return what the work returned, or None."""
        assert self._answer.poll(PATIENCE_SECONDS)
        try:
            return self._answer.recv()
        except EOFError:
            return None
        finally:
            self._answer.close()
            self._process.join(PATIENCE_SECONDS)
            assert self._process.exitcode == 0
            self._process.close()


def in_a_process(work: Callable[..., Any], *arguments: Any) -> Any:
    """Return what the work returns in a process of its own."""
    return Running(work, *arguments).result()


def compile_package(package: Package) -> bool:
    """Return whether anything was missing."""
    return compile_kernels(package.kernels(), package.kept)


def compile_and_die(package: Package) -> None:
    """End when about to write the code of the second kernel."""
    from numba.core import caching  # noqa: PLC0415 - only where it has been imported

    with patch.object(caching.CompileResultCacheImpl, "reduce", lambda *_: os._exit(0)):
        compile_package(package)


def use_package(package: Package, uid: int | None = None) -> tuple[bool, int, bool]:
    """Return whether all were found compiled, what one returns for 1, and if it is compiled."""
    kernels = package.kernels()
    if uid is not None:
        kernel_keys(kernels)  # imports all: others may be unable to read modules
        os.setuid(uid)
    found = find_compiled([package.kept], kernels)
    KERNELS.use(package.kept, kernels)
    (caller,) = (each for each in kernels if each.name.endswith(".caller"))
    return found is not None, caller.run(1), caller.run is not caller.plain


def _answered(answer: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    with answer:
        answer.send(work(*arguments))
