"""What a failed command prints, one line, and the exit codes (docs/commands.md)."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import typer

from server.cli.render.text import printable
from server.domain.errors import DomainError, InvalidInputError
from server.formats.documents import FormatError, read_file

DocumentT = TypeVar("DocumentT")

FAILED = 1
"""No answer, or none that could be used; ``status`` and ``doctor``: there are problems."""
MISUSED = 2
"""The command line, a file, or a name or id in them is wrong."""
FOUND = 3
"""``check`` or ``diff`` found something, or ``--exit-code`` asked for it and there are findings."""
REFUSED = 4
"""The server does not know who asks, or does not let them."""
INTERRUPTED = 130


class CommandError(Exception):
    """A command could not do its work; the message is the line that it prints."""


class InputError(CommandError):
    """What the user gave is wrong: a file, a name, an id."""


class RefusedError(CommandError):
    """The server refuses the caller: it has no accepted identity, or lacks a role."""


def exit_code(error: Exception) -> int:
    """Return the exit code of a failure."""
    if isinstance(error, RefusedError):
        return REFUSED
    is_input = isinstance(error, typer.TyperException | InputError | InvalidInputError | FormatError)
    return MISUSED if is_input else FAILED


def read_input(file: Path, read: Callable[[bytes], DocumentT]) -> DocumentT:
    """Read a file that the user named, ``-`` = standard input; ``InputError`` if that fails."""
    try:
        return read(read_file(file))
    except OSError as error:
        raise InputError(f"{file}: {error.strerror or error}") from error
    except FormatError as error:
        raise InputError(f"{file}: {error}") from error


def confirm(question: str) -> None:
    """Ask on standard error; raises ``CommandError`` unless the answer is yes."""
    try:
        is_wanted = typer.confirm(question, err=True)
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        typer.echo(err=True)
        raise CommandError("confirm with --yes, as there is no terminal to ask at") from None
    if not is_wanted:
        raise CommandError("not confirmed: nothing was changed")


def help_shown(error: Exception) -> str | None:
    """Return the help that a call without a command asks for; None for other errors."""
    # The class is not public; Typer itself recognises it by its name.
    return _usage(error) if type(error).__name__ == "NoArgsIsHelpError" else None


def is_unexpected(error: Exception) -> bool:
    """Whether it is a mistake of this program, whose traceback belongs into the log of a server."""
    expected = typer.TyperException | CommandError | DomainError | FormatError | OSError
    return not isinstance(error, expected)


def sentence(error: Exception) -> str:
    """Say in one line what went wrong."""
    if isinstance(error, typer.TyperException):
        return printable(_usage(error))
    if isinstance(error, CommandError | DomainError | FormatError):
        return printable(str(error))
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return printable(f"{where}{error.strerror or error}")
    return printable(f"unexpected {type(error).__name__}: {error}")


def _usage(error: Exception) -> str:
    format_message = getattr(error, "format_message", None)
    text = str(format_message() if format_message is not None else error).strip()
    # The validator below Typer puts this before its sentences, and Typer lists choices in lines.
    return text.replace(": Value error, ", ": ").replace("\n\t", " ")
