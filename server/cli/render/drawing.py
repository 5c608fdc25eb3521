"""A neighbourhood as nodes and arrows, for the drawing languages."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from server.cli.render.labels import Drawn
from server.cli.render.neighbourhood import Branch, Neighbourhood


class Cut(NamedTuple):
    """A fan that was cut: the arrow's ends in the direction of the calls, the node that stands for the rest, its number."""

    source: str
    target: str
    ghost: str
    hidden: int


class Drawing:
    """Nodes get plain identifiers (``n0``, ``n1`` …), so that names stand in labels only; all in a stable order."""

    nodes: Mapping[str, str]
    edges: Sequence[tuple[str, str, tuple[Drawn, ...]]]
    cuts: Sequence[Cut]

    def __init__(self, around: Neighbourhood) -> None:
        links = around.edges
        names = {name for source, link in links for name in (source, link.service_id)} - {around.start}
        nodes = {name: f"n{position}" for position, name in enumerate([around.start, *sorted(names)])}
        self.nodes = nodes
        self.edges = [(nodes[source], nodes[link.service_id], link.dependencies) for source, link in links]
        self.cuts = [
            *self._cuts(around.calls, "callees", outwards=True),
            *self._cuts(around.called_by, "callers", outwards=False),
        ]

    def _cuts(self, branch: Branch | None, kind: str, *, outwards: bool) -> list[Cut]:
        found = []
        for near, hidden in sorted(branch.hidden.items()) if branch is not None else ():
            node = self.nodes[near]
            ghost = f"{node}_{kind}"
            source, target = (node, ghost) if outwards else (ghost, node)
            found.append(Cut(source, target, ghost, hidden))
        return found
