"""Kernels are compiled by one process, once, and loaded by others that know no compiler."""

import os
import subprocess
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from graphcore.compiled import KernelError, Kernels, compile_and_keep, import_kernels, load_packed, parts
from graphcore.compiled.parts import compile_here, compile_parts, process_count
from tests.support import tiny_kernels
from tests.support.command import ROOT, clean_environment

PATIENCE_SECONDS = 110

SOURCE = """
from graphcore.compiled import kernel

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

USE = """
import sys
from pathlib import Path
from graphcore.compiled import import_kernels, kernel_state, load_kept, load_packed
kernels = import_kernels(["tiny_package"])
if sys.argv[1] == "-":
    load_packed(kernels, sys.stdin.buffer.read(), "told")
else:
    assert load_kept(kernels, [Path(sys.argv[1])])
assert kernel_state().compiled
assert {type(each.run).__name__ for each in kernels} == {"builtin_function_or_method"}
from tiny_package.inner import bystander, caller
print(caller.run(1), bystander.run(7), "numba" in sys.modules)
"""


class Package:
    """A package with three kernels, and a folder to keep them in."""

    def __init__(self, folder: Path) -> None:
        self.sources, self.kept = folder / "sources", folder / "kept"
        self._inner = self.sources / "tiny_package" / "inner.py"
        self._inner.parent.mkdir(parents=True)
        (self._inner.parent / "__init__.py").touch()
        self.write(SOURCE)

    def write(self, source: str) -> None:
        self._inner.write_text(source)

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        path = os.pathsep.join([str(self.sources), str(ROOT)])
        return subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=clean_environment() | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def compiling(self, *options: str) -> subprocess.Popen[bytes]:
        return self.start("-m", "graphcore.compiled", f"--folder={self.kept}", *options, "tiny_package")

    def compile(self, *options: str) -> tuple[str, bytes]:
        """Compile to the end; what was said, and what was written."""
        with self.compiling(*options) as process:
            written, said = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, said
        return said.decode(), written

    def use(self, folder: str, content: bytes = b"") -> str:
        """Load the kernels in a new process, from a folder or (``-``) from ``content``; what their use gave."""
        with self.start("-c", USE, folder) as process:
            written, said = process.communicate(content, timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, said
        return written.decode().strip()


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


def test_one_process_compiles_and_others_load(package: Package) -> None:
    said, _ = package.compile()
    assert "compiling 3 kernels" in said
    assert package.use(str(package.kept)) == "20 7 False"

    said, _ = package.compile()
    assert "3 compiled kernels are in" in said

    package.write(SOURCE.replace("number + 1", "number + 2"))
    said, _ = package.compile()
    assert "compiling 2 kernels" in said  # the one that changed and the one that calls it
    assert package.use(str(package.kept)) == "30 7 False"


def test_what_no_folder_can_keep_is_handed_over(package: Package) -> None:
    package.kept.touch()  # a file: no folder can be made there, not even by root
    said, written = package.compile("--aside")
    assert "no folder" in said
    assert package.use("-", written) == "20 7 False"


def test_two_that_start_at_once_compile_once(package: Package) -> None:
    with package.compiling() as one, package.compiling() as other:
        said = [process.communicate(timeout=PATIENCE_SECONDS)[1].decode() for process in (one, other)]
        assert one.returncode == other.returncode == 0, said
    assert sum("compiling 3 kernels" in each for each in said) == 1
    assert sum("3 compiled kernels are in" in each for each in said) == 1
    assert package.use(str(package.kept)) == "20 7 False"


def test_one_that_is_killed_harms_nobody(package: Package) -> None:
    with package.compiling() as process:
        assert process.stderr is not None
        assert b"compiling 3 kernels" in process.stderr.readline()
        process.kill()
    assert not list(package.kept.glob("*.kernels"))
    said, _ = package.compile()
    assert "compiling 3 kernels" in said


def test_several_processes_compile_what_one_does() -> None:
    kernels = import_kernels(["graphcore.kernels.building", "graphcore.kernels.counting"])
    shared, alone = compile_parts(kernels, 2), compile_here(kernels)
    assert shared.keys() == alone.keys() == {kernel.name for kernel in kernels}
    assert process_count(kernels[:1]) == 1
    assert process_count([Kernels().declare("int64()")(tiny_kernels.five.plain)] * 100) == 1


@pytest.mark.parametrize("trouble", [OSError("no semaphores"), BrokenProcessPool()])
def test_one_process_compiles_where_several_can_not(
    monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def refuse(*_: object) -> None:
        raise trouble

    kernels = import_kernels(["graphcore.kernels.counting"])
    monkeypatch.setattr(parts, "process_count", lambda _: 2)
    monkeypatch.setattr(parts, "compile_parts", refuse)
    assert parts.compile_kernels(kernels).keys() == {kernel.name for kernel in kernels}


def test_all_kernels_are_switched_or_none(tmp_path: Path) -> None:
    book = Kernels()
    good = book.declare("int64()")(tiny_kernels.five.plain)

    @book.declare("int64(int64)")
    def bad(number: int) -> int:
        return number.no_such_thing  # type: ignore[attr-defined,no-any-return]

    with pytest.raises(KernelError, match=r"bad can't be compiled: TypingError: .*no_such_thing"):
        compile_and_keep(tuple(book), [tmp_path], lambda _: None)
    assert list(tmp_path.glob("*.kernels")) == []

    _, packed = compile_and_keep([good], [tmp_path], lambda _: None)
    with pytest.raises(ValueError, match="not what was asked for"):
        load_packed(tuple(book), packed, "told", book)
    assert good.run is good.plain
    assert not book.state.compiled

    load_packed([good], packed, "told", book)
    assert good.run is not good.plain
    assert book.state.compiled
