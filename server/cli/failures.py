"""Failures as one line for people, and as an exit code."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from server.cli.render.text import counted, printable
from server.domain.errors import DomainError
from server.formats.problems import FormatError

if TYPE_CHECKING:
    from collections.abc import Iterator

    import grpc

FAILED = 1
MISUSED = 2
ADDS_CYCLES = 3
INTERRUPTED = 130
MOST_VIOLATIONS = 5


class CommandError(Exception):
    """A command could not do its work; the message is the line that a person reads."""


def exit_code(error: Exception) -> int:
    """Return 2 for a wrong command line, 1 for everything else."""
    return MISUSED if isinstance(error, typer.TyperException) else FAILED


def sentence(error: Exception) -> str:
    """Say in one line what went wrong; empty when the help that was shown says it."""
    if isinstance(error, typer.TyperException):
        return printable(_usage(error))
    if isinstance(error, CommandError | DomainError | FormatError):
        return printable(str(error))
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return printable(f"{where}{error.strerror or error}")
    return printable(f"unexpected {type(error).__name__}: {error}")


def explain(error: grpc.RpcError, address: str) -> str:
    """Say in one line why a call to ``address`` failed: what the server said, with every bad field, or that nobody answered."""
    import grpc

    code = error.code()
    message = error.details() or code.name
    details = _status_details(error)
    if not details and code is grpc.StatusCode.UNAVAILABLE:
        return (
            f"no answer from {address} ({_last_cause(message)}): "
            f"start a server with 'depgraph serve', or name another with --address"
        )
    if not details and code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return f"{address} did not answer in time"
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return f"{address} is not a depgraph server, or one of another version: {message}"
    return _with_violations(message, details)


@contextmanager
def database_failures() -> Iterator[None]:
    """Turn what the embedded database says when it fails into a ``CommandError``."""
    from server.store.embedded import EmbeddedPostgresError

    try:
        yield
    except EmbeddedPostgresError as error:
        raise CommandError(str(error)) from error


def _usage(error: typer.TyperException) -> str:
    format_message = getattr(error, "format_message", None)
    text = str(format_message() if format_message is not None else error).strip()
    # What the validator below Typer puts before its sentences.
    return text.replace(": Value error, ", ": ")


def _last_cause(message: str) -> str:
    """Pick "Connection refused" out of what gRPC core says of all the addresses that it tried."""
    return message.rpartition(": ")[2].strip(" ()[]") or message


def _status_details(error: grpc.RpcError) -> list[tuple[str, str]] | None:
    """Return the bad fields that the server named; None when the failure does not come from a depgraph server."""
    from google.rpc.error_details_pb2 import BadRequest
    from grpc_status import rpc_status

    try:
        status = rpc_status.from_call(error)
    except (ValueError, NotImplementedError):
        return None
    if status is None:
        return None
    bad = BadRequest()
    for detail in status.details:
        if detail.Unpack(bad):
            return [(violation.field, violation.description) for violation in bad.field_violations]
    return []


def _with_violations(message: str, violations: list[tuple[str, str]] | None) -> str:
    unsaid = [
        f"{field}: {description}" for field, description in violations or () if description not in message
    ]
    if not unsaid:
        return message
    shown = "; ".join(unsaid[:MOST_VIOLATIONS])
    rest = len(unsaid) - MOST_VIOLATIONS
    return f"{message}: {shown}" + (f"; and {counted(rest, 'more field')}" if rest > 0 else "")
