"""``depgraph watch``: prints changes of the graph as they happen."""

import json
import random
import sys
import time
from collections.abc import Callable, Generator, Iterator
from typing import Annotated

import grpc
import typer
from google.protobuf.json_format import MessageToDict

from depgraph.v1.graph_service_pb2 import (
    WATCH_EVENT_RESET,
    RemovedDependency,
    RemovedService,
    WatchRequest,
    WatchResponse,
)
from depgraph.v1.types_pb2 import Dependency, DiscoverySource, Service
from server.cli.asked import AskedServer, asks_server
from server.cli.connection import explain, failure, opened
from server.cli.failures import InputError, sentence
from server.cli.options import AsJson
from server.cli.render.labels import call_label, dependency_label, service_label
from server.cli.render.text import HANGING, counted, enum_word, print_lines, visible

_TRANSIENT = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
_FIRST_PAUSE, _LONGEST_PAUSE = 0.1, 5.0


@asks_server(timeout=None)
def watch(
    *,
    since: Annotated[
        str, typer.Option(metavar="REVISION", help="Continue after this revision. Default: now.")
    ] = "",
    state: Annotated[bool, typer.Option("--state", help="Begin with the whole graph.")] = False,
    as_json: AsJson = False,
    server: AskedServer,
) -> None:
    """
    Print changes of the graph as they happen.

    Ctrl-C ends it. A line begins with + for added or changed, - for removed, = for the whole graph
    anew. The command survives restarts of the server. --json prints a batch a line as in the
    contract, heartbeats included: each is a state of the database, and --since can continue after
    its freshness.revision.
    """
    following = Following(server, since, lambda event: typer.echo(f"depgraph: {event}", err=True))
    try:
        for number, batch in enumerate(following.batches(include_state=state)):
            if number == 0 and sys.stderr.isatty():
                typer.echo("depgraph: watching for changes; Ctrl-C ends", err=True)
            if as_json:
                fields = MessageToDict(batch, preserving_proto_field_name=True)
                typer.echo(json.dumps(fields, ensure_ascii=False))
            else:
                print_lines(change_lines(batch, with_state=state), hanging=HANGING)
    except KeyboardInterrupt:
        if following.revision:
            typer.echo(f"depgraph: continue later with --since {following.revision}", err=True)
        raise


class Following:
    """
    A watch that resumes after every interruption.

    ``revision`` is that of the last batch; ``report`` gets a line about each interruption.
    """

    def __init__(self, server: AskedServer, revision: str, report: Callable[[str], None]) -> None:
        self.revision = revision
        self._server = server
        self._report = report
        self._failures = 0
        self._has_begun = False

    def batches(self, *, include_state: bool) -> Generator[WatchResponse]:
        """
        Yield whole batches forever; a batch that an interruption cut is yielded once, after it.

        ``CommandError`` when the first attempt can't reach the server, or the server refuses.
        """
        while True:
            request = WatchRequest(revision=self.revision, include_state=include_state)
            try:
                # A client for each attempt: certificates may have been replaced.
                with opened(self._server, timeout=None) as client:
                    for batch in _whole(client.graph.Watch(request)):
                        yield batch
                        self._arrived(batch)
            except grpc.RpcError as error:
                if not self._has_begun or not self._may_pass(error.code()):
                    raise failure(error, self._server) from error
                self._interrupted(explain(error, self._server))
            except (InputError, OSError) as error:
                # Of a certificate and its key, one may have been replaced.
                if not self._has_begun:
                    raise
                self._interrupted(sentence(error))

    def _arrived(self, batch: WatchResponse) -> None:
        if self._failures:
            self._report("following again")
        self._failures = 0
        self._has_begun = True
        self.revision = batch.freshness.revision

    def _interrupted(self, cause: str) -> None:
        """Pause before the next attempt; half of the pause is random, to spread the watchers."""
        if not self._failures:
            self._report(f"interrupted, trying again: {cause}")
        self._failures += 1
        pause = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** min(self._failures, 10))
        time.sleep(random.uniform(pause / 2, pause))  # noqa: S311 - jitter, no secret

    def _may_pass(self, code: grpc.StatusCode) -> bool:
        """Whether another attempt may succeed; a token that expired may have a successor by now."""
        expired = code is grpc.StatusCode.UNAUTHENTICATED and not self._failures
        return code in _TRANSIENT or expired


def change_lines(batch: WatchResponse, *, with_state: bool) -> Iterator[str]:
    """
    Write a batch: ``+`` added or changed, ``-`` removed, ``=`` the whole graph.

    The whole graph is listed only ``with_state``.
    """
    if batch.event == WATCH_EVENT_RESET:
        yield (
            f"= the whole graph: {counted(len(batch.upserted_services), 'service')}, "
            f"{counted(len(batch.upserted_dependencies), 'dependency', 'dependencies')}"
        )
        if not with_state:
            return
    yield from map(_removed_dependency, batch.removed_dependencies)
    yield from map(_removed_service, batch.removed_services)
    yield from map(_service, batch.upserted_services)
    yield from map(_dependency, batch.upserted_dependencies)


def _whole(parts: Iterator[WatchResponse]) -> Iterator[WatchResponse]:
    """Join the parts of each batch; a batch whose last part does not come is dropped."""
    batch = WatchResponse()
    for part in parts:
        batch.MergeFrom(part)
        if not part.more:
            batch.more = False
            yield batch
            batch = WatchResponse()


def _service(row: Service) -> str:
    return f"+ {visible(row.service_id)}  {service_label(row)}"


def _dependency(row: Dependency) -> str:
    return f"+ {call_label(row.source_service_id, row.target_service_id)}  {dependency_label([row])}"


def _removed_service(row: RemovedService) -> str:
    # A watcher who was away learns the id alone.
    return f"- {visible(row.service_id) or f'service {row.id}'}"


def _removed_dependency(row: RemovedDependency) -> str:
    if not row.source_service_id:
        return f"- dependency {row.id}"
    source = enum_word(DiscoverySource, row.discovery_source)
    return f"- {call_label(row.source_service_id, row.target_service_id)}  {source}"
