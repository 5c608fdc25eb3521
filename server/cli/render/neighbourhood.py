"""What is drawn around a service: the dependencies of a walk, sorted, cut where fans are large, each service expanded once."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from server.cli.render.labels import sources

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from server.cli.render.labels import Drawn


class Link(NamedTuple):
    """A neighbour, and every dependency to it: one for each discovery source, in the order of the sources; or the effective one alone."""

    service_id: str
    dependencies: tuple[Drawn, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """
    One walk from ``start``: what it calls, or who calls it.

    ``links`` holds the drawn neighbours of each service, sorted by name; ``hidden`` how many more it has; ``homes`` the neighbour under
    which a service is expanded: the first one that is fewest hops from the start. ``size`` counts all services, drawn or not.
    """

    start: str
    links: Mapping[str, tuple[Link, ...]]
    hidden: Mapping[str, int]
    homes: Mapping[str, str]
    size: int


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """What is around ``start``; None = that direction was not asked for."""

    start: str
    calls: Branch | None
    called_by: Branch | None

    @property
    def edges(self) -> list[tuple[str, Link]]:
        """Every drawn caller with the callee it links to, once each, sorted by names."""
        found: dict[tuple[str, str], tuple[Drawn, ...]] = {}
        for near, link in _links(self.calls):
            found[near, link.service_id] = link.dependencies
        for near, link in _links(self.called_by):
            found[link.service_id, near] = link.dependencies
        return [(source, Link(target, found[source, target])) for source, target in sorted(found)]


def downstream(start: str, dependencies: Iterable[Drawn], *, depth: int, fan: int) -> Branch:
    """Draw what ``start`` calls, ``depth`` hops far, at most ``fan`` neighbours a service (0 = all). O(n log n)."""
    pairs = ((each.source_service_id, each.target_service_id, each) for each in dependencies)
    return _branch(start, pairs, depth, fan)


def upstream(start: str, dependencies: Iterable[Drawn], *, depth: int, fan: int) -> Branch:
    """Draw who calls ``start``; otherwise like ``downstream``."""
    pairs = ((each.target_service_id, each.source_service_id, each) for each in dependencies)
    return _branch(start, pairs, depth, fan)


def _branch(start: str, pairs: Iterable[tuple[str, str, Drawn]], depth: int, fan: int) -> Branch:
    grouped: defaultdict[str, defaultdict[str, list[Drawn]]] = defaultdict(lambda: defaultdict(list))
    for near, far, dependency in pairs:
        grouped[near][far].append(dependency)
    neighbours = {near: _sorted_links(fars) for near, fars in grouped.items()}
    shown = {near: links[:fan] if fan else links for near, links in neighbours.items()}
    homes = _walk(start, shown, depth)
    near_ends = {start: 0, **{service: hops for service, (_, hops) in homes.items() if hops < depth}}
    return Branch(
        start=start,
        links={near: shown[near] for near in near_ends if near in shown},
        hidden={
            near: len(neighbours[near]) - len(shown[near])
            for near in near_ends
            if near in shown and len(neighbours[near]) > len(shown[near])
        },
        homes={service: home for service, (home, _) in homes.items()},
        size=len(_walk(start, neighbours, depth)),
    )


def _walk(start: str, links: Mapping[str, tuple[Link, ...]], depth: int) -> dict[str, tuple[str, int]]:
    """Breadth-first: each service but the start with the neighbour that it was found from, and its hops."""
    found: dict[str, tuple[str, int]] = {}
    layer = [start]
    for hops in range(1, depth + 1):
        following: list[str] = []
        for near in layer:
            for link in links.get(near, ()):
                if link.service_id != start and link.service_id not in found:
                    found[link.service_id] = (near, hops)
                    following.append(link.service_id)
        layer = following
    return found


def _sorted_links(neighbours: Mapping[str, list[Drawn]]) -> tuple[Link, ...]:
    return tuple(Link(name, tuple(sorted(neighbours[name], key=sources))) for name in sorted(neighbours))


def _links(branch: Branch | None) -> list[tuple[str, Link]]:
    if branch is None:
        return []
    return [(near, link) for near, links in branch.links.items() for link in links]
