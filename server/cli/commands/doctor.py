"""``depgraph doctor``: problems of database and server, what they mean, and what to do."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from server.cli.asked import AskedServer, asks_server
from server.cli.database import database_failures
from server.cli.failures import FAILED
from server.cli.options import DEFAULTS, AsJson, DatabaseUrl, DataDir
from server.cli.render.text import print_json, print_lines, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.postgres import Finding

REPAIR_SECONDS = 5.0
"""How long a server may take to notice that its problems are repaired."""
_MARKS = {"good": "ok", "note": "note", "bad": "BAD"}

Repair = Annotated[bool, typer.Option("--repair", help="Put missing or disabled feed triggers back.")]


@asks_server(timeout=3.0)
def doctor(
    *,
    repair: Repair = False,
    database_url: DatabaseUrl = None,
    data_dir: DataDir = DEFAULTS.data_dir,
    server: AskedServer,
    as_json: AsJson = False,
) -> None:
    """
    Check the database and the server.

    Exit code 1 when something needs care. Changes nothing without --repair, which puts feed
    triggers back and makes every replica read what it may have missed.
    """
    from server.cli.checkup import examine_database, examine_server

    with database_failures():
        repaired, findings = asyncio.run(examine_database(database_url, data_dir, repair=repair))
    findings = [*findings, *examine_server(server, patience=REPAIR_SECONDS if repaired else 0)]
    if as_json:
        answer = {"repaired": repaired, "findings": [asdict(finding) for finding in findings]}
        print_json(answer, only_ascii=True)
    else:
        _print(repaired, findings)
    if any(finding.severity == "bad" for finding in findings):
        raise typer.Exit(FAILED)


def _print(repaired: Sequence[str], findings: Sequence[Finding]) -> None:
    print_lines(f"repaired: {printable(what)}" for what in repaired)
    for finding in findings:
        found = f"{_MARKS[finding.severity]:5}{finding.check}: {printable(finding.found)}"
        print_lines([found], hanging=" " * 5)
        if finding.advice:
            print_lines([f"     → {printable(finding.advice)}"])
