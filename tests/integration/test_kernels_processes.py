"""Kernels are compiled by one process and used by others, which never run stale or foreign code."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import ROOT, clean_environment
from tests.support.folders import open_folder

PATIENCE_SECONDS = 110

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

COMPILE = """
import sys
from pathlib import Path
from graphcore.compiling import compile_kernels, import_kernels
print(compile_kernels(import_kernels(["tiny_package"]), Path(sys.argv[1])))
"""

USE = """
import os, sys
from pathlib import Path
from graphcore.compiling import KERNELS, _numba, import_kernels
from graphcore.kernel_cache import find_compiled, kernel_keys
kernels = import_kernels(["tiny_package"])
if len(sys.argv) > 2:
    _numba().njit("int64(int64)")(lambda number: number)  # imports all: others may be unable to read modules
    kernel_keys(kernels)
    os.setuid(int(sys.argv[2]))
found = find_compiled([Path(sys.argv[1])], kernels)
KERNELS.use(Path(sys.argv[1]), kernels)
from tiny_package.inner import caller
print(found is not None, caller.run(1), caller.run is not caller.plain)
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

    def start(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        path = os.pathsep.join([str(self.sources), str(ROOT)])
        return subprocess.Popen(
            [sys.executable, "-c", code, str(self.kept), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment() | {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        )

    def run(self, code: str, *arguments: str) -> str:
        """Run a process to its end; what it printed, and then its errors."""
        with self.start(code, *arguments) as process:
            written, said = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0, said
        return written.strip()


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


@pytest.fixture(scope="module")
def compiled_package() -> Iterator[Package]:
    """A package that a process of this user has compiled."""
    with open_folder() as folder:
        compiled = Package(folder)
        assert compiled.run(COMPILE) == "True"
        yield compiled


def test_another_process_runs_what_one_has_compiled(compiled_package: Package) -> None:
    assert compiled_package.run(USE) == "True 20 True"
    assert compiled_package.run(COMPILE) == "False"


def test_a_changed_source_is_never_run_as_it_was_compiled_before(compiled_package: Package) -> None:
    package = compiled_package
    before = set(package.kept.iterdir())
    package.write(SOURCE.replace("number + 1", "number + 2"))
    assert package.run(USE) == "False 30 False"
    assert set(package.kept.iterdir()) == before
    assert package.run(COMPILE) == "True"
    assert package.run(USE) == "True 30 True"
    assert len(set(package.kept.glob("*.nbi")) - before) == 2  # the changed kernel and its caller
    package.write(SOURCE)


def test_two_processes_that_start_at_once_compile_once(package: Package) -> None:
    with package.start(COMPILE) as one, package.start(COMPILE) as other:
        said = [process.communicate(timeout=PATIENCE_SECONDS) for process in (one, other)]
    assert sorted(written.strip() for written, _ in said) == ["False", "True"], said
    assert package.run(USE) == "True 20 True"


def test_a_compiler_that_is_killed_leaves_nothing_that_counts(package: Package) -> None:
    # It ends when it is about to write the code of the second kernel.
    dying = (
        "import os, numba.core.caching as caching; "
        "caching.CompileResultCacheImpl.reduce = lambda *_: os._exit(0)"
    )
    assert package.run(f"from graphcore.compiling import _numba; _numba(); {dying}{COMPILE}") == ""
    assert package.run(USE) == "False 20 False"
    assert package.run(COMPILE) == "True"
    assert package.run(USE) == "True 20 True"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_another_user_runs_what_root_has_compiled_and_root_not_what_others_have(
    compiled_package: Package,
) -> None:
    package = compiled_package
    assert package.run(USE, "65534") == "True 20 True"
    kept = (package.kept, *package.kept.iterdir())
    for path in kept:
        os.chown(path, 65534, 65534)
    assert package.run(USE) == "False 20 False"
    for path in kept:
        os.chown(path, 0, 0)
