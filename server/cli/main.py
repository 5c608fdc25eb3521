"""The commands put together, and what happens when one fails."""

import io
import os
import sys
from collections.abc import Sequence
from importlib import metadata
from typing import Annotated

import typer

from server.cli.commands import (
    alerts,
    apply,
    audit,
    check,
    compile_kernels,
    cuts,
    doctor,
    drift,
    impact,
    import_graph,
    migrate,
    paths,
    serve,
    show,
    status,
    token,
    watch,
)
from server.cli.failures import INTERRUPTED, exit_code, sentence

HELP = "A service-dependency graph: who calls whom, answered over gRPC."

app = typer.Typer(
    name="depgraph",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(asked: bool) -> None:  # noqa: FBT001 - typer passes the value of the option
    if asked:
        typer.echo(f"depgraph {metadata.version('depgraph')}")
        raise typer.Exit


@app.callback(help=HELP)
def _common(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_tell_version, is_eager=True, help="Say which version this is."),
    ] = False,
) -> None:
    """Take the options that belong to no command."""


app.command("serve")(serve.serve)
app.add_typer(migrate.app, name="migrate")
app.command("import")(import_graph.import_graph)
app.command("show")(show.show)
app.add_typer(alerts.app, name="alerts")
app.command("check")(check.check)
app.command("apply")(apply.apply)
app.command("cuts")(cuts.cuts)
app.command("impact")(impact.impact)
app.command("paths")(paths.paths)
app.command("audit")(audit.audit)
app.command("drift")(drift.drift)
app.command("status")(status.status)
app.command("watch")(watch.watch)
app.command("doctor")(doctor.doctor)
app.command("token")(token.token)
app.command("compile")(compile_kernels.compile_kernels)


def run(arguments: Sequence[str]) -> int:
    """Run one command line: 0 = done, 1 = failed, 2 = misused, 3 = ``check`` says no, 130 = interrupted. Failures are one line on stderr."""
    _never_fail_to_print()
    try:
        return int(app(list(arguments), prog_name="depgraph", standalone_mode=False) or 0)
    except BrokenPipeError:
        # The reader (`| head`) has seen enough; Python would complain about it when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ModuleNotFoundError:
        raise
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last stop: people get a sentence, never a traceback
        text = sentence(error)
        if text:
            typer.echo(f"depgraph: {text}", err=True)
        return exit_code(error)


def _never_fail_to_print() -> None:
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
