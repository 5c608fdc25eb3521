"""
Which compiled code counts: keys follow the kernels, and files that others can write are refused.
"""

import os
import stat
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from graphcore import kernel_cache
from graphcore.compiling import Kernels, compile_kernels
from graphcore.kernel_cache import find_compiled, first_writable, is_trusted, kernel_keys, set_key
from server.lifecycle.kernels import kernel_folders
from tests.support import tiny_kernels

SOURCE = """
import constants

LIMIT = 3

@kernel("int64(int64)")
def helper(number):
    return number + 1

@kernel("int64(int64)")
def caller(number):
    return helper(number) * LIMIT + constants.WIDTH

@kernel("int64(int64)")
def bystander(number):
    return number
"""
LOOK_UP = """
@kernel("int64(int64)")
def looked_up(number):
    return TABLE[number]
"""


def keys_of(source: str, width: int = 8, **more: Any) -> dict[str, str]:
    """Return the keys of the kernels in a module with this source."""
    registry, constants = Kernels(), ModuleType("constants")
    constants.__dict__["WIDTH"] = width
    lines = textwrap.dedent(source).replace("import constants", "")
    space = {"__name__": "made", "kernel": registry.declare, "constants": constants, **more}
    exec(compile(lines, "made.py", "exec"), space)  # noqa: S102 - kernels come from source, here as elsewhere
    return {name.removeprefix("made."): key for name, key in kernel_keys(tuple(registry)).items()}


def changed(old: str, new: str) -> Callable[[], dict[str, str]]:
    assert old in SOURCE
    return lambda: keys_of(SOURCE.replace(old, new))


BEFORE = keys_of(SOURCE)
CHANGES: dict[str, tuple[Callable[[], dict[str, str]], set[str]]] = {
    "where it stands": (lambda: keys_of("\n\n# moved\n" + SOURCE), set()),
    "its own code": (changed("* LIMIT", "- LIMIT"), {"caller"}),
    "a constant in it": (changed("number + 1", "number + 2"), {"helper", "caller"}),
    "its signature": (changed('int64(int64)")\ndef caller', 'int64(int32)")\ndef caller'), {"caller"}),
    "a global number": (changed("LIMIT = 3", "LIMIT = 4"), {"caller"}),
    "the type of a global": (changed("LIMIT = 3", "LIMIT = 3.0"), {"caller"}),
    "a number of a module": (lambda: keys_of(SOURCE, width=9), {"caller"}),
    "whether it lets others run": (
        changed('int64(int64)")\ndef helper', 'int64(int64)", nogil=False)\ndef helper'),
        {"helper", "caller"},
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_key_changes_with_what_the_machine_code_depends_on(change: str) -> None:
    make, expected = CHANGES[change]
    keys = make()
    assert {name for name in keys if keys[name] != BEFORE[name]} == expected


def test_a_key_changes_with_the_contents_of_a_global_array() -> None:
    keys = [keys_of(LOOK_UP, TABLE=np.array(values))["looked_up"] for values in ([1, 2], [1, 3], [1, 2])]
    assert keys[0] == keys[2] != keys[1]


@pytest.mark.parametrize("package", ["numba", "llvmlite", "numpy"])
def test_every_key_changes_with_the_version_of_a_compiler(
    package: str, monkeypatch: pytest.MonkeyPatch, fresh_environment: None
) -> None:
    monkeypatch.setattr(kernel_cache, "version", lambda name: "9.9" if name == package else "1.0")
    other = keys_of(SOURCE)
    assert all(other[name] != BEFORE[name] for name in BEFORE)


@pytest.fixture
def fresh_environment() -> Iterator[None]:
    kernel_cache._environment.cache_clear()
    yield
    kernel_cache._environment.cache_clear()


def test_a_global_that_can_change_unnoticed_is_refused() -> None:
    with pytest.raises(TypeError, match="a global dict"):
        keys_of(LOOK_UP, TABLE={})


def test_kernels_that_call_each_other_in_a_cycle_are_refused() -> None:
    source = SOURCE.replace("return number + 1", "return caller(number)")
    with pytest.raises(ValueError, match=r"made\.helper > made\.caller > made\.helper"):
        keys_of(source)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = first_writable([tmp_path / "kernels"])
    assert made is not None
    return made


@pytest.fixture
def registry() -> Kernels:
    made = Kernels()
    made.declare("int64()")(tiny_kernels.five.plain)
    return made


@pytest.fixture
def compiled(folder: Path, registry: Kernels) -> Path:
    before = os.umask(0)  # files that are compiled must be closed to others whatever the umask is
    try:
        assert compile_kernels(tuple(registry), folder)
    finally:
        os.umask(before)
    return folder


def runs_compiled(registry: Kernels, folder: Path) -> bool:
    """Use the folder, call the kernel, and report whether it ran compiled."""
    (kernel,) = registry
    registry.use(folder, [kernel])
    assert kernel.run() == 5
    return kernel.run is not kernel.plain


def test_compiled_kernels_are_found_and_run(compiled: Path, registry: Kernels, tmp_path: Path) -> None:
    assert find_compiled([tmp_path / "nothing", compiled], tuple(registry)) == compiled
    assert runs_compiled(registry, compiled)
    assert registry.are_compiled
    assert not compile_kernels(tuple(registry), compiled)


def test_a_read_only_folder_is_read(compiled: Path, registry: Kernels) -> None:
    for path in (*compiled.iterdir(), compiled):
        path.chmod(path.stat().st_mode & ~0o222)
    try:
        assert find_compiled([compiled], tuple(registry)) == compiled
        assert runs_compiled(registry, compiled)
    finally:
        compiled.chmod(0o755)


def test_a_kernel_that_is_missing_runs_plain_and_is_not_compiled(folder: Path, registry: Kernels) -> None:
    assert not runs_compiled(registry, folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("content", [b"", b"junk"])
def test_a_broken_file_leaves_the_kernel_plain(
    compiled: Path, registry: Kernels, suffix: str, content: bytes
) -> None:
    (path,) = compiled.glob(f"*{suffix}")
    path.write_bytes(content)
    assert not runs_compiled(registry, compiled)
    assert not registry.are_compiled  # the budgets of searches are those of plain kernels


def empty(path: Path) -> None:
    path.write_bytes(b"")


def open_to_others(path: Path) -> None:
    path.chmod(0o666)


@pytest.mark.parametrize("spoil", [empty, Path.unlink, open_to_others])
@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@pytest.mark.parametrize("mark_is_there", [True, False])
def test_compiling_again_replaces_spoilt_files(
    compiled: Path, registry: Kernels, suffix: str, spoil: Callable[[Path], None], mark_is_there: bool
) -> None:
    (path,) = compiled.glob(f"*{suffix}")
    spoil(path)
    if not mark_is_there:
        (compiled / set_key(tuple(registry))).unlink()
    assert compile_kernels(tuple(registry), compiled)
    assert runs_compiled(registry, compiled)
    assert not compile_kernels(tuple(registry), compiled)


def test_code_of_another_key_is_not_loaded(compiled: Path, registry: Kernels) -> None:
    other = Kernels()
    other.declare("int32()")(tiny_kernels.five.plain)
    assert find_compiled([compiled], tuple(other)) is None
    assert not runs_compiled(other, compiled)


@pytest.mark.parametrize("extra", [stat.S_IWGRP, stat.S_IWOTH], ids=["group", "others"])
@pytest.mark.parametrize("pattern", ["", "*.nbi", "*.nbc"], ids=["folder", "index", "code"])
def test_what_others_can_write_is_not_loaded(
    compiled: Path, registry: Kernels, pattern: str, extra: int
) -> None:
    (path,) = compiled.glob(pattern) if pattern else [compiled]
    path.chmod(stat.S_IMODE(path.stat().st_mode) | extra)
    assert not runs_compiled(registry, compiled)
    if not pattern:
        assert find_compiled([compiled], tuple(registry)) is None
        assert first_writable([compiled]) is None


def test_a_link_to_code_is_not_followed(compiled: Path, registry: Kernels, tmp_path: Path) -> None:
    (path,) = compiled.glob("*.nbc")
    path.symlink_to(path.rename(tmp_path / "elsewhere"))
    assert not runs_compiled(registry, compiled)


@pytest.mark.parametrize(
    ("owner", "mode", "trusted"),
    [
        ("me", 0o644, True),
        ("root", 0o644, True),
        ("other", 0o644, False),
        ("me", 0o664, False),
        ("root", 0o646, False),
    ],
)
def test_only_files_of_this_user_and_of_root_are_trusted(owner: str, mode: int, trusted: bool) -> None:
    owners = {"me": os.geteuid(), "root": 0, "other": os.geteuid() + 1}
    status = SimpleNamespace(st_uid=owners[owner], st_mode=stat.S_IFREG | mode)
    path: Any = SimpleNamespace(lstat=lambda: status)
    assert is_trusted(path) is trusted


def test_old_files_are_removed_and_current_ones_stay(compiled: Path, registry: Kernels) -> None:
    old, new = compiled / "of-another-version.nbc", compiled / "new.nbc"
    for path in (old, new, *compiled.iterdir()):
        path.touch()
        if path != new:
            os.utime(path, (1, 1))
    registry.declare("int64(int64)")(tiny_kernels.square.plain)
    compile_kernels(tuple(registry), compiled)
    assert not old.exists()
    assert new.exists()
    assert find_compiled([compiled], tuple(registry)) == compiled
    assert len(list(compiled.glob("*.nbc"))) == 3


def test_files_that_two_versions_share_stay_as_long_as_either(compiled: Path, registry: Kernels) -> None:
    for path in compiled.iterdir():
        os.utime(path, (1, 1))
    middle, last = Kernels(), Kernels()
    for version in (middle, last):
        version.declare("int64(int64)")(tiny_kernels.square.plain)
    middle.declare("int64()")(tiny_kernels.five.plain)
    compile_kernels(tuple(middle), compiled)
    compile_kernels(tuple(last), compiled)
    assert find_compiled([compiled], tuple(middle)) == compiled
    assert runs_compiled(registry, compiled)


def test_the_chosen_folder_comes_first_and_no_data_folder_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    data = tmp_path / "data"
    without = kernel_folders(tmp_path / "chosen", data)
    assert without[0] == tmp_path / "chosen" / "depgraph-kernels"
    assert tmp_path / "user" / "depgraph-kernels" in without
    data.mkdir()
    assert set(kernel_folders(tmp_path / "chosen", data)) - set(without) == {data / "depgraph-kernels"}
