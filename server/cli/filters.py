"""Options of commands that say which dependencies count, the same for all of them."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from depgraph.v1.graph_service_pb2 import EdgeFilter


MOST_HOPS = 1_000_000
"""More than any path has, and as many as fit a request."""


# Typer takes lists of enums, and none of literals.
class Mode(enum.StrEnum):
    """Whether a caller waits."""

    SYNC = "sync"
    ASYNC = "async"


class DependencyCriticality(enum.StrEnum):
    """What a caller does when the callee fails, strongest first."""

    HARD = "hard"
    DEGRADED = "degraded"
    SOFT = "soft"


class Source(enum.StrEnum):
    """Who reported a dependency."""

    MANUAL = "manual"
    OTEL_SERVICE_GRAPH = "otel_service_graph"
    KUBERNETES = "kubernetes"
    SERVICE_MESH = "service_mesh"


Modes = Annotated[
    list[Mode] | None,
    typer.Option("--mode", metavar="sync|async", help="Only dependencies of this mode; may be repeated."),
]
Criticalities = Annotated[
    list[DependencyCriticality] | None,
    typer.Option(
        "--criticality",
        metavar="hard|degraded|soft",
        help="Only dependencies of this criticality; may be repeated.",
    ),
]
Sources = Annotated[
    list[Source] | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="Only dependencies of this source, manual, otel_service_graph, kubernetes or service_mesh; may be repeated.",
    ),
]
MinConfidence = Annotated[
    float,
    typer.Option(
        "--min-confidence", metavar="SHARE", min=0.0, max=1.0, help="Only dependencies at least so certain."
    ),
]
IncludeStale = Annotated[bool, typer.Option("--include-stale", help="Dependencies not observed lately, too.")]
Effective = Annotated[
    bool,
    typer.Option("--effective", help="What all sources together say of a pair, instead of what each says."),
]
FOUND = 3
"""The exit code then: neither that of a failure nor that of a misused command."""
ExitCode = Annotated[
    bool, typer.Option("--exit-code", help="Exit with 3 when something is found, for pipelines.")
]


def edge_filter(
    modes: Sequence[Mode] | None = None,
    criticalities: Sequence[DependencyCriticality] | None = None,
    sources: Sequence[Source] | None = None,
    min_confidence: float = 0.0,
) -> EdgeFilter:
    """Say in the contract's words which dependencies count; staleness is a field of each request."""
    from depgraph.v1 import graph_service_pb2, types_pb2

    of_mode = types_pb2.CommunicationMode.Value
    of_criticality = types_pb2.DependencyCriticality.Value
    of_source = types_pb2.DiscoverySource.Value
    return graph_service_pb2.EdgeFilter(
        communication_modes=[of_mode(f"COMMUNICATION_MODE_{each.name}") for each in modes or ()],
        criticalities=[of_criticality(f"DEPENDENCY_CRITICALITY_{each.name}") for each in criticalities or ()],
        discovery_sources=[of_source(f"DISCOVERY_SOURCE_{each.name}") for each in sources or ()],
        min_confidence=min_confidence,
    )
