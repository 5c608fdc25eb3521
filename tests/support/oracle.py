"""Traversals by the plainest search: level after level, looking at every edge each time."""

from typing import NamedTuple
from uuid import UUID

from tests.support.rows import PlainEdge, PlainFilter, Tables


class Reached(NamedTuple):
    """What a traversal must find: hops by name of each service but the start, and keys of edges."""

    depths: dict[str, int]
    edges: set[UUID]


def walk(edges: list[PlainEdge], start: UUID, max_depth: int) -> tuple[dict[UUID, int], set[UUID]]:
    """Walk from source to target; returns hops by service, the start too, and keys of edges."""
    depths = {start: 0}
    crossed: set[UUID] = set()
    for depth in range(1, max_depth + 1):
        level: set[UUID] = set()
        for edge in edges:
            if depths.get(edge.source) == depth - 1:
                crossed.add(edge.key)
                if edge.target not in depths:
                    level.add(edge.target)
        depths.update(dict.fromkeys(level, depth))
    return depths, crossed


def reached(tables: Tables, start: UUID, direction: str, max_depth: int, chosen: PlainFilter) -> Reached:
    """Traverse ``downstream``, ``upstream`` or ``both``."""
    forward = [edge for edge in tables.joined_edges() if chosen.admits(edge)]
    backward = [edge._replace(source=edge.target, target=edge.source) for edge in forward]
    depths: dict[UUID, int] = {}
    crossed: set[UUID] = set()
    for name, edges in (("downstream", forward), ("upstream", backward)):
        if direction in {name, "both"}:
            found, keys = walk(edges, start, max_depth)
            crossed |= keys
            for service, depth in found.items():
                depths[service] = min(depth, depths.get(service, depth))
    del depths[start]
    return Reached({tables.name(service): depth for service, depth in depths.items()}, crossed)


def edges_within(tables: Tables, keys: set[UUID], names: set[str]) -> set[UUID]:
    """Those of the edges whose both ends are called one of ``names``."""
    ends = {
        key: (tables.name(tables.edges[key].source), tables.name(tables.edges[key].target)) for key in keys
    }
    return {key for key, pair in ends.items() if names.issuperset(pair)}


def is_breadth_first(
    tables: Tables, order: list[str], depths: list[int], start: str, edges: list[PlainEdge]
) -> bool:
    """Whether services stand in the order of a queue: by their first finder, along ``edges``."""
    place = {name: position for position, name in enumerate([start, *order])}
    depth_of = dict(zip(order, depths, strict=True)) | {start: 0}
    finders: dict[str, int] = {}
    for edge in edges:
        source, target = tables.name(edge.source), tables.name(edge.target)
        if source in place and target in place and depth_of[target] == depth_of[source] + 1:
            finders[target] = min(place[source], finders.get(target, place[source]))
    turns = [finders[name] for name in order]
    return turns == sorted(turns)
