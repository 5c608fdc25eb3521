"""Random tables, and the way from plain rows into a ``DependencyGraph``."""

from collections.abc import Iterable
from uuid import UUID

from hypothesis import strategies as st

from graphcore import ChangeSet, DependencyGraph, DependencyRecord, EdgeFilter, EdgeFlag, ServiceRecord
from tests.support.rows import (
    COMMUNICATION_MODES,
    CRITICALITIES,
    DISCOVERY_SOURCES,
    PlainEdge,
    PlainFilter,
    PlainService,
    Tables,
)

CONFIDENCES = (0.0, 0.25, 0.5, 0.75, 1.0)
EDGE_KEYS_START = 1_000


def flags_of(edge: PlainEdge) -> int:
    values = [edge.mode, edge.criticality, edge.discovery, *(["stale"] if edge.stale else [])]
    return sum(int(EdgeFlag[value.upper()]) for value in values)


def service_record(service: PlainService) -> ServiceRecord:
    return ServiceRecord(service.key, service.name, f"payload of {service.name}", f"id of {service.name}")


def dependency_record(edge: PlainEdge) -> DependencyRecord:
    """The payload is the key, so that a traversal's answer can be checked edge by edge."""
    return DependencyRecord(edge.key, edge.source, edge.target, flags_of(edge), edge.confidence, edge.key)


def change_set(
    services: Iterable[PlainService] = (),
    edges: Iterable[PlainEdge] = (),
    removed_services: Iterable[UUID] = (),
    removed_edges: Iterable[UUID] = (),
) -> ChangeSet:
    return ChangeSet(
        [service_record(service) for service in services],
        list(removed_services),
        [dependency_record(edge) for edge in edges],
        list(removed_edges),
    )


def graph_of(tables: Tables) -> DependencyGraph:
    graph = DependencyGraph()
    graph.apply(change_set(tables.services.values(), tables.edges.values()))
    return graph


def edge_filter(chosen: PlainFilter) -> EdgeFilter:
    return EdgeFilter.of(
        communication_modes=[EdgeFlag[mode.upper()] for mode in chosen.modes],
        criticalities=[EdgeFlag[criticality.upper()] for criticality in chosen.criticalities],
        discovery_sources=[EdgeFlag[discovery.upper()] for discovery in chosen.discoveries],
        min_confidence=chosen.min_confidence,
        include_stale=chosen.include_stale,
    )


def _services(count: int) -> dict[UUID, PlainService]:
    keys = [UUID(int=number + 1) for number in range(count)]
    return {key: PlainService(key, f"service-{key.int}") for key in keys}


def plain_edges(key: st.SearchStrategy[UUID], end: st.SearchStrategy[UUID]) -> st.SearchStrategy[PlainEdge]:
    """Edges of all sorts, self-loops among them; about a quarter are stale."""
    return st.builds(
        PlainEdge,
        key=key,
        source=end,
        target=end,
        mode=st.sampled_from(COMMUNICATION_MODES),
        criticality=st.sampled_from(CRITICALITIES),
        discovery=st.sampled_from(DISCOVERY_SOURCES),
        confidence=st.sampled_from(CONFIDENCES),
        stale=st.sampled_from((False, False, False, True)),
    )


@st.composite
def tables(draw: st.DrawFn, max_services: int = 14, max_edges: int = 40) -> Tables:
    """
    Tables as the database could hold them: cycles, parallel and stale edges, services without any.

    Half of them start from a ring through all services, so that deep walks find something to walk.
    """
    services = _services(draw(st.integers(1, max_services)))
    keys = list(services)
    unique: dict[tuple[UUID, UUID, str], PlainEdge] = {}
    if draw(st.booleans()):
        for source, target in zip(keys, keys[1:] + keys[:1], strict=True):
            if source != target:
                unique[source, target, "manual"] = PlainEdge(UUID(int=0), source, target)
    for edge in draw(st.lists(plain_edges(st.just(UUID(int=0)), st.sampled_from(keys)), max_size=max_edges)):
        if edge.source != edge.target:
            unique.setdefault((edge.source, edge.target, edge.discovery), edge)
    edges = [edge._replace(key=UUID(int=EDGE_KEYS_START + n)) for n, edge in enumerate(unique.values())]
    return Tables(services, {edge.key: edge for edge in edges})


def filters() -> st.SearchStrategy[PlainFilter]:
    """Filters of which about half keep nothing but stale edges out."""
    some = st.builds(
        PlainFilter,
        modes=st.frozensets(st.sampled_from(COMMUNICATION_MODES), min_size=1),
        criticalities=st.frozensets(st.sampled_from(CRITICALITIES), min_size=1),
        discoveries=st.frozensets(st.sampled_from(DISCOVERY_SOURCES), min_size=1),
        min_confidence=st.sampled_from(CONFIDENCES),
        include_stale=st.booleans(),
    )
    return st.one_of(st.builds(PlainFilter, include_stale=st.booleans()), some)
