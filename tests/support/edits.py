"""Random edits of the tables, and the change sets that a feed would make of them."""

from collections.abc import Callable
from typing import TypeAlias
from uuid import UUID

from hypothesis import strategies as st

from graphcore import ChangeSet
from tests.support.graphs import CONFIDENCES, KINDS, change_set, plain_edges
from tests.support.rows import PlainAlias, PlainEdge, PlainService, Tables

SERVICES = tuple(UUID(int=number) for number in range(1, 8))
EDGES = tuple(UUID(int=number) for number in range(101, 116))
ALIASES = tuple(UUID(int=number) for number in range(201, 206))
NAMES = [f"name-{number}" for number in range(8)]
# A service may have the last two as well, as only tables without their rules can hold it.
OTHER_NAMES = [*(f"alias-{number}" for number in range(5)), *NAMES[-2:]]

Edit: TypeAlias = Callable[[Tables], None]


def put_service(key: UUID, name: str, kind: int) -> Edit:
    """Create or replace a service; the holder of that name gets the old one, or is deleted."""

    def edit(rows: Tables) -> None:
        former = rows.services.get(key)
        for other in [other for other in rows.services.values() if other.name == name and other.key != key]:
            if former is None:
                del rows.services[other.key]
            else:
                rows.services[other.key] = other._replace(name=former.name)
        rows.services[key] = PlainService(key, name, kind)

    return edit


def remove_service(key: UUID, cascade: bool) -> Edit:
    def edit(rows: Tables) -> None:
        rows.services.pop(key, None)
        for edge in list(rows.edges.values()):
            if cascade and key in {edge.source, edge.target}:
                del rows.edges[edge.key]

    return edit


def put_edge(edge: PlainEdge) -> Edit:
    def edit(rows: Tables) -> None:
        rows.edges[edge.key] = edge

    return edit


def remove_edge(key: UUID) -> Edit:
    def edit(rows: Tables) -> None:
        rows.edges.pop(key, None)

    return edit


def put_alias(alias: PlainAlias) -> Edit:
    """Create, rename or move an alias; the holder of that name gets the old one, or is deleted."""

    def edit(rows: Tables) -> None:
        former = rows.aliases.get(alias.key)
        for other in [other for other in rows.aliases.values() if other.name == alias.name]:
            if former is None:
                del rows.aliases[other.key]
            else:
                rows.aliases[other.key] = other._replace(name=former.name)
        rows.aliases[alias.key] = alias

    return edit


def remove_alias(key: UUID) -> Edit:
    def edit(rows: Tables) -> None:
        rows.aliases.pop(key, None)

    return edit


def populations() -> st.SearchStrategy[Tables]:
    """Tables to begin with: all services, and some edges between them."""
    edges = st.lists(plain_edges(EDGES, SERVICES), max_size=len(EDGES))
    return edges.map(
        lambda rows: Tables(
            {key: PlainService(key, name) for key, name in zip(SERVICES, NAMES, strict=False)},
            {edge.key: edge for edge in rows},
            {},
        )
    )


def alter_edge(key: UUID, confidence: float, stale: bool) -> Edit:
    """Change what an edge is like, if it is there, but not its ends."""

    def edit(rows: Tables) -> None:
        if key in rows.edges:
            rows.edges[key] = rows.edges[key]._replace(confidence=confidence, stale=stale)

    return edit


def edits() -> st.SearchStrategy[Edit]:
    service, edge = st.sampled_from(SERVICES), st.sampled_from(EDGES)
    alias = st.sampled_from(ALIASES)
    put = st.builds(put_edge, plain_edges(EDGES, SERVICES))
    return st.one_of(
        st.builds(put_service, service, st.sampled_from(NAMES), st.sampled_from(KINDS)),
        put,
        put,
        st.builds(remove_service, service, st.booleans()),
        st.builds(remove_edge, edge),
        st.builds(put_alias, st.builds(PlainAlias, alias, st.sampled_from(OTHER_NAMES), service)),
        st.builds(remove_alias, alias),
        st.builds(alter_edge, edge, st.sampled_from(CONFIDENCES), st.booleans()),
    )


def difference(before: Tables, after: Tables, unchanged_too: bool) -> ChangeSet:
    """What a feed would report; ``unchanged_too`` adds unchanged rows and keys that never were."""
    return change_set(
        [row for row in after.services.values() if unchanged_too or before.services.get(row.key) != row],
        [row for row in after.edges.values() if unchanged_too or before.edges.get(row.key) != row],
        [key for key in (SERVICES if unchanged_too else before.services) if key not in after.services],
        [key for key in (EDGES if unchanged_too else before.edges) if key not in after.edges],
        aliases=[
            row for row in after.aliases.values() if unchanged_too or before.aliases.get(row.key) != row
        ],
        removed_aliases=[
            key for key in (ALIASES if unchanged_too else before.aliases) if key not in after.aliases
        ],
    )


def snapshot(rows: Tables) -> Tables:
    return Tables(dict(rows.services), dict(rows.edges), dict(rows.aliases))
