"""What ``depgraph show`` draws: sorted neighbours, large fans cut; and the tree of a terminal."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from rich.text import Text

from server.cli.render.labels import AnyDependency, dependency_label, is_stale, sources
from server.cli.render.text import counted, visible

NAME, EDGE, STALE, MARK = "bold", "cyan", "dim", "magenta"


class Link(NamedTuple):
    """A neighbour, and the dependencies to it: one a discovery source, or the effective one."""

    service_id: str
    dependencies: tuple[AnyDependency, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """
    One walk from ``start``: what it calls, or who calls it.

    ``links`` has the drawn neighbours of each service, sorted by name, and ``hidden`` the number
    of others. ``homes`` has the neighbour under which a service is expanded: the first that is
    fewest hops from ``start``. ``size`` counts all services, drawn or not.
    """

    start: str
    links: Mapping[str, tuple[Link, ...]]
    hidden: Mapping[str, int]
    homes: Mapping[str, str]
    size: int


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """What is around ``start``; None = that direction is not drawn."""

    start: str
    calls: Branch | None
    called_by: Branch | None

    @property
    def edges(self) -> list[tuple[str, Link]]:
        """Every drawn caller with the callee it links to, once each, sorted by names."""
        found: dict[tuple[str, str], tuple[AnyDependency, ...]] = {}
        for near, link in _links(self.calls):
            found[near, link.service_id] = link.dependencies
        for near, link in _links(self.called_by):
            found[link.service_id, near] = link.dependencies
        return [(source, Link(target, found[source, target])) for source, target in sorted(found)]


def downstream(start: str, dependencies: Iterable[AnyDependency], *, depth: int, fan: int) -> Branch:
    """
    Draw what ``start`` calls, ``depth`` hops far, at most ``fan`` neighbours a service (0 = all).

    O(n log n) for n dependencies.
    """
    pairs = ((each.source_service_id, each.target_service_id, each) for each in dependencies)
    return _branch(start, pairs, depth, fan)


def upstream(start: str, dependencies: Iterable[AnyDependency], *, depth: int, fan: int) -> Branch:
    """Draw who calls ``start``; otherwise like ``downstream``."""
    pairs = ((each.target_service_id, each.source_service_id, each) for each in dependencies)
    return _branch(start, pairs, depth, fan)


def tree_lines(around: Neighbourhood) -> Iterator[Text]:
    """
    Draw a tree for a terminal: what the service calls and who calls it, sorted by name.

    A service is expanded once, where it is fewest hops away, and marked elsewhere. A call back to a
    service further up in the same branch is marked as a cycle.
    """
    yield Text(visible(around.start), style=NAME)
    titled = (("calls", around.calls), ("called by", around.called_by))
    branches = [(title, branch) for title, branch in titled if branch is not None]
    for position, (title, branch) in enumerate(branches):
        elbow, indent = _rails(last=position == len(branches) - 1)
        size = counted(branch.size, "service") if branch.size else "no service"
        yield Text(elbow) + Text(f"{title} {size}", style=EDGE)
        yield from _tree_below(branch, branch.start, indent, (branch.start,))


def _branch(start: str, pairs: Iterable[tuple[str, str, AnyDependency]], depth: int, fan: int) -> Branch:
    grouped: defaultdict[str, defaultdict[str, list[AnyDependency]]] = defaultdict(lambda: defaultdict(list))
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
    """Breadth-first: the neighbour that each service was found from, and its hops."""
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


def _sorted_links(neighbours: Mapping[str, list[AnyDependency]]) -> tuple[Link, ...]:
    return tuple(Link(name, tuple(sorted(neighbours[name], key=sources))) for name in sorted(neighbours))


def _links(branch: Branch | None) -> list[tuple[str, Link]]:
    if branch is None:
        return []
    return [(near, link) for near, links in branch.links.items() for link in links]


def _tree_below(branch: Branch, near: str, indent: str, path: tuple[str, ...]) -> Iterator[Text]:
    links = branch.links.get(near, ())
    hidden = branch.hidden.get(near, 0)
    for position, link in enumerate(links):
        elbow, further = _rails(last=not hidden and position == len(links) - 1)
        yield Text(indent + elbow) + _tree_line(branch, near, link, path)
        if branch.homes.get(link.service_id) == near:
            yield from _tree_below(branch, link.service_id, indent + further, (*path, link.service_id))
    if hidden:
        yield Text(f"{indent}└── ") + Text(f"… and {hidden:,} more", style=STALE)


def _tree_line(branch: Branch, near: str, link: Link, path: tuple[str, ...]) -> Text:
    is_faded = is_stale(link.dependencies)
    return Text.assemble(
        (visible(link.service_id), STALE if is_faded else NAME),
        (f"  {dependency_label(link.dependencies)}", STALE if is_faded else EDGE),
        (_mark(branch, near, link.service_id, path), MARK),
    )


def _mark(branch: Branch, near: str, service_id: str, path: tuple[str, ...]) -> str:
    if service_id in path:
        return "  ↺ cycle"
    if branch.homes.get(service_id) != near and service_id in branch.links:
        return "  ↑ expanded elsewhere"
    return ""


def _rails(*, last: bool) -> tuple[str, str]:
    return ("└── ", "    ") if last else ("├── ", "│   ")
