"""Files that are read again when they change; the value is the number that stands in them."""

import asyncio
import contextlib
import os
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from server.access.reloading import NamedFile, Reloaded, UnusableFileError, keep_looking
from tests.support.eventually import eventually

YESTERDAY = 86_400


@pytest.fixture
def file(tmp_path: Path) -> NamedFile:
    (tmp_path / "number").write_text("1")
    return NamedFile("--number", tmp_path / "number")


def number(file: NamedFile) -> Reloaded[int]:
    def parse(contents: bytes) -> int:
        if not contents.isdigit():
            raise file.unusable(f"{contents.decode()!r} is no number")
        return int(contents)

    return Reloaded(parse, file)


def events(lines: Sequence[EventDict], level: str) -> list[object]:
    return [line["event"] for line in lines if line["log_level"] == level]


def test_a_changed_file_is_read_at_the_next_look(file: NamedFile) -> None:
    reloaded = number(file)
    file.path.write_text("2")
    assert reloaded.value == 1
    reloaded.look()
    assert (reloaded.value, reloaded.problem) == (2, "")


def test_a_change_that_leaves_size_and_time_as_they_were_is_seen(file: NamedFile) -> None:
    reloaded = number(file)
    times = file.path.stat()
    for digit in range(2, 10):
        file.path.write_text(str(digit))
        os.utime(file.path, ns=(times.st_atime_ns, times.st_mtime_ns))
        reloaded.look()
        assert reloaded.value == digit


def test_a_swapped_symlink_is_a_change(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "number").write_text("1" if name == "old" else "2")
    (tmp_path / "data").symlink_to("old")
    (tmp_path / "number").symlink_to("data/number")
    reloaded = number(NamedFile("--number", tmp_path / "number"))
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").replace(tmp_path / "data")
    reloaded.look()
    assert reloaded.value == 2


def test_a_broken_file_keeps_the_value_is_a_problem_and_one_warning_until_it_is_mended(
    file: NamedFile,
) -> None:
    reloaded = number(file)
    file.path.write_text("x")
    with capture_logs() as lines:
        for _ in range(3):
            reloaded.look()
    assert reloaded.value == 1
    assert reloaded.problem == f"--number {file.path}: 'x' is no number; what was read before stays in use"
    assert len(events(lines, "warning")) == len(lines) == 1
    file.path.write_text("3")
    reloaded.look()
    assert (reloaded.value, reloaded.problem) == (3, "")


def test_a_broken_file_that_becomes_what_it_was_is_no_problem_any_more(file: NamedFile) -> None:
    reloaded = number(file)
    for contents in ("x", "1"):
        file.path.write_text(contents)
        reloaded.look()
    assert (reloaded.value, reloaded.problem) == (1, "")


def test_a_missing_file_keeps_the_value_and_is_a_problem_until_it_is_back(file: NamedFile) -> None:
    reloaded = number(file)
    file.path.unlink()
    with capture_logs() as lines:
        for _ in range(3):
            reloaded.look()
    assert reloaded.value == 1
    assert "No such file" in reloaded.problem
    assert len(events(lines, "warning")) == len(lines) == 1
    file.path.write_text("1")
    reloaded.look()
    assert reloaded.problem == ""


def test_a_mistake_of_the_parser_keeps_the_value_and_is_logged_once(file: NamedFile) -> None:
    reloaded = Reloaded(lambda contents: 1 // int(contents), file)
    file.path.write_text("0")
    with capture_logs() as lines:
        for _ in range(3):
            reloaded.look()
    assert reloaded.value == 1
    assert "unexpected ZeroDivisionError" in reloaded.problem
    assert len(events(lines, "error")) == len(lines) == 1


def test_a_file_that_is_as_it_was_is_neither_parsed_nor_logged(file: NamedFile) -> None:
    parsed: list[bytes] = []
    reloaded = Reloaded(parsed.append, file)
    with capture_logs() as lines:
        for _ in range(3):
            file.path.touch()
            reloaded.look()
    assert (parsed, lines) == ([b"1"], [])


def test_an_old_file_is_not_even_read_at_a_look(file: NamedFile, monkeypatch: pytest.MonkeyPatch) -> None:
    now = file.path.stat().st_ctime_ns + YESTERDAY * 10**9
    monkeypatch.setattr("server.access.reloading.time.time_ns", lambda: now)
    reloaded = number(file)
    monkeypatch.setattr(Path, "read_bytes", lambda _: pytest.fail("read"))
    reloaded.look()
    assert reloaded.value == 1


def test_several_files_are_one_value(tmp_path: Path) -> None:
    files = [NamedFile(f"--{name}", tmp_path / name) for name in ("one", "two")]
    for each in files:
        each.path.write_text("a")
    reloaded = Reloaded(lambda one, two: one + two, *files)
    files[1].path.write_text("b")
    reloaded.look()
    assert reloaded.value == b"ab"


def test_what_is_wrong_at_the_start_is_an_error_that_names_flag_and_file(file: NamedFile) -> None:
    file.path.write_text("x")
    with pytest.raises(UnusableFileError, match=f"^--number {file.path}: 'x' is no number$"):
        number(file)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda _: None, "No such file or directory"),
        (Path.mkdir, "this is no regular file"),
        # Reading it would wait for a writer.
        (os.mkfifo, "this is no regular file"),
    ],
)
def test_a_file_that_can_t_be_read_at_the_start_is_named_with_the_reason(
    tmp_path: Path, make: Callable[[Path], None], why: str
) -> None:
    make(tmp_path / "number")
    with pytest.raises(UnusableFileError, match=f"^--number {tmp_path}/number: {why}$"):
        number(NamedFile("--number", tmp_path / "number"))


async def test_a_problem_shows_without_anyone_looking(file: NamedFile) -> None:
    reloaded = number(file)
    looking = asyncio.create_task(keep_looking([reloaded], timedelta(milliseconds=1)))
    file.path.write_text("x")
    await eventually(lambda: "no number" in reloaded.problem)
    looking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await looking
