"""``depgraph sync``: pulls the sources of a file and sends what they hold to a running server."""

import asyncio
import signal
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import grpc
import typer

from depgraph import AsyncClient
from depgraph.v1.dependency_service_pb2 import IngestGraphRequest, IngestGraphResponse
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import explain, opened_async
from server.cli.failures import FAILED, InputError
from server.cli.rehearsal import rehearse
from server.cli.render.text import HANGING, counted, print_lines, printable
from server.sources.config import SourcesFileError, load_sources
from server.sources.pulls import gather
from server.sources.schedule import Pulled, Schedule, SendError
from server.sources.source import Source


@asks_server(timeout=120.0)
def sync(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sources, TOML (docs/connect.md).")],
    *,
    once: Annotated[bool, typer.Option("--once", help="Pull each source once, then end.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what a pull would change, and write nothing.")
    ] = False,
    server: AskedServer,
) -> None:
    """
    Pull what a file of sources names.

    It pulls each source at once, and then at its interval, until Ctrl-C. A pull that fails, or that
    is partial, changes nothing but the record of its reporter. --once ends with 1 when one failed.
    --dry-run shows what the name of each service became, what is not used and why, and which
    services and dependencies would be new. 'depgraph serve --sources' pulls the same file itself.
    """
    try:
        sources = load_sources(file)
    except SourcesFileError as error:
        raise InputError(str(error)) from None
    if not sources:
        raise InputError(f"{file}: there is nothing to pull: the exporters of OTLP send by themselves")
    try:
        succeeded = asyncio.run(_run(sources, server, once=once, dry_run=dry_run))
    except asyncio.CancelledError:
        # By SIGTERM, as supervisors end what runs for ever.
        return
    if not succeeded:
        raise typer.Exit(FAILED)


async def _run(sources: tuple[Source, ...], server: AskedServer, *, once: bool, dry_run: bool) -> bool:
    """Return whether all pulls succeeded."""
    async with opened_async(server, attempts=5) as client:
        if dry_run:
            return all([await rehearse(source, client, server) for source in sources])
        syncing = _Syncing(client, server, reports_all=once)
        schedule = Schedule(gather, syncing.send, syncing.report)
        if not once:
            _end_at_sigterm()
            await schedule.forever(sources)
        return not any(pulled.error for pulled in await schedule.all_once(sources))


def _end_at_sigterm() -> None:
    """Cancel this task at SIGTERM, which a first process of a container would not notice."""
    # Other threads than the main one can't have it.
    with suppress(ValueError, RuntimeError):
        if (task := asyncio.current_task()) is not None:
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


@dataclass(slots=True)
class _Syncing:
    """Sends reports, and prints the outcomes of pulls: all of them, or only what is new."""

    client: AsyncClient
    server: AskedServer
    reports_all: bool
    _errors: dict[str, str] = field(default_factory=dict)

    async def send(self, _: Source, report: IngestGraphRequest) -> IngestGraphResponse:
        """Send a report."""
        try:
            return await self.client.dependencies.IngestGraph(report)
        except grpc.RpcError as error:
            raise SendError(await _why(error, self.server)) from error

    def report(self, pulled: Pulled) -> None:
        """Print the outcome of a pull."""
        before = self._errors.get(pulled.source.name)
        self._errors[pulled.source.name] = pulled.error
        is_new = pulled.error != before or pulled.edges_created or pulled.edges_updated
        if is_new or self.reports_all:
            print_lines([_outcome(pulled)], err=bool(pulled.error), hanging=HANGING)


def _outcome(pulled: Pulled) -> str:
    name = printable(pulled.source.name)
    if pulled.error:
        return f"{name}: failed: {printable(pulled.error)}"
    return (
        f"{name}: {counted(pulled.element_count, 'element')}, {pulled.skipped_count:,} not used; "
        f"{counted(pulled.services_created, 'service')} created; "
        f"dependencies: {pulled.edges_created:,} created, {pulled.edges_updated:,} updated, "
        f"{pulled.edges_unchanged:,} unchanged"
    )


async def _why(error: grpc.RpcError, server: AskedServer) -> str:
    # In a thread: to say why there is no connection, it tries to connect.
    return await asyncio.to_thread(explain, error, server)
