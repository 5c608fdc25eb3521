"""Help, version, completion and pipes of the command, as a person meets them. No server."""

import os
import subprocess
import sys
from importlib import metadata

import pytest

from server.cli.__main__ import requirement
from server.cli.main import COMMANDS, run
from tests.support.command import ROOT, clean_environment, depgraph, depgraph_here
from tests.support.terminal import on_terminal

pytestmark = pytest.mark.one_transport

GROUPS = pytest.mark.parametrize("group", [[], ["alerts"], ["migrate"]], ids=["bare", "alerts", "migrate"])


@GROUPS
def test_a_group_without_a_command_prints_its_help_to_a_pipe(group: list[str]) -> None:
    finished = depgraph_here(*group)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert finished.stdout.startswith(f"Usage: {' '.join(['depgraph', *group])} [OPTIONS] COMMAND")
    assert len(finished.stdout.splitlines()) > 5


@GROUPS
@pytest.mark.parametrize("columns", [60, 120])
def test_summaries_of_commands_fit_their_column(group: list[str], columns: int) -> None:
    seen = on_terminal(*group, columns=columns)
    assert seen.code == 0
    commands = seen.lines[seen.lines.index("Commands:") + 1 :]
    assert len(commands) >= 3
    assert all(line.endswith(".") and not line.endswith("...") for line in commands)
    assert max(map(len, seen.lines)) <= columns


# `serve` has variables whose names are wider than the column that explains them.
@pytest.mark.parametrize("command", sorted(COMMANDS.keys() - {"serve"}))
def test_help_of_60_columns_breaks_only_between_words(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    screens = []
    for columns in ("60", "120"):
        monkeypatch.setenv("COLUMNS", columns)
        assert run([command, "--help"]) == 0
        screens.append(capsys.readouterr().out)
    assert max(map(len, screens[0].splitlines())) <= 60
    assert screens[0].split() == screens[1].split()


def test_the_version_needs_no_extra() -> None:
    hide_typer = "import sys; sys.modules['typer'] = None; from server.cli.__main__ import main; main()"
    finished = subprocess.run(
        [sys.executable, "-c", hide_typer, "--version"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert finished.stdout == f"depgraph {metadata.version('depgraph')}\n"
    assert depgraph("--version").stdout == finished.stdout


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        (None, "depgraph[server]"),
        ('{"url": "file:///src/depgraph", "dir_info": {}}', "depgraph[server] @ file:///src/depgraph"),
        (
            '{"url": "https://git.test/depgraph", "vcs_info": {"vcs": "git", "commit_id": "abc"}}',
            "depgraph[server] @ git+https://git.test/depgraph@abc",
        ),
    ],
)
def test_the_hint_for_a_missing_extra_names_where_the_package_came_from(
    origin: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metadata.Distribution, "read_text", lambda _self, _name: origin)
    monkeypatch.setattr(metadata.PathDistribution, "read_text", lambda _self, _name: origin)
    assert requirement("server") == expected


@pytest.mark.parametrize(
    ("words", "offered"),
    [("depgraph sho", "show"), ("depgraph alerts re", "resolve"), ("depgraph show --dep", "--depth")],
)
def test_bash_completes_commands_and_options(words: str, offered: str) -> None:
    asked = {"_DEPGRAPH_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": f"{words.count(' ')}"}
    finished = depgraph(environment=asked)
    assert (finished.returncode, finished.stderr) == (0, "")
    assert offered in finished.stdout.split()


def test_completion_can_be_shown_and_installed() -> None:
    finished = depgraph("--show-completion", "bash")
    assert "_DEPGRAPH_COMPLETE=complete_bash" in finished.stdout
    assert "--install-completion" in depgraph_here("--help").stdout


@pytest.mark.parametrize("arguments", [["--help"], ["migrate", "up", "--sql"]], ids=["short", "long"])
def test_a_reader_that_closes_the_pipe_early_is_no_failure(arguments: list[str]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        finished = subprocess.run(
            [sys.executable, "-m", "server.cli", *arguments],
            stdout=writing,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=clean_environment(),
            timeout=60,
            check=False,
        )
    finally:
        os.close(writing)
    assert (finished.returncode, finished.stderr) == (0, b"")
