"""The command line: its commands, and what happens when one fails."""

import io
import os
import pkgutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from importlib import metadata
from typing import Annotated

import typer

from server.cli.failures import INTERRUPTED, exit_code, help_shown, sentence
from server.cli.render.text import print_lines

HELP = "A service-dependency graph: who calls whom, answered over gRPC."

COMMANDS = {
    "serve": "serve:serve",
    "migrate": "migrate:app",
    "import": "import_graph:import_graph",
    "export": "export:export",
    "sync": "sync:sync",
    "sources": "sources:sources",
    "services": "services:services",
    "service": "service:app",
    "dependency": "dependency:app",
    "alias": "alias:app",
    "components": "services:components",
    "search": "search:search",
    "show": "show:show",
    "around": "around:around",
    "map": "map:draw_map",
    "alerts": "alerts:app",
    "check": "check:check",
    "apply": "apply:apply",
    "cuts": "cuts:cuts",
    "impact": "impact:impact",
    "paths": "paths:paths",
    "audit": "audit:audit",
    "drift": "drift:drift",
    "changes": "changes:changes",
    "diff": "diff:diff",
    "status": "status:status",
    "watch": "watch:watch",
    "whoami": "access:whoami",
    "writes": "access:writes",
    "mcp": "mcp:mcp",
    "doctor": "doctor:doctor",
    "token": "token:token",
    "sql": "sql:sql",
    "backup": "backup:backup",
    "restore": "backup:restore",
    "compile": "compile_kernels:compile_kernels",
}
"""Module of ``server.cli.commands``, and in it the function or the app of subcommands."""


def run(arguments: Sequence[str]) -> int:
    """
    Run one command line; a failure prints one line on stderr. Returns the exit code.

    A reader that closes the pipe early, such as ``head``, is no failure.
    """
    _never_fail_to_print()
    # gRPC's core prints lines of its own. What fails raises an error here, too.
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    # Help texts then break between words only, never at the hyphens of --some-option.
    textwrap.TextWrapper.wordsep_re = textwrap.TextWrapper.wordsep_simple_re
    try:
        app = _app(arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS)
        code = int(app(list(arguments), prog_name="depgraph", standalone_mode=False) or 0)
        sys.stdout.flush()
    except (SystemExit, BrokenPipeError) as end:
        # Typer ends so after completion of a word in a shell, and when the pipe is closed.
        if not isinstance(end, BrokenPipeError) and not isinstance(end.__context__, BrokenPipeError):
            raise
        # Python would complain about what is left in the buffer when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError:
        raise
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last stop: people get a sentence, never a traceback
        if (text := help_shown(error)) is not None:
            typer.echo(text)
            return 0
        print_lines([f"depgraph: {sentence(error)}"], err=True)
        return exit_code(error)
    return code


def _app(names: Iterable[str]) -> typer.Typer:
    """Put the named commands together; only their modules are imported."""
    app = typer.Typer(
        name="depgraph",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(help=HELP)(_common_options)
    for name in names:
        command = pkgutil.resolve_name(f"server.cli.commands.{COMMANDS[name]}")
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def _print_version(is_set: bool) -> None:  # noqa: FBT001 - typer passes the value of the option
    if is_set:
        typer.echo(f"depgraph {metadata.version('depgraph')}")
        raise typer.Exit


def _common_options(
    *,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


def _never_fail_to_print() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
