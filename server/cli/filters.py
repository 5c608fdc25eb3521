"""Options that say which dependencies an analysis counts, and their form in a request."""

import enum
from collections.abc import Sequence
from typing import Annotated

import typer

from depgraph.v1.graph_service_pb2 import EdgeFilter
from depgraph.v1.types_pb2 import CommunicationMode, DiscoverySource, ServiceKind
from depgraph.v1.types_pb2 import DependencyCriticality as DependencyCriticalityEnum

MAX_HOPS = 1_000_000
"""More than any path has, and as many as a request takes."""


# Typer takes lists of enums, but not of literals.
class Mode(enum.StrEnum):
    """Whether a caller waits."""

    SYNC = "sync"
    ASYNC = "async"
    UNKNOWN = "unknown"


class DependencyCriticality(enum.StrEnum):
    """What a caller does when the callee fails, strongest first."""

    HARD = "hard"
    UNKNOWN = "unknown"
    DEGRADED = "degraded"
    SOFT = "soft"


class Source(enum.StrEnum):
    """Who reported a dependency."""

    MANUAL = "manual"
    OTEL_SERVICE_GRAPH = "otel_service_graph"
    KUBERNETES = "kubernetes"
    SERVICE_MESH = "service_mesh"
    CATALOG = "catalog"


class Kind(enum.StrEnum):
    """What stands behind the name of a service."""

    SERVICE = "service"
    DATABASE = "database"
    QUEUE = "queue"
    GATEWAY = "gateway"
    EXTERNAL = "external"


Modes = Annotated[
    list[Mode] | None,
    typer.Option("--mode", metavar="sync|async|unknown", help="Only dependencies of this mode; repeatable."),
]
Criticalities = Annotated[
    list[DependencyCriticality] | None,
    typer.Option(
        "--criticality",
        metavar="hard|unknown|degraded|soft",
        help="Only dependencies of this criticality; repeatable.",
    ),
]
Sources = Annotated[
    list[Source] | None,
    typer.Option(
        "--source",
        metavar="SOURCE",
        help="Only dependencies of this discovery source: manual, otel_service_graph, kubernetes, "
        "service_mesh or catalog; repeatable.",
    ),
]
ExcludedKinds = Annotated[
    list[Kind] | None,
    typer.Option(
        "--exclude-kind",
        metavar="KIND",
        help="Leave out services of this kind, and what is reached only through them: service, "
        "database, queue, gateway or external; repeatable.",
    ),
]
MinConfidence = Annotated[
    float,
    typer.Option(
        "--min-confidence",
        metavar="SHARE",
        min=0.0,
        max=1.0,
        help="Only dependencies of at least this confidence.",
    ),
]
IncludeStale = Annotated[bool, typer.Option("--include-stale", help="Include stale dependencies.")]
Effective = Annotated[
    bool,
    typer.Option("--effective", help="Merge the reports of all sources into one dependency for each pair."),
]
ExitCode = Annotated[
    bool, typer.Option("--exit-code", help="Exit with code 3 when there are findings, for pipelines.")
]


def edge_filter(
    modes: Sequence[Mode] | None = None,
    criticalities: Sequence[DependencyCriticality] | None = None,
    sources: Sequence[Source] | None = None,
    min_confidence: float = 0.0,
    excluded_kinds: Sequence[Kind] | None = None,
) -> EdgeFilter:
    """Write the options as the contract does; staleness is a field of each request."""
    return EdgeFilter(
        communication_modes=[
            CommunicationMode.Value(f"COMMUNICATION_MODE_{each.name}") for each in modes or ()
        ],
        criticalities=[
            DependencyCriticalityEnum.Value(f"DEPENDENCY_CRITICALITY_{each.name}")
            for each in criticalities or ()
        ],
        discovery_sources=[DiscoverySource.Value(f"DISCOVERY_SOURCE_{each.name}") for each in sources or ()],
        min_confidence=min_confidence,
        exclude_kinds=kind_numbers(excluded_kinds),
    )


def kind_numbers(kinds: Sequence[Kind] | None) -> list[ServiceKind.ValueType]:
    """Write kinds of services as the contract does."""
    return [ServiceKind.Value(f"SERVICE_KIND_{each.name}") for each in kinds or ()]
