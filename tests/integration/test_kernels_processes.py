"""Kernels are compiled by one process and used by others, which never run stale or foreign code."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.folders import open_folder
from tests.support.kernel_processes import (
    SOURCE,
    Package,
    Running,
    compile_and_die,
    compile_package,
    in_a_process,
    use_package,
)

NOBODY = 65534


@pytest.fixture
def package(tmp_path: Path) -> Package:
    return Package(tmp_path)


@pytest.fixture(scope="module")
def compiled_package() -> Iterator[Package]:
    """A package that a process of this user has compiled."""
    with open_folder() as folder:
        compiled = Package(folder)
        assert in_a_process(compile_package, compiled) is True
        yield compiled


def test_another_process_runs_what_one_has_compiled(compiled_package: Package) -> None:
    assert in_a_process(use_package, compiled_package) == (True, 20, True)
    assert in_a_process(compile_package, compiled_package) is False


def test_a_changed_source_is_never_run_as_it_was_compiled_before(compiled_package: Package) -> None:
    package = compiled_package
    before = set(package.kept.iterdir())
    package.write(SOURCE.replace("number + 1", "number + 2"))
    assert in_a_process(use_package, package) == (False, 30, False)
    assert set(package.kept.iterdir()) == before
    assert in_a_process(compile_package, package) is True
    assert in_a_process(use_package, package) == (True, 30, True)
    assert len(set(package.kept.glob("*.nbi")) - before) == 2  # the changed kernel and its caller
    package.write(SOURCE)


def test_two_processes_that_start_at_once_compile_once(package: Package) -> None:
    both = [Running(compile_package, package) for _ in range(2)]
    assert sorted(each.result() for each in both) == [False, True]
    assert in_a_process(use_package, package) == (True, 20, True)


def test_a_compiler_that_is_killed_leaves_nothing_that_counts(package: Package) -> None:
    assert in_a_process(compile_and_die, package) is None
    assert in_a_process(use_package, package) == (False, 20, False)
    assert in_a_process(compile_package, package) is True
    assert in_a_process(use_package, package) == (True, 20, True)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can be another user")
def test_another_user_runs_what_root_has_compiled_and_root_not_what_others_have(
    compiled_package: Package,
) -> None:
    package = compiled_package
    assert in_a_process(use_package, package, NOBODY) == (True, 20, True)
    kept = (package.kept, *package.kept.iterdir())
    for path in kept:
        os.chown(path, NOBODY, NOBODY)
    assert in_a_process(use_package, package) == (False, 20, False)
    for path in kept:
        os.chown(path, 0, 0)
