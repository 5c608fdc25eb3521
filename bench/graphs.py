"""The graphs that are measured on."""

import json
import random
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from graphcore import DependencyGraph, DependencyRecord, EdgeFlag, ServiceRecord
from server.formats.jaeger import read_jaeger

DEBIAN = Path(__file__).parents[2] / "shared" / "data" / "debian12_depends.json.gz"
_FLAGS = int(EdgeFlag.SYNC | EdgeFlag.HARD | EdgeFlag.MANUAL)


@dataclass(frozen=True)
class Edges:
    """A graph as plain numbers: nodes 0 to ``nodes`` - 1 and distinct pairs."""

    name: str
    nodes: int
    pairs: list[tuple[int, int]]

    def graph(self) -> DependencyGraph:
        """The same as a graph of ours: service ``s0``, ``s1``, …; node indices are the numbers."""
        services = [ServiceRecord(number, f"s{number}") for number in range(self.nodes)]
        dependencies = [
            DependencyRecord(("d", number), source, target, _FLAGS)
            for number, (source, target) in enumerate(self.pairs)
        ]
        return DependencyGraph.from_records(services, dependencies)

    def starts(self, count: int = 1_000) -> list[int]:
        """Services to start from: any, drawn anew with the same luck each time."""
        chooser = random.Random(2)
        return [chooser.randrange(self.nodes) for _ in range(count)]


@cache
def seed5k() -> Edges:
    return random_edges("seed5k", 5_000, 25_000)


@cache
def big100k() -> Edges:
    return random_edges("big100k", 100_000, 1_000_000)


@cache
def debian(given: Path | None = None) -> Edges | None:
    """The graph of a Jaeger file, Debian's packages unless another is given; None where there is no such file."""
    path = given or DEBIAN
    if not path.exists():
        return None
    calls = read_jaeger(path.read_bytes()).calls
    number: dict[str, int] = {}
    for name in (name for call in calls for name in call):
        number.setdefault(name, len(number))
    pairs = [(number[source], number[target]) for source, target in calls]
    return Edges(path.name.partition("_")[0], len(number), pairs)


@cache
def random_edges(name: str, nodes: int, edges: int) -> Edges:
    """Distinct edges, sources uniform, targets with hubs: the square of a uniform number."""
    chooser = random.Random(1)
    pairs: dict[tuple[int, int], None] = {}
    while len(pairs) < edges:
        source, target = chooser.randrange(nodes), int(nodes * chooser.random() ** 2)
        if source != target:
            pairs[source, target] = None
    return Edges(name, nodes, list(pairs))


def jaeger_file(given: Path | None, folder: Path) -> Path:
    """The graph asked for, else Debian's packages where that file lies, else a random one of about its size."""
    if given is not None:
        return given
    if DEBIAN.exists():
        return DEBIAN
    path = folder / "random.json"
    pairs = random_edges("random", 58_000, 244_000).pairs
    path.write_text(json.dumps([{"parent": f"s{s}", "child": f"s{t}", "callCount": 1} for s, t in pairs]))
    return path
