"""A neighbourhood as a Mermaid flowchart."""

from collections.abc import Iterator

from server.cli.render.drawing import Drawing
from server.cli.render.labels import is_async, label
from server.cli.render.neighbourhood import Neighbourhood
from server.cli.render.text import visible

PLAIN = frozenset("-_./ ")


def mermaid_lines(around: Neighbourhood) -> Iterator[str]:
    """Draw callers left of callees; a dotted arrow is asynchronous. Labels hold nothing that Mermaid or HTML would act on."""
    drawing = Drawing(around)
    yield "flowchart LR"
    for name, node in drawing.nodes.items():
        yield f'    {node}["{escaped(name)}"]'
    yield f"    style {drawing.nodes[around.start]} stroke-width:3px"
    for source, target, dependencies in drawing.edges:
        arrow = "-.->" if is_async(dependencies) else "-->"
        yield f'    {source} {arrow}|"{escaped(label(dependencies))}"| {target}'
    for source, target, ghost, hidden in drawing.cuts:
        yield f'    {ghost}(["… and {hidden} more"])'
        yield f"    {source} -.- {target}"


def escaped(text: str) -> str:
    """
    Write a label by Mermaid's numeric entities: everything but letters, digits and ``-_./`` and space.

    The colon too: Mermaid takes ``style…:…#…;`` for a style, wherever it stands in a line, and cuts it.
    """
    return "".join(
        character if character.isalnum() or character in PLAIN else f"#{ord(character)};"
        for character in visible(text)
    )
