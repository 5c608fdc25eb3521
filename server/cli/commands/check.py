"""``depgraph check``: what a change would do to cycles and blast radii."""

import enum
import re
from collections.abc import Iterator, Sequence
from typing import Annotated

import typer

from depgraph.v1.analysis_service_pb2 import CheckChangeRequest, CheckChangeResponse, CycleChangeKind
from depgraph.v1.types_pb2 import Consistency
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import connected
from server.cli.failures import FOUND, InputError, read_input
from server.cli.options import AsJson, ChangeFile
from server.cli.past import AsOf, consistency, dated
from server.cli.render.consequences import MAX_NAMES, cycle_change_lines, impact_change_lines
from server.cli.render.labels import some_names
from server.cli.render.text import counted, enum_word, fields_of, print_json, print_lines
from server.config import Limits
from server.formats.documents import FormatError
from server.formats.native import read_change

MAX_IMPACTS = 1_000


# Typer takes lists of enums, but not of literals.
class Kind(enum.StrEnum):
    """What a change that adds a cycle does to cycles."""

    CREATED = "created"
    GROWN = "grown"
    MERGED = "merged"
    DENSER = "denser"
    SHRUNK = "shrunk"
    SPLIT = "split"
    REARRANGED = "rearranged"


@asks_server(timeout=60.0)
def check(
    file: ChangeFile,
    *,
    allow: Annotated[
        list[Kind] | None,
        typer.Option(
            "--allow",
            metavar="KIND",
            help="Allow this kind of added cycle, such as denser: more cycles among services that are on one "
            "already; repeatable.",
        ),
    ] = None,
    top: Annotated[
        int, typer.Option(min=1, max=MAX_IMPACTS, metavar="N", help="Changed blast radii listed.")
    ] = 20,
    as_of: AsOf = None,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Show how a change would affect cycles.

    Also blast radii. Nothing is changed. FILE has the json format of 'depgraph import', with
    dependencies to remove beside those to add: {"discovery_source", "edges": [...], "removed":
    [{"source_service_id", "target_service_id", "discovery_source"}]}. Exit codes: 0 = no cycle is
    added, or only such as --allow names; 1 = the check failed, as when no server answers; 2 = wrong
    command line or file; 3 = the change would add cycles.
    """
    request, places = read_input(file, _question)
    request.max_impacts = top
    request.consistency.MergeFrom(consistency(as_of) or Consistency())
    try:
        with connected(server, as_of=as_of) as client:
            answer = client.analyses.CheckChange(request)
    except InputError as error:
        raise InputError(_as_in_file(str(error), places)) from error
    heading = dated(as_of, answer.freshness)
    if as_json:
        print_json(fields_of(answer))
    else:
        print_lines([*heading, *_lines(answer)])
    allowed = {CycleChangeKind.Value(f"CYCLE_CHANGE_KIND_{kind.name}") for kind in allow or []}
    if {change.kind for change in answer.cycle_changes if change.adds_cycles} - allowed:
        raise typer.Exit(FOUND)


def _question(raw: bytes) -> tuple[CheckChangeRequest, list[str]]:
    """Read what to ask, and where in the file each added dependency is."""
    change = read_change(raw)
    request = change.as_question()
    limits = Limits()
    for name, count in (("added", len(request.added)), ("removed", len(request.removed))):
        if count > limits.max_items:
            most = f"{limits.max_items:,} can be checked at once, and a change can't be checked in parts"
            raise FormatError(f"{counted(count, f'{name} dependency', f'{name} dependencies')}: {most}")
    if request.ByteSize() > limits.max_request_bytes:
        raise FormatError(f"takes {request.ByteSize():,} bytes; a call carries {limits.max_request_bytes:,}")
    return request, change.places


def _as_in_file(message: str, places: Sequence[str]) -> str:
    """Name added dependencies as the file does, not as the request does."""
    message = re.sub(r"\badded\[(\d+)\]", lambda found: places[int(found[1])], message)
    return re.sub(r"\badded(?=: is empty)", "edges", message)


def _lines(answer: CheckChangeResponse) -> Iterator[str]:
    """Write the cycles that are added, the other changes of cycles, and those of blast radii."""
    added = [enum_word(CycleChangeKind, change.kind) for change in answer.cycle_changes if change.adds_cycles]
    kinds = ", ".join(f"{added.count(kind):,} {kind}" for kind in dict.fromkeys(added))
    yield f"cycles would be added: {kinds}" if added else "no cycle would be added"
    yield from cycle_change_lines(answer.cycle_changes)
    yield from _impact_lines(answer)
    if created := answer.created_service_ids:
        yield f"{counted(len(created), 'new service')}: {some_names(created, len(created), MAX_NAMES)}"


def _impact_lines(answer: CheckChangeResponse) -> Iterator[str]:
    count = answer.impact_change_count
    if answer.impacts_truncated:
        yield f"blast radius: at least {counted(count, 'service')} would change, too many to count all"
    elif count:
        yield f"blast radius: {counted(count, 'service')} would change"
    else:
        yield "blast radius: nothing would change"
        return
    yield from impact_change_lines(answer.impact_changes, count, "NOW", "THEN")
