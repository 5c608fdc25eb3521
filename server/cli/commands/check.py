"""``depgraph check``: what a change would do to cycles and blast radii, for pipelines: the exit code is the answer."""

from __future__ import annotations

import enum
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.failures import ADDS_CYCLES
from server.cli.render.text import counted
from server.cli.settings import DEFAULTS, Address, AsJson
from server.formats.problems import FormatError

if TYPE_CHECKING:
    import grpc

    from depgraph.v1.analysis_service_pb2 import CheckChangeRequest, CheckChangeResponse

CALL_SECONDS = 60.0
MOST_IMPACTS = 1_000


# Typer takes lists of enums, and none of literals.
class Kind(enum.StrEnum):
    """What may become of cycles while one is added."""

    CREATED = "created"
    GROWN = "grown"
    MERGED = "merged"
    DENSER = "denser"
    SHRUNK = "shrunk"
    SPLIT = "split"
    REARRANGED = "rearranged"


def check(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE", help="The change, plain or gzip; - = standard input."),
    ],
    *,
    allow: Annotated[
        list[Kind] | None,
        typer.Option(
            "--allow",
            metavar="KIND",
            help="Cycles that may be added, such as denser: further cycles among services that are on one anyway; may be repeated.",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, max=MOST_IMPACTS, metavar="N", help="Blast radii told of at most.")
    ] = 20,
    as_json: AsJson = False,
    address: Address = DEFAULTS.listen,
) -> None:
    """
    Tell what a change would do to cycles and blast radii, without making it. Exit code 3 when it would add a cycle.

    FILE is in the json format of 'depgraph import', with dependencies to be removed beside those to be added: {"discovery_source", "edges": [...],
    "removed": [{"source_service_id", "target_service_id", "discovery_source"}]}. Exit codes: 0 = no cycle is added, or such as --allow names only;
    1 = it could not be checked, as when no server answers; 2 = wrong command line or file; 3 = it would add cycles.
    """
    import grpc

    from server.cli.connection import connected

    request = _read(file)
    request.max_impacts = top
    with connected(address, timeout=CALL_SECONDS) as client:
        try:
            answer = client.analyses.CheckChange(request)
        except grpc.RpcError as error:
            _refuse_bad_file(error, file, address)
            raise
    _print(answer, as_json=as_json)
    refused = {change.kind for change in answer.cycle_changes if change.adds_cycles} - _numbers(allow or [])
    if refused:
        raise typer.Exit(ADDS_CYCLES)


def _read(file: Path) -> CheckChangeRequest:
    from server.config import Limits
    from server.formats.proposed import read_proposal

    try:
        raw = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        request = read_proposal(raw).as_question()
    except OSError as error:
        raise _bad_file(file, error.strerror or str(error)) from error
    except FormatError as error:
        raise _bad_file(file, str(error)) from error
    limits = Limits()
    for name, count in (("added", len(request.added)), ("removed", len(request.removed))):
        if count > limits.max_items:
            most = f"{limits.max_items:,} can be checked at once, and a part of a change says nothing of the whole"
            raise _bad_file(file, f"{counted(count, f'{name} dependency', f'{name} dependencies')}: {most}")
    if request.ByteSize() > limits.max_request_bytes:
        raise _bad_file(
            file, f"takes {request.ByteSize():,} bytes; a call carries {limits.max_request_bytes:,}"
        )
    return request


def _refuse_bad_file(error: grpc.RpcError, file: Path, address: str) -> None:
    """Raise what is wrong with the file, if that is what the server complains of."""
    import grpc

    from server.cli.failures import explain

    if error.code() in {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND}:
        raise _bad_file(file, explain(error, address)) from error


def _bad_file(file: Path, problem: str) -> typer.BadParameter:
    return typer.BadParameter(f"{file}: {problem}", param_hint="FILE")


def _numbers(kinds: list[Kind]) -> set[int]:
    from depgraph.v1.analysis_service_pb2 import CycleChangeKind

    return {CycleChangeKind.Value(f"CYCLE_CHANGE_KIND_{kind.name}") for kind in kinds}


def _print(answer: CheckChangeResponse, *, as_json: bool) -> None:
    from server.cli.commands.check_lines import check_lines
    from server.cli.render.messages import fields_of

    if as_json:
        found = fields_of(answer)
        typer.echo(json.dumps(found, indent=2, ensure_ascii=False))
    else:
        typer.echo("\n".join(check_lines(answer)))
