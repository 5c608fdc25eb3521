"""The option ``--as-of``, and what an answer about the past says of its time."""

from datetime import datetime
from typing import Annotated

import typer

from depgraph.v1.types_pb2 import Consistency, Freshness
from server.cli.failures import CommandError
from server.cli.times import FORMS, read_past, timestamp, written
from server.words import mark_time

AsOf = Annotated[
    datetime | None,
    typer.Option(
        "--as-of",
        metavar="TIME",
        parser=read_past,
        help=f"Ask about the graph as it was then: {FORMS}.",
    ),
]


def consistency(as_of: datetime | None) -> Consistency | None:
    """Write ``--as-of`` as the contract does; None = now, which needs none."""
    return None if as_of is None else Consistency(as_of=timestamp(as_of))


def dated(as_of: datetime | None, freshness: Freshness) -> list[str]:
    """
    Say as of when an answer is, in a line; none for an answer about now.

    ``CommandError`` if the server does not know ``as_of`` and answered about now.
    """
    if as_of is None:
        return []
    if not freshness.HasField("as_of_time"):
        raise CommandError("the server has a version that does not know --as-of, and answered about now")
    return [f"as of {written(as_of)} ({state_of(freshness)})"]


def state_of(freshness: Freshness) -> str:
    """Say which state of the graph stands for a time: the one of its last mark, or the live one."""
    if not freshness.HasField("as_of_time"):
        return "now"
    marked = f"marked {written(mark_time(freshness.as_of_time))}"
    return f"{marked}, approximate: a dump was restored since" if freshness.approximate else marked


def span(start: str, since: Freshness, end: str, until: Freshness) -> list[str]:
    """Say between which states an answer is, in two lines."""
    return [f"from {start} ({state_of(since)})", f"to   {end} ({state_of(until)})"]
