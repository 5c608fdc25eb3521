"""Sends reports to a server, batch by batch, with a progress bar on a terminal."""

import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Event, current_thread, main_thread
from typing import Any, NamedTuple

import grpc
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from depgraph import Client
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestGraphResponse
from server.cli.asked import AskedServer
from server.cli.connection import failure
from server.cli.render.text import counted
from server.formats.native import batches, count_items

IN_FLIGHT = 2
INTERRUPT_CHECK_SECONDS = 0.1

CheckInterrupt = Callable[[], None]
"""Raises ``KeyboardInterrupt`` if there was a Ctrl-C."""


class _Sent(NamedTuple):
    call: Any
    items: int


@dataclass(slots=True)
class Ingested:
    """What the server has taken so far, and the revision that holds it all."""

    items: int = 0
    services_created: int = 0
    edges_created: int = 0
    edges_updated: int = 0
    edges_unchanged: int = 0
    warnings: list[str] = field(default_factory=list)
    revision: str = ""

    def add(self, sent: _Sent) -> None:
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


def send(client: Client, reports: Sequence[IngestGraphRequest], server: AskedServer) -> Ingested:
    """
    Send the reports in batches, each one transaction of the server.

    Two batches are in flight: while the database writes one, the server reads the next. The last
    batch travels alone, so that its revision holds all of them. A failure says how much was
    imported: in a ``CommandError``, or in a line before ``KeyboardInterrupt``.
    """
    ingested = Ingested()
    total = count_items(reports)
    unsent = deque(batch for report in reports for batch in batches(report))
    in_flight: deque[_Sent] = deque()
    try:
        with progress_bar() as progress, deferred_interrupts() as check_interrupt:
            task = progress.add_task("importing", total=total)
            while unsent or in_flight:
                while unsent and _may_send(unsent, in_flight):
                    batch = unsent.popleft()
                    call = client.dependencies.IngestGraph.future(batch)
                    in_flight.append(_Sent(call, count_items([batch])))
                _wait_for(in_flight[0], check_interrupt)
                ingested.add(in_flight[0])
                in_flight.popleft()
                progress.update(task, completed=ingested.items)
    except grpc.RpcError as error:
        _add_the_rest(ingested, in_flight)
        raise failure(error, server, f" ({_so_far(ingested, total)})") from error
    except KeyboardInterrupt:
        _cancel_the_rest(ingested, in_flight)
        typer.echo(f"depgraph: interrupted ({_so_far(ingested, total)})", err=True)
        raise
    return ingested


@contextmanager
def deferred_interrupts() -> Iterator[CheckInterrupt]:
    """
    Hold Ctrl-C back until the body checks for it, or ends.

    gRPC does not survive interruptions: nothing ends a call whose start was interrupted, and
    closing the channel then waits for it forever. Changes nothing in other threads, or where
    Ctrl-C does not raise ``KeyboardInterrupt``.
    """
    if (
        current_thread() is not main_thread()
        or signal.getsignal(signal.SIGINT) is not signal.default_int_handler
    ):
        yield lambda: None
        return
    pressed = Event()

    def check_interrupt() -> None:
        if pressed.is_set():
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, lambda *_: pressed.set())
    try:
        yield check_interrupt
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    check_interrupt()


def _wait_for(sent: _Sent, check_interrupt: CheckInterrupt) -> None:
    """Wait until a batch has succeeded or failed."""
    check_interrupt()
    while not sent.call.done():
        with suppress(grpc.FutureTimeoutError, grpc.FutureCancelledError, grpc.RpcError):
            sent.call.result(timeout=INTERRUPT_CHECK_SECONDS)
        check_interrupt()


def _may_send(unsent: Sized, in_flight: Sized) -> bool:
    is_last = len(unsent) == 1
    return len(in_flight) < (1 if is_last else IN_FLIGHT)


def _add_the_rest(ingested: Ingested, in_flight: Iterable[_Sent]) -> None:
    """Count what was in flight when another batch failed."""
    for sent in in_flight:
        with suppress(grpc.RpcError):
            ingested.add(sent)


def _cancel_the_rest(ingested: Ingested, in_flight: Iterable[_Sent]) -> None:
    """Count what has arrived, and cancel the others."""
    for sent in in_flight:
        if sent.call.done():
            _add_the_rest(ingested, [sent])
        else:
            sent.call.cancel()


def _so_far(ingested: Ingested, total: int) -> str:
    if not ingested.items:
        return "nothing was imported"
    return f"{ingested.items:,} of {counted(total, 'item')} are in; importing the file again is safe"


def progress_bar() -> Progress:
    """Make a bar on stderr, which is drawn on a terminal only."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        disable=not sys.stderr.isatty(),
    )
