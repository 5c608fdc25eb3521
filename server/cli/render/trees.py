"""A neighbourhood as a tree for a terminal, one line of text a service."""

from collections.abc import Iterator

from rich.text import Text

from server.cli.render.labels import is_stale, label
from server.cli.render.neighbourhood import Branch, Link, Neighbourhood
from server.cli.render.text import counted, visible

NAME, EDGE, STALE, MARK = "bold", "cyan", "dim", "magenta"


def tree_lines(around: Neighbourhood) -> Iterator[Text]:
    """
    Draw what the service calls and who calls it, sorted by name.

    A service is expanded once, where it is fewest hops away; elsewhere it is marked. A call back to a service further up in the
    same branch is marked as a cycle.
    """
    yield Text(visible(around.start), style=NAME)
    branches = [
        (title, branch)
        for title, branch in (("calls", around.calls), ("called by", around.called_by))
        if branch is not None
    ]
    for position, (title, branch) in enumerate(branches):
        elbow, indent = _rails(last=position == len(branches) - 1)
        heading = f"{title} {counted(branch.size, 'service')}" if branch.size else f"{title} nobody"
        yield Text(elbow) + Text(heading, style=EDGE)
        yield from _below(branch, branch.start, indent, (branch.start,))


def _below(branch: Branch, near: str, indent: str, path: tuple[str, ...]) -> Iterator[Text]:
    links = branch.links.get(near, ())
    hidden = branch.hidden.get(near, 0)
    for position, link in enumerate(links):
        elbow, further = _rails(last=not hidden and position == len(links) - 1)
        yield Text(indent + elbow) + _line(branch, near, link, path)
        if branch.homes.get(link.service_id) == near:
            yield from _below(branch, link.service_id, indent + further, (*path, link.service_id))
    if hidden:
        yield Text(f"{indent}└── ") + Text(f"… and {hidden:,} more", style=STALE)


def _line(branch: Branch, near: str, link: Link, path: tuple[str, ...]) -> Text:
    faded = is_stale(link.dependencies)
    return Text.assemble(
        (visible(link.service_id), STALE if faded else NAME),
        (f"  {label(link.dependencies)}", STALE if faded else EDGE),
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
