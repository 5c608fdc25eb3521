"""Command lines out of files in ``deploy/``, read by the command itself but not run."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

from typer.main import get_command

from server.cli.main import COMMANDS, _app
from tests.support.command import clean_environment


def settings_of(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """
    Read a command line as ``depgraph`` does, and return the values of its options.

    Raises ``TyperException`` for what the command would refuse. A variable that no option reads
    is an error here, which the command would ignore.
    """
    given = dict(environment or {})
    with patch.dict("os.environ", clean_environment() | given, clear=True):
        command: Any = get_command(_app(COMMANDS))
        rest = list(arguments)
        while hasattr(command, "commands"):
            command = command.commands[rest.pop(0)]
        read = {variable for option in command.params for variable in _variables(option)}
        assert {name for name in given if name.startswith("DEPGRAPH_")} <= read, given
        values: dict[str, Any] = command.make_context("depgraph", rest).params
    return values


def moved(arguments: Sequence[str], folders: Sequence[str], to: Path) -> list[str]:
    """Make the files that arguments name, empty, below ``to``, and name those instead."""
    changed = []
    for argument in arguments:
        flag, equals, value = argument.partition("=")
        if value.startswith("/"):
            assert any(value.startswith(f"{folder}/") for folder in folders), f"{argument} is in no volume"
            file = to / value.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
            value = str(file)
        changed.append(f"{flag}{equals}{value}")
    return changed


def _variables(option: Any) -> list[str]:
    named = getattr(option, "envvar", None) or []
    return [named] if isinstance(named, str) else list(named)
