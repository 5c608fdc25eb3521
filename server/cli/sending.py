"""Reports on their way to a server, batch by batch, with a progress bar where somebody sees it."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from depgraph import Client
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestGraphResponse
from server.cli.failures import CommandError, explain
from server.cli.text import counted
from server.formats.batches import batches, count_items


@dataclass(slots=True)
class Taken:
    """What the server took in so far, and the revision that holds it all."""

    items: int = 0
    services_created: int = 0
    edges_created: int = 0
    edges_updated: int = 0
    edges_unchanged: int = 0
    warnings: list[str] = field(default_factory=list)
    revision: str = ""

    def add(self, answer: IngestGraphResponse, items: int) -> None:
        """Count one batch."""
        self.items += items
        self.services_created += answer.services_created
        self.edges_created += answer.edges_created
        self.edges_updated += answer.edges_updated
        self.edges_unchanged += answer.edges_unchanged
        self.warnings.extend(answer.warnings)
        self.revision = answer.revision

    def as_dict(self) -> dict[str, Any]:
        """Return the counts under the names of the contract."""
        return {
            "services_created": self.services_created,
            "edges_created": self.edges_created,
            "edges_updated": self.edges_updated,
            "edges_unchanged": self.edges_unchanged,
            "warnings": self.warnings,
            "revision": self.revision,
        }


def send(client: Client, reports: Sequence[IngestGraphRequest], address: str) -> Taken:
    """
    Send the reports one batch after the other; each is one transaction of the server.

    A failure in the middle says how much is in: ``CommandError``, or a line before ``KeyboardInterrupt`` goes on.
    """
    taken = Taken()
    total = count_items(reports)
    try:
        with _progress() as progress:
            task = progress.add_task("importing", total=total)
            for report in reports:
                for batch in batches(report):
                    answer = client.dependencies.IngestGraph(batch)
                    taken.add(answer, count_items([batch]))
                    progress.update(task, completed=taken.items)
    except grpc.RpcError as error:
        raise CommandError(f"{explain(error, address)} ({_so_far(taken, total)})") from error
    except KeyboardInterrupt:
        typer.echo(f"depgraph: interrupted ({_so_far(taken, total)})", err=True)
        raise
    return taken


def _so_far(taken: Taken, total: int) -> str:
    if not taken.items:
        return "nothing was imported"
    return f"{taken.items:,} of {counted(total, 'item')} are in; importing the file again is safe"


def _progress() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
