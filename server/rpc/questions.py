"""What questions about the graph have in common: consistency, filters, names of services."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from depgraph.v1 import graph_service_pb2, types_pb2
from graphcore import DependencyGraph, EdgeFilter, EdgeFlag
from graphcore.analysis.edge_selection import effective_edges, passing_edges
from server.domain.errors import InvalidRevisionError, ServiceNotFoundError
from server.domain.live_graph import AsOf, AtLeastAsFresh, Consistency, FullyConsistent, MinimizeLatency
from server.domain.records import CRITICALITY_FLAGS, KIND_BITS, MODE_FLAGS, SOURCE_FLAGS
from server.domain.revision import Revision
from server.domain.services import NAME_MAX_LENGTH
from server.rpc.answers import tag
from server.rpc.validate import Check, shown
from server.wire.columns import (
    COMMUNICATION_MODE,
    DEPENDENCY_CRITICALITY,
    DISCOVERY_SOURCE,
    SERVICE_KIND,
    EnumWords,
)
from server.wire.fields import field

_MOST_FLAGS = 100

FROM_MEMORY = MinimizeLatency()
"""The consistency of nearly every question, always this very object."""


def is_name(text: str) -> bool:
    """Whether a text can be the name of a service."""
    return 0 < len(text) <= NAME_MAX_LENGTH and "\0" not in text


def consistency(check: Check, wanted: types_pb2.Consistency) -> Consistency:
    """Read how fresh an answer must be; unset = from memory now."""
    match wanted.WhichOneof("requirement"):
        case None:
            return FROM_MEMORY
        case "at_least_as_fresh":
            token = wanted.at_least_as_fresh
            revision = revision_of(check, "consistency.at_least_as_fresh", token)
            return FROM_MEMORY if revision is None else AtLeastAsFresh(revision)
        case "minimize_latency":
            _require_true(check, "minimize_latency", given=wanted.minimize_latency)
            return FROM_MEMORY
        case "fully_consistent":
            _require_true(check, "fully_consistent", given=wanted.fully_consistent)
            return FullyConsistent()
        case "as_of":
            return AsOf(check.past_moment("consistency.as_of", wanted.as_of))


def revision_of(check: Check, field: str, token: str) -> Revision | None:
    """Read a revision; None if it is wrong."""
    try:
        return Revision.parse(token)
    except InvalidRevisionError as error:
        check.add(field, error.message, InvalidRevisionError)
        return None


def _require_true(check: Check, requirement: str, *, given: bool) -> None:
    if not given:
        check.add(f"consistency.{requirement}", "is false; set it to true, or leave consistency unset")


def edge_filter(check: Check, wanted: graph_service_pb2.EdgeFilter, *, include_stale: bool) -> EdgeFilter:
    """Read which dependencies count; unset = all but stale ones."""
    return EdgeFilter.of(
        communication_modes=_flags(
            check, "communication_modes", wanted.communication_modes, COMMUNICATION_MODE, MODE_FLAGS
        ),
        criticalities=_flags(
            check, "criticalities", wanted.criticalities, DEPENDENCY_CRITICALITY, CRITICALITY_FLAGS
        ),
        discovery_sources=_flags(
            check, "discovery_sources", wanted.discovery_sources, DISCOVERY_SOURCE, SOURCE_FLAGS
        ),
        min_confidence=check.share("filter.min_confidence", wanted.min_confidence),
        include_stale=include_stale,
        excluded_kinds=excluded_kinds(check, "filter.exclude_kinds", wanted.exclude_kinds),
    )


def excluded_kinds(check: Check, field: str, numbers: Sequence[int]) -> int:
    """Read kinds of services as the bits that the graph knows them by."""
    check.at_most(field, numbers, _MOST_FLAGS, "make a filter")
    words = [
        check.word(f"{field}[{position}]", number, SERVICE_KIND, "service")
        for position, number in enumerate(numbers)
    ]
    return sum({KIND_BITS[word] for word in words})


def _flags(
    check: Check, field: str, numbers: Sequence[int], enum: EnumWords[Any, Any], bits: Mapping[str, int]
) -> list[EdgeFlag]:
    check.at_most(f"filter.{field}", numbers, _MOST_FLAGS, "make a filter")
    stand_in = next(iter(enum.number))
    words = [
        check.word(f"filter.{field}[{position}]", number, enum, stand_in)
        for position, number in enumerate(numbers)
    ]
    return [EdgeFlag(bits[word]) for word in words]


def edge_mask(
    graph: DependencyGraph, edge_filter: EdgeFilter, *named: str, effective: bool
) -> NDArray[np.uint8]:
    """
    Mark the edges that pass; ``effective`` = only the leading one of each pair. O(V + E).

    ``named`` are the services that the question names: they may be of an excluded kind.
    """
    nodes = [graph.node(name) for name in named]
    return (effective_edges if effective else passing_edges)(graph, edge_filter, nodes)


def names_of(graph: DependencyGraph, nodes: NDArray[np.int32]) -> list[str]:
    """Look up the names of services by node. O(their number), 0.1 µs each."""
    digraph = graph.digraph
    return [digraph[node].name for node in nodes.tolist()]


def nodes_left_in(graph: DependencyGraph, passing: EdgeFilter) -> NDArray[np.int32]:
    """List the nodes of all services but those of excluded kinds. O(V)."""
    is_left = np.zeros(len(graph.index.nodes), np.bool_)
    is_left[np.asarray(graph.digraph.node_indices())] = True
    is_left[graph.nodes_of_kinds(passing.excluded_kinds)] = False
    return np.flatnonzero(is_left).astype(np.int32)


def own_names(graph: DependencyGraph, *names: str) -> list[str]:
    """
    Look up the own names of services, which may be named by aliases.

    Raises ``ServiceNotFoundError`` that lists the names that are neither.
    """
    own = [graph.resolve(name) for name in names]
    missing = [name for name, found in zip(names, own, strict=True) if found is None]
    if missing:
        listed = " and ".join(map(shown, missing))
        raise ServiceNotFoundError(
            f"no service{'s' * (len(missing) > 1)} named {listed}", service_id=missing[0]
        )
    return [found for found in own if found is not None]


def resolved_field(response: type[Message], asked: Iterable[str], own: Iterable[str]) -> bytes:
    """Encode ``resolved_aliases`` of an answer: those of the names asked for that are aliases."""
    return b"".join(
        field(
            tag(response, "resolved_aliases"),
            types_pb2.ResolvedAlias(alias=name, service_id=service_id).SerializeToString(),
        )
        for name, service_id in zip(asked, own, strict=True)
        if name != service_id
    )
