"""A neighbourhood or a whole graph in the DOT language of Graphviz, and as a Mermaid flowchart."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from depgraph.v1.types_pb2 import Dependency
from server.cli.render.labels import AnyDependency, dependency_label, is_async, is_stale, short_label
from server.cli.render.neighbourhood import Branch, Neighbourhood
from server.cli.render.text import visible

MERMAID_PLAIN = frozenset("-_./ ")


class CutFan(NamedTuple):
    """The arrow, as calls go, between a node and ``ghost``, which stands for hidden neighbours."""

    source: str
    target: str
    ghost: str
    hidden: int


@dataclass(frozen=True, slots=True)
class Diagram:
    """
    Nodes, arrows and fans that were cut, in a stable order.

    Nodes are called ``n0``, ``n1`` …, so that names of services stand in labels only. ``start`` is
    the service to stand out; empty = none.
    """

    start: str
    nodes: Mapping[str, str]
    edges: Sequence[tuple[str, str, tuple[AnyDependency, ...]]]
    cut_fans: Sequence[CutFan] = ()

    @classmethod
    def around(cls, around: Neighbourhood) -> Self:
        """Draw what ``depgraph show`` prints."""
        links = around.edges
        names = {name for source, link in links for name in (source, link.service_id)} - {around.start}
        nodes = _numbered([around.start, *sorted(names)])
        edges = [(nodes[source], nodes[link.service_id], link.dependencies) for source, link in links]
        cut_fans = [
            *_cut(nodes, around.calls, "callees", outwards=True),
            *_cut(nodes, around.called_by, "callers", outwards=False),
        ]
        return cls(around.start, nodes, edges, cut_fans)

    @classmethod
    def of_rows(cls, names: Sequence[str], dependencies: Iterable[Dependency], start: str = "") -> Self:
        """Draw all rows: an arrow for each pair of services. O(rows)."""
        nodes = _numbered(names)
        pairs: dict[tuple[str, str], list[AnyDependency]] = {}
        for each in dependencies:
            pairs.setdefault((each.source_service_id, each.target_service_id), []).append(each)
        edges = [(nodes[source], nodes[target], tuple(found)) for (source, target), found in pairs.items()]
        return cls(start, nodes, edges)


def _numbered(names: Sequence[str]) -> dict[str, str]:
    return {name: f"n{position}" for position, name in enumerate(names)}


def _cut(nodes: Mapping[str, str], branch: Branch | None, kind: str, *, outwards: bool) -> Iterator[CutFan]:
    for near, hidden in sorted(branch.hidden.items()) if branch is not None else ():
        node = nodes[near]
        ghost = f"{node}_{kind}"
        source, target = (node, ghost) if outwards else (ghost, node)
        yield CutFan(source, target, ghost, hidden)


def dot_lines(diagram: Diagram) -> Iterator[str]:
    """Draw callers left of callees; dashed = asynchronous, grey = stale; all else as tooltips."""
    yield "digraph depgraph {"
    yield "    rankdir=LR;"
    yield '    node [shape=box, fontname="sans-serif", fontsize=12];'
    yield '    edge [fontname="sans-serif", fontsize=10];'
    for name, node in diagram.nodes.items():
        start = ", penwidth=3" if name == diagram.start else ""
        yield f'    {node} [label="{dot_escaped(name)}"{start}];'
    for source, target, dependencies in diagram.edges:
        style = "dashed" if is_async(dependencies) else "solid"
        colour = ", color=grey" if is_stale(dependencies) else ""
        label, tooltip = short_label(dependencies), dot_escaped(dependency_label(dependencies))
        yield f'    {source} -> {target} [label="{label}", tooltip="{tooltip}", style={style}{colour}];'
    for source, target, ghost, hidden in diagram.cut_fans:
        yield f'    {ghost} [label="… and {hidden:,} more", shape=plaintext];'
        yield f"    {source} -> {target} [style=dotted, arrowhead=none];"
    yield "}"


def dot_escaped(text: str) -> str:
    r"""
    Escape quotes, backslashes, and ``&``: Graphviz reads HTML entities in plain labels.

    A backslash in a name becomes ``\\\\``: doubled to be visible, and doubled again for DOT.
    """
    return visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")


def mermaid_lines(diagram: Diagram) -> Iterator[str]:
    """Draw callers left of callees; a dotted arrow is asynchronous."""
    yield "flowchart LR"
    for name, node in diagram.nodes.items():
        yield f'    {node}["{mermaid_escaped(name)}"]'
    if diagram.start:
        yield f"    style {diagram.nodes[diagram.start]} stroke-width:3px"
    for source, target, dependencies in diagram.edges:
        arrow = "-.->" if is_async(dependencies) else "-->"
        label = mermaid_escaped(short_label(dependencies))
        yield f'    {source} {arrow}|"{label}"| {target}'
    for source, target, ghost, hidden in diagram.cut_fans:
        yield f'    {ghost}(["… and {hidden:,} more"])'
        yield f"    {source} -.- {target}"


def mermaid_escaped(text: str) -> str:
    """
    Write all but letters, digits, ``-_./`` and space as Mermaid's numeric entities.

    The colon too: Mermaid cuts ``style…:…#…;`` out of a line, wherever it is, as a style.
    """
    return "".join(
        character if character.isalnum() or character in MERMAID_PLAIN else f"#{ord(character)};"
        for character in visible(text)
    )
