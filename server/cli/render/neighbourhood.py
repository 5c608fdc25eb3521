"""What ``depgraph show`` draws: important neighbours first, large fans cut; and the tree."""

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from depgraph.v1.graph_service_pb2 import TraverseResponse
from depgraph.v1.types_pb2 import (
    DEPENDENCY_CRITICALITY_DEGRADED,
    DEPENDENCY_CRITICALITY_HARD,
    DEPENDENCY_CRITICALITY_SOFT,
    DEPENDENCY_CRITICALITY_UNKNOWN,
)
from server.cli.render.labels import AnyDependency, dependency_label, is_async, is_stale, sources
from server.cli.render.text import counted, screen_width, visible

NAME, EDGE, STALE, MARK = "bold", "cyan", "dim", "magenta"
STRENGTH = {
    DEPENDENCY_CRITICALITY_HARD: 0,
    DEPENDENCY_CRITICALITY_UNKNOWN: 1,
    DEPENDENCY_CRITICALITY_DEGRADED: 2,
    DEPENDENCY_CRITICALITY_SOFT: 3,
}
LAST = 9
"""The place of a criticality that is missing or new."""

Fetch = Callable[[Sequence[str]], Sequence[TraverseResponse]]
"""Answers walks of one hop in one direction, from each of the named services."""


class Link(NamedTuple):
    """A neighbour, and the dependencies to it: one a discovery source, or the effective one."""

    service_id: str
    dependencies: tuple[AnyDependency, ...]


@dataclass(frozen=True, slots=True)
class Branch:
    """
    One walk from ``start``: what it calls, or who calls it.

    ``links`` has the drawn neighbours of each service, most important first, and ``hidden`` the
    number of others. ``homes`` has the neighbour under which a service is expanded: the first that
    is fewest hops from ``start``. ``reach`` counts the services within ``depth`` hops, drawn or
    not.
    """

    start: str
    depth: int
    links: Mapping[str, tuple[Link, ...]]
    hidden: Mapping[str, int]
    homes: Mapping[str, str]
    reach: int

    @property
    def direct(self) -> int:
        """The number of neighbours of ``start``, drawn or not."""
        return len(self.links.get(self.start, ())) + self.hidden.get(self.start, 0)


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


def explore(start: str, fetch: Fetch, *, depth: int, fan: int, reach: int) -> Branch:
    """
    Walk from ``start`` through what is drawn: at most ``fan`` neighbours of each service, 0 = all.

    Asks, hop by hop, for the neighbours of drawn services only: hubs that are not drawn cost
    nothing. O(n log n) for n dependencies of drawn services.
    """
    links: dict[str, tuple[Link, ...]] = {}
    hidden: dict[str, int] = {}
    homes: dict[str, str] = {}
    layer = [start]
    for _ in range(depth):
        following: list[str] = []
        for near, answer in zip(layer, fetch(layer) if layer else (), strict=True):
            found = _sorted_links(near, answer)
            if not found:
                continue
            links[near] = tuple(found[: fan or None])
            if rest := len(found) - len(links[near]):
                hidden[near] = rest
            for link in links[near]:
                if link.service_id != start and link.service_id not in homes:
                    homes[link.service_id] = near
                    following.append(link.service_id)
        layer = following
    return Branch(start, depth, links, hidden, homes, reach)


def print_tree(around: Neighbourhood, about: Sequence[str]) -> None:
    """Print ``tree_lines``, broken between words on a terminal."""
    console = Console(highlight=False, color_system=None if os.environ.get("NO_COLOR") else "auto")
    width = screen_width()
    for line in tree_lines(around, about):
        prefix = line.prefix
        fits = line.text.cell_len <= width - len(prefix)
        parts = [line.text] if fits else line.text.wrap(console, max(1, width - len(line.hanging)))
        # A blank part comes after a word that fills the whole width.
        for part in [part for part in parts if part.plain.strip()] or [line.text]:
            part.rstrip()
            console.print(Text(prefix) + part, soft_wrap=True)
            prefix = line.hanging


class TreeLine(NamedTuple):
    """A line of a tree: its rails, those of what does not fit it, and the text."""

    prefix: str
    hanging: str
    text: Text


def tree_lines(around: Neighbourhood, about: Sequence[str]) -> Iterator[TreeLine]:
    """
    Draw a tree for a terminal: what is known of the service, what it calls and who calls it.

    ``about`` goes beside the name, and below it. A service is expanded once, where it is fewest
    hops away; elsewhere an arrow points up or down to that place. A call back to a service further
    up in the same branch is marked as a cycle.
    """
    head, *details = about or ("",)
    yield TreeLine("", "│   ", Text.assemble((visible(around.start), NAME), "  " if head else "", head))
    for detail in details:
        yield TreeLine("│   ", "│     ", Text(detail))
    branches = [branch for branch in (around.calls, around.called_by) if branch is not None]
    for position, branch in enumerate(branches):
        elbow, indent = _rails(last=position == len(branches) - 1)
        yield TreeLine(elbow, indent, Text(_title(branch, is_callers=branch is around.called_by), style=EDGE))
        yield from _Tree(branch).below(branch.start, indent, (branch.start,))


def _title(branch: Branch, *, is_callers: bool) -> str:
    direct = counted(branch.direct, "service") if branch.direct else "no service"
    further = ""
    if branch.reach > branch.direct:
        reached = "reached by" if is_callers else "reaches"
        further = f", {reached} {branch.reach:,} within {counted(branch.depth, 'hop')}"
    return f"{'called by' if is_callers else 'calls'} {direct}{further}"


class _Tree:
    """The lines of a branch; ``_expanded`` has the services whose neighbours are drawn so far."""

    def __init__(self, branch: Branch) -> None:
        self._branch = branch
        self._expanded: set[str] = set()

    def below(self, near: str, indent: str, path: tuple[str, ...]) -> Iterator[TreeLine]:
        self._expanded.add(near)
        links, hidden = self._branch.links.get(near, ()), self._branch.hidden.get(near, 0)
        for position, link in enumerate(links):
            elbow, further = _rails(last=not hidden and position == len(links) - 1)
            mark = self._mark(near, link.service_id, path)
            yield TreeLine(indent + elbow, indent + further + "  ", _text(link, mark))
            if self._branch.homes.get(link.service_id) == near:
                yield from self.below(link.service_id, indent + further, (*path, link.service_id))
        if hidden:
            yield TreeLine(f"{indent}└── ", f"{indent}    ", Text(f"… and {hidden:,} more", style=STALE))

    def _mark(self, near: str, service_id: str, path: tuple[str, ...]) -> str:
        if service_id in path:
            return "  ↺ cycle"
        home = self._branch.homes.get(service_id)
        if home is None or home == near or service_id not in self._branch.links:
            return ""
        arrow = "↑" if service_id in self._expanded else "↓"
        return f"  {arrow} expanded under {visible(home)}"


def _text(link: Link, mark: str) -> Text:
    is_faded = is_stale(link.dependencies)
    return Text.assemble(
        (visible(link.service_id), STALE if is_faded else NAME),
        (f"  {dependency_label(link.dependencies)}", STALE if is_faded else EDGE),
        (mark, MARK),
    )


def _sorted_links(near: str, answer: TraverseResponse) -> list[Link]:
    """Sort the neighbours: critical services first, then hard and synchronous dependencies."""
    grouped: defaultdict[str, list[AnyDependency]] = defaultdict(list)
    found: list[AnyDependency] = [*answer.dependencies, *answer.effective_dependencies]
    for each in found:
        target = each.target_service_id
        grouped[each.source_service_id if target == near else target].append(each)
    criticalities = {row.service_id: row.criticality for row in answer.services}
    links = [Link(name, tuple(sorted(reports, key=sources))) for name, reports in grouped.items()]

    def importance(link: Link) -> tuple[bool, int, int, bool, str]:
        reports = link.dependencies
        strength = min(STRENGTH.get(each.criticality, LAST) for each in reports)
        criticality = criticalities.get(link.service_id, LAST)
        return is_stale(reports), criticality, strength, is_async(reports), link.service_id

    return sorted(links, key=importance)


def _links(branch: Branch | None) -> list[tuple[str, Link]]:
    if branch is None:
        return []
    return [(near, link) for near, links in branch.links.items() for link in links]


def _rails(*, last: bool) -> tuple[str, str]:
    return ("└── ", "    ") if last else ("├── ", "│   ")
