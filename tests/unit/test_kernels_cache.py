"""Where compiled kernels are kept, which files are believed, and that nothing about files is ever an error."""

import os
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from graphcore.compiled import cache, usual_folders
from graphcore.compiled.folders import is_trusted, made

KEYS = {"a.one": "1" * 32, "a.two": "2" * 32}
CODE = {"a.one": b"machine code", "a.two": bytes(range(256))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "kernels"


@pytest.fixture
def nowhere(tmp_path: Path) -> Path:
    """A folder that nobody can make, root included."""
    (tmp_path / "file").touch()
    return tmp_path / "file" / "kernels"


def kept(folder: Path) -> Path:
    path = cache.keep([folder], CODE, KEYS)
    assert path is not None
    return path


def test_what_is_kept_is_found(folder: Path) -> None:
    path = kept(folder)
    assert path.parent == folder
    assert cache.find([folder], KEYS) == (path, CODE)


def test_other_keys_are_not_found(folder: Path) -> None:
    kept(folder)
    assert cache.find([folder], KEYS | {"a.two": "3" * 32}) is None
    assert cache.find([folder], KEYS | {"a.three": "3" * 32}) is None


def test_another_platform_does_not_find_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept(folder)
    monkeypatch.setattr("platform.machine", lambda: "another")
    assert cache.find([folder], KEYS) is None


def test_what_has_not_changed_is_taken_from_older_files(folder: Path) -> None:
    kept(folder)
    changed = KEYS | {"a.two": "3" * 32}
    assert cache.find_parts([folder], changed) == {"a.one": CODE["a.one"]}


def test_the_first_folder_that_can_be_written_keeps_it(nowhere: Path, folder: Path, tmp_path: Path) -> None:
    path = cache.keep([nowhere, folder, tmp_path / "last"], CODE, KEYS)
    assert path is not None
    assert path.parent == folder
    assert cache.find([nowhere, folder], KEYS) == (path, CODE)


def test_no_folder_that_can_be_written_is_no_error(nowhere: Path) -> None:
    assert cache.keep([nowhere], CODE, KEYS) is None
    assert cache.find([nowhere], KEYS) is None
    with cache.only_one([nowhere]):
        pass


def test_a_folder_that_can_only_be_read_is_read(folder: Path) -> None:
    path = kept(folder)
    path.chmod(0o444)
    folder.chmod(0o555)
    try:
        assert cache.find([folder], KEYS) == (path, CODE)
    finally:
        folder.chmod(0o755)


@pytest.mark.parametrize(
    "content",
    [b"", b"junk", b"depgraph kernels 1\n", None],
    ids=["empty", "foreign", "cut short", "a flipped bit"],
)
def test_a_broken_file_is_as_good_as_none_and_is_replaced(folder: Path, content: bytes | None) -> None:
    path = kept(folder)
    if content is None:
        content = path.read_bytes()
        content = content[:-7] + bytes([content[-7] ^ 1]) + content[-6:]
    path.write_bytes(content)
    assert cache.find([folder], KEYS) is None
    assert cache.find_parts([folder], KEYS) == {}
    assert kept(folder) == path
    assert cache.find([folder], KEYS) == (path, CODE)


@pytest.mark.parametrize("extra", [stat.S_IWGRP, stat.S_IWOTH], ids=["group", "others"])
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_others_can_write_is_not_believed(folder: Path, what: str, extra: int) -> None:
    path = kept(folder)
    spoiled = path if what == "file" else folder
    spoiled.chmod(stat.S_IMODE(spoiled.stat().st_mode) | extra)
    assert cache.find([folder], KEYS) is None
    assert cache.find_parts([folder], KEYS) == {}


def test_a_folder_that_others_can_write_is_not_written(folder: Path, tmp_path: Path) -> None:
    folder.mkdir()
    folder.chmod(0o777)
    path = cache.keep([folder, tmp_path / "next"], CODE, KEYS)
    assert path is not None
    assert path.parent == tmp_path / "next"


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    path = kept(folder)
    moved = path.rename(tmp_path / "elsewhere")
    path.symlink_to(moved)
    assert cache.find([folder], KEYS) is None


@pytest.mark.parametrize(
    ("owner", "mode", "believed"),
    [
        ("me", 0o644, True),
        ("root", 0o644, True),
        ("other", 0o644, False),
        ("me", 0o664, False),
        ("root", 0o646, False),
    ],
)
def test_only_files_of_this_user_and_of_root_are_believed(owner: str, mode: int, believed: bool) -> None:
    owners = {"me": os.geteuid(), "root": 0, "other": os.geteuid() + 1}
    status: Any = SimpleNamespace(st_uid=owners[owner], st_mode=stat.S_IFREG | mode)
    assert is_trusted(status) is believed


def test_a_new_folder_is_closed_to_others_whatever_the_umask(folder: Path) -> None:
    before = os.umask(0)
    try:
        assert made(folder)
        path = kept(folder)
    finally:
        os.umask(before)
    assert is_trusted(folder.stat())
    assert is_trusted(path.stat())


def test_old_files_make_room(folder: Path) -> None:
    for number in range(12):
        path = cache.keep([folder], CODE, KEYS | {"a.two": f"{number:032}"})
        assert path is not None
        os.utime(path, (number, number))
    assert len(list(folder.glob("*.kernels"))) <= 9
    assert cache.find([folder], KEYS | {"a.two": f"{11:032}"}) is not None


def test_the_folder_of_ones_choice_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    listed = usual_folders(first=tmp_path / "chosen", last=tmp_path / "data")
    assert listed[0].parent == tmp_path / "chosen"
    assert listed[-2].parent == tmp_path / "data"
    assert len(usual_folders()) == len(listed) - 2
    assert all(path.name.startswith("depgraph-kernels") for path in listed)
