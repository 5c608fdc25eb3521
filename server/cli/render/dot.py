"""A neighbourhood in the DOT language of Graphviz."""

from collections.abc import Iterator

from server.cli.render.drawing import Drawing
from server.cli.render.labels import is_async, is_stale, label
from server.cli.render.neighbourhood import Neighbourhood
from server.cli.render.text import visible


def dot_lines(around: Neighbourhood) -> Iterator[str]:
    """Draw callers left of callees; dashed = asynchronous, grey = stale."""
    drawing = Drawing(around)
    yield "digraph depgraph {"
    yield "    rankdir=LR;"
    yield '    node [shape=box, fontname="sans-serif"];'
    for name, node in drawing.nodes.items():
        start = ", penwidth=3" if name == around.start else ""
        yield f'    {node} [label="{escaped(name)}"{start}];'
    for source, target, dependencies in drawing.edges:
        style = "dashed" if is_async(dependencies) else "solid"
        colour = ", color=grey" if is_stale(dependencies) else ""
        yield f'    {source} -> {target} [label="{escaped(label(dependencies))}", style={style}{colour}];'
    for source, target, ghost, hidden in drawing.cuts:
        yield f'    {ghost} [label="… and {hidden} more", shape=plaintext];'
        yield f"    {source} -> {target} [style=dotted, arrowhead=none];"
    yield "}"


def escaped(text: str) -> str:
    r"""
    Write a label: quotes and backslashes escaped, and ``&`` too, since Graphviz reads HTML entities in plain labels.

    A backslash that a name holds reaches Graphviz as ``\\\\``: doubled to be visible, and doubled again for DOT.
    """
    return visible(text).replace("\\", "\\\\").replace('"', '\\"').replace("&", "&amp;")
