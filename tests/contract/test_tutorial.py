"""The commands of docs/tutorial.md, run in their order; their outputs are those of the page."""

import os
import pty
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.support.command import ROOT, clean_environment, serving
from tests.support.eventually import PATIENCE_SECONDS

pytestmark = [pytest.mark.one_transport, pytest.mark.usefixtures("servers_without_numba")]

PAGE = ROOT / "docs" / "tutorial.md"
DONE_BY_THE_TEST = ["make setup", 'export PATH="$PWD/.venv/bin:$PATH"', "depgraph serve"]
WATCH = "depgraph watch"
CHANGES_SOMETHING = ("depgraph import", "depgraph apply", "depgraph alerts ack", "echo")
VARYING = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d)?|\d+\.\d s$|127\.0\.0\.1:\d+|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
)
ALERT_ID = re.compile(r"^[0-9a-f]{8}(?=  )")


class Step(NamedTuple):
    """A command, and the lines that it prints; a line ``…`` stands for any."""

    command: str
    lines: list[str]


def steps() -> Iterator[Step]:
    for block in re.findall(r"```console\n(.*?)```", PAGE.read_text(), re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.rstrip("\n").split("\n")
            yield Step(command, lines)


# Of a status: a reporter with a long name makes room for it, once the server has read of it.
COLUMNS = re.compile(r"(?<=\S) {3,}")


def matches(expected: list[str], printed: list[str]) -> bool:
    lines = ["(?:.*\n)*?.*" if line == "…" else re.escape(fixed(line)) for line in expected]
    return re.fullmatch("\n".join(lines), "\n".join(map(fixed, printed))) is not None


def fixed(line: str) -> str:
    """Take out what differs from run to run, such as how far columns of a status are apart."""
    return COLUMNS.sub("  ", VARYING.sub("?", ALERT_ID.sub("?", line)))


class Shell:
    """Runs commands as the page does, in a folder with the examples."""

    def __init__(self, folder: Path, address: str) -> None:
        (folder / "examples").symlink_to(ROOT / "examples")
        programs = Path(sys.executable).parent
        self.folder = folder
        self.environment = clean_environment() | {
            "DEPGRAPH_ADDRESS": address,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        }
        self.alerts: dict[str, str] = {}

    def run(self, step: Step) -> list[str]:
        """Run a command; one that asks is repeated until it prints what the page says."""
        command = self.own(step.command)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            finished = subprocess.run(
                ["sh", "-c", command],  # noqa: S607
                cwd=self.folder,
                env=self.environment,
                capture_output=True,
                text=True,
                check=False,
            )
            printed = (finished.stdout + finished.stderr).splitlines()
            is_final = command.startswith(CHANGES_SOMETHING) or time.monotonic() > deadline
            if is_final or matches([*map(self.own, step.lines)], printed):
                self._learn_ids(step.lines, printed)
                return printed

    def own(self, text: str) -> str:
        """Write the ids of this run's alerts for those of the page."""
        return re.sub(r"\b[0-9a-f]{8}\b", lambda found: self.alerts.get(found[0], found[0]), text)

    def _learn_ids(self, expected: list[str], printed: list[str]) -> None:
        of_page = [found[0] for line in expected if (found := ALERT_ID.match(line))]
        of_run = [found[0] for line in printed if (found := ALERT_ID.match(line))]
        self.alerts |= dict(zip(of_page, of_run, strict=False))

    @contextmanager
    def watching(self) -> Iterator[int]:
        """Run ``depgraph watch`` on a terminal, where it says when it has begun."""
        ours, theirs = pty.openpty()
        with subprocess.Popen(
            ["sh", "-c", f"exec {WATCH}"],  # noqa: S607
            cwd=self.folder,
            env=self.environment,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
        ) as process:
            os.close(theirs)
            try:
                yield ours
            finally:
                process.terminate()
                os.close(ours)


def read_lines(terminal: int, count: int) -> list[str]:
    """Read the next lines of a terminal."""
    text = b""
    while text.count(b"\n") < count:
        text += os.read(terminal, 1)
    return text.decode().replace("\r\n", "\n").splitlines()


def test_the_tutorial_prints_what_it_says(data_folder: Path, tmp_path: Path) -> None:
    assert shutil.which("depgraph", path=str(Path(sys.executable).parent)), "the package is installed"
    page = list(steps())
    assert [step.command for step in page[:3]] == DONE_BY_THE_TEST
    with serving("--data-dir", str(data_folder)) as (address, _):
        assert matches(page[2].lines, [f"serving on {address}"])
        shell = Shell(tmp_path, address)
        for place, step in enumerate(page[3:], start=3):
            if step.command == WATCH:
                with shell.watching() as terminal:
                    begun = read_lines(terminal, 1)
                    follow(shell, page[place + 1])
                    assert begun + read_lines(terminal, len(step.lines) - 1) == step.lines
            elif page[place - 1].command != WATCH:
                follow(shell, step)


def follow(shell: Shell, step: Step) -> None:
    printed = shell.run(step)
    assert matches([*map(shell.own, step.lines)], printed), f"$ {step.command}\n" + "\n".join(printed)
