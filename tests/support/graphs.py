"""Random tables, and the way from plain rows into a ``DependencyGraph``."""

from collections.abc import Iterable, Sequence
from functools import cache
from itertools import combinations, product
from uuid import UUID

from hypothesis import strategies as st

from graphcore import (
    AliasRecord,
    ChangeSet,
    DependencyGraph,
    DependencyRecord,
    EdgeFilter,
    EdgeFlag,
    ServiceRecord,
)
from tests.support.rows import (
    COMMUNICATION_MODES,
    CRITICALITIES,
    DISCOVERY_SOURCES,
    PlainAlias,
    PlainEdge,
    PlainFilter,
    PlainService,
    Tables,
)

CONFIDENCES = (0.0, 0.25, 0.5, 0.75, 1.0)
KINDS = (0, 1, 2, 1, 128)
EDGE_KEYS_START = 1_000
NO_KEY = UUID(int=0)


MODES = {"sync": EdgeFlag.SYNC, "async": EdgeFlag.ASYNC, "unknown": EdgeFlag.UNKNOWN_MODE}
STRENGTHS = {
    "hard": EdgeFlag.HARD,
    "soft": EdgeFlag.SOFT,
    "degraded": EdgeFlag.DEGRADED,
    "unknown": EdgeFlag.UNKNOWN_CRITICALITY,
}


def flags_of(edge: PlainEdge) -> int:
    flags = MODES[edge.mode] | STRENGTHS[edge.criticality] | EdgeFlag[edge.discovery.upper()]
    return int(flags | EdgeFlag.STALE if edge.stale else flags)


def service_record(service: PlainService) -> ServiceRecord:
    key, name, kind = service
    return ServiceRecord(key, name, f"payload of {name}", f"id of {name}", kind)


def dependency_record(edge: PlainEdge) -> DependencyRecord:
    """The payload is the key, so that a traversal's answer can be checked edge by edge."""
    return DependencyRecord(edge.key, edge.source, edge.target, flags_of(edge), edge.confidence, edge.key)


def alias_record(alias: PlainAlias) -> AliasRecord:
    return AliasRecord(alias.key, alias.name, alias.service, f"payload of {alias.name}")


def change_set(
    services: Iterable[PlainService] = (),
    edges: Iterable[PlainEdge] = (),
    removed_services: Iterable[UUID] = (),
    removed_edges: Iterable[UUID] = (),
    *,
    aliases: Iterable[PlainAlias] = (),
    removed_aliases: Iterable[UUID] = (),
) -> ChangeSet:
    return ChangeSet(
        [service_record(service) for service in services],
        list(removed_services),
        [dependency_record(edge) for edge in edges],
        list(removed_edges),
        [alias_record(alias) for alias in aliases],
        list(removed_aliases),
    )


def graph_of(tables: Tables) -> DependencyGraph:
    graph = DependencyGraph()
    graph.apply(change_set(tables.services.values(), tables.edges.values(), aliases=tables.aliases.values()))
    return graph


def kinds_of(graph: DependencyGraph) -> dict[int, list[str]]:
    """The names of the services of each kind, as filters find them."""
    nodes = {kind: graph.nodes_of_kinds(kind).tolist() for kind in KINDS if kind}
    return {kind: sorted(graph.digraph[node].name for node in some) for kind, some in nodes.items()}


def edge_filter(chosen: PlainFilter) -> EdgeFilter:
    return EdgeFilter.of(
        communication_modes=[MODES[mode] for mode in chosen.modes],
        criticalities=[STRENGTHS[criticality] for criticality in chosen.criticalities],
        discovery_sources=[EdgeFlag[discovery.upper()] for discovery in chosen.discoveries],
        min_confidence=chosen.min_confidence,
        include_stale=chosen.include_stale,
    )


# One draw for all of what an edge is like: draws are what these tests spend their time on.
SORTS = st.sampled_from(
    list(
        product(
            (False, False, False, True), CONFIDENCES, DISCOVERY_SOURCES, CRITICALITIES, COMMUNICATION_MODES
        )
    )
)


@cache
def plain_edges(keys: tuple[UUID, ...], ends: tuple[UUID, ...]) -> st.SearchStrategy[PlainEdge]:
    """Edges of all sorts, self-loops among them; a quarter are stale."""
    pairs = st.sampled_from(list(product(ends, ends)))
    return st.builds(_plain_edge, st.sampled_from(keys), pairs, SORTS)


def _plain_edge(key: UUID, ends: tuple[UUID, UUID], sort: tuple[bool, float, str, str, str]) -> PlainEdge:
    stale, confidence, discovery, criticality, mode = sort
    return PlainEdge(key, *ends, mode, criticality, discovery, confidence, stale)


def tables(max_services: int = 14, max_edges: int = 40) -> st.SearchStrategy[Tables]:
    """
    Tables as the database could hold them: cycles, parallel and stale edges, services without any.

    Half of them start from a ring through all services, so that deep walks find something to walk.
    """
    return st.integers(1, max_services).flatmap(lambda count: _tables(count, max_edges))


@cache
def _tables(count: int, max_edges: int) -> st.SearchStrategy[Tables]:
    keys = [UUID(int=number + 1) for number in range(count)]
    ring = [PlainEdge(NO_KEY, *ends) for ends in zip(keys, keys[1:] + keys[:1], strict=True)]
    edges = st.lists(plain_edges((NO_KEY,), tuple(keys)), max_size=max_edges)
    return st.builds(_tables_of, st.just(keys), st.sampled_from(([], ring)), edges)


def _tables_of(keys: list[UUID], ring: list[PlainEdge], edges: list[PlainEdge]) -> Tables:
    """Number the edges: one for each pair and source, none from a service to itself."""
    unique: dict[tuple[UUID, UUID, str], PlainEdge] = {}
    for edge in ring + edges:
        if edge.source != edge.target:
            unique.setdefault((edge.source, edge.target, edge.discovery), edge)
    numbered = [edge._replace(key=UUID(int=EDGE_KEYS_START + n)) for n, edge in enumerate(unique.values())]
    return Tables(
        {key: PlainService(key, f"service-{key.int}", KINDS[key.int % len(KINDS)]) for key in keys},
        {edge.key: edge for edge in numbered},
    )


@cache
def filters() -> st.SearchStrategy[PlainFilter]:
    """Filters of which about half keep nothing but stale edges out."""
    some = st.builds(
        PlainFilter,
        modes=_some_of(COMMUNICATION_MODES),
        criticalities=_some_of(CRITICALITIES),
        discoveries=_some_of(DISCOVERY_SOURCES),
        min_confidence=st.sampled_from(CONFIDENCES),
        include_stale=st.booleans(),
    )
    return st.one_of(st.builds(PlainFilter, include_stale=st.booleans()), some)


def _some_of(values: Sequence[str]) -> st.SearchStrategy[frozenset[str]]:
    """Every set of these values but the empty one."""
    sizes = range(1, len(values) + 1)
    return st.sampled_from([frozenset(some) for size in sizes for some in combinations(values, size)])
