"""Reports on their way to a server, batch by batch, with a progress bar where somebody sees it."""

import sys
from collections import deque
from collections.abc import Iterable, Sequence, Sized
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from depgraph import Client
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestGraphResponse
from server.cli.failures import CommandError, explain
from server.cli.interrupts import Look, interrupted_at_looks_only
from server.cli.render.text import counted
from server.formats.batches import batches, count_items

UNDER_WAY = 2
LOOK_SECONDS = 0.1


class _Sent(NamedTuple):
    """A batch on its way."""

    call: Any
    items: int


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

    def take(self, sent: _Sent) -> None:
        """Wait for the answer to a batch and count it; raises ``grpc.RpcError``."""
        answer: IngestGraphResponse = sent.call.result()
        self.items += sent.items
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
    Send the reports in batches, each one transaction of the server.

    Two are on their way at once: while the database writes one, the server reads the next. The last travels alone, so that its
    revision holds all of them.

    A failure in the middle says how much is in: ``CommandError``, or a line before ``KeyboardInterrupt`` goes on.
    """
    taken = Taken()
    total = count_items(reports)
    waiting = deque(batch for report in reports for batch in batches(report))
    under_way: deque[_Sent] = deque()
    try:
        with _progress() as progress, interrupted_at_looks_only() as look:
            task = progress.add_task("importing", total=total)
            while waiting or under_way:
                while waiting and _may_send(waiting, under_way):
                    batch = waiting.popleft()
                    under_way.append(
                        _Sent(client.dependencies.IngestGraph.future(batch), count_items([batch]))
                    )
                _wait_for(under_way[0], look)
                taken.take(under_way[0])
                under_way.popleft()
                progress.update(task, completed=taken.items)
    except grpc.RpcError as error:
        _take_the_rest(taken, under_way)
        raise CommandError(f"{explain(error, address)} ({_so_far(taken, total)})") from error
    except KeyboardInterrupt:
        _give_up_the_rest(taken, under_way)
        typer.echo(f"depgraph: interrupted ({_so_far(taken, total)})", err=True)
        raise
    return taken


def _wait_for(sent: _Sent, look: Look) -> None:
    """Wait until a batch is answered, however; looks for Ctrl-C meanwhile."""
    look()
    while not sent.call.done():
        with suppress(grpc.FutureTimeoutError, grpc.FutureCancelledError, grpc.RpcError):
            sent.call.result(timeout=LOOK_SECONDS)
        look()


def _may_send(waiting: Sized, under_way: Sized) -> bool:
    is_last = len(waiting) == 1
    return len(under_way) < (1 if is_last else UNDER_WAY)


def _take_the_rest(taken: Taken, under_way: Iterable[_Sent]) -> None:
    """Count what was on its way when another batch failed."""
    for sent in under_way:
        with suppress(grpc.RpcError):
            taken.take(sent)


def _give_up_the_rest(taken: Taken, under_way: Iterable[_Sent]) -> None:
    """Count what has arrived; who interrupts does not want to wait for the others."""
    for sent in under_way:
        if sent.call.done():
            _take_the_rest(taken, [sent])
        else:
            sent.call.cancel()


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
