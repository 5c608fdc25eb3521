"""What a failed command prints, one line, and the exit codes."""

import typer

from server.cli.render.text import printable
from server.domain.errors import DomainError
from server.formats.documents import FormatError

FAILED = 1
MISUSED = 2
FOUND = 3
"""``check`` refuses a change, or ``--exit-code`` asked for it and there are findings."""
INTERRUPTED = 130


class CommandError(Exception):
    """A command could not do its work; the message is the line that it prints."""


def exit_code(error: Exception) -> int:
    """Return 2 for a wrong command line, 1 for everything else."""
    return MISUSED if isinstance(error, typer.TyperException) else FAILED


def help_shown(error: Exception) -> str | None:
    """Return the help that a call without a command asks for; None for other errors."""
    # The class is not public; Typer itself recognises it by its name.
    return _usage(error) if type(error).__name__ == "NoArgsIsHelpError" else None


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
