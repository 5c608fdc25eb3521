"""What people would use instead, in this process: ids within a few hops, and components."""

import csv
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import networkx as nx
import rustworkx as rx

from bench.core import ids
from bench.figures import Figure, ratio, typical
from bench.graphs import Edges, big100k, seed5k
from bench.stage import Stage
from bench.turns import Call, take_turns
from graphcore import Direction, EdgeFilter

PART = "peers"
HOPS = (3, 10)
Peer = Callable[[Edges, list[int], int], Call]


def measure(_: Stage) -> Iterator[Figure]:
    edges = seed5k()
    graph, starts = edges.graph(), edges.starts()
    for hops in HOPS:
        ours = _listed(ids(graph, Direction.DOWNSTREAM, hops, EdgeFilter(), starts))
        for name, peer in PEERS.items():
            try:
                theirs = peer(edges, starts, hops)
            except ImportError:
                continue
            slow, fast = take_turns(theirs, ours, pairs=200, warm_up=5)
            yield ratio(PART, f"{edges.name}, {hops} hops: {name} / ids", slow, fast)
            yield typical(PART, f"  {name}", slow)
        yield typical(PART, "  ids", fast)
    yield from _components(big100k())


def _listed(walk: Callable[[int], Any]) -> Call:
    """With the answer as a Python list, as the peers give it."""
    return lambda number: walk(number).tolist()


def _igraph(edges: Edges, starts: list[int], hops: int) -> Call:
    import igraph  # noqa: PLC0415

    graph = igraph.Graph(edges.nodes, edges.pairs, directed=True)
    return lambda number: graph.neighborhood(starts[number % len(starts)], order=hops, mode="out")


def _networkx(edges: Edges, starts: list[int], hops: int) -> Call:
    graph = nx.DiGraph(edges.pairs)
    graph.add_nodes_from(range(edges.nodes))
    return lambda number: nx.single_source_shortest_path_length(graph, starts[number % len(starts)], hops)


def _rustworkx(edges: Edges, starts: list[int], hops: int) -> Call:
    graph = _digraph(edges)

    def call(number: int) -> set[int]:
        found = frontier = {starts[number % len(starts)]}
        for _ in range(hops):
            frontier = {other for node in frontier for other in graph.successor_indices(node)} - found
            found = found | frontier
        return found

    return call


def _ladybug(edges: Edges, starts: list[int], hops: int) -> Call:
    import ladybug  # noqa: PLC0415

    folder = Path(tempfile.mkdtemp(prefix="depgraph-bench-"))
    database = ladybug.Connection(ladybug.Database(str(folder / "graph")))
    database.execute("CREATE NODE TABLE Service (number INT64 PRIMARY KEY)")
    database.execute("CREATE REL TABLE Calls (FROM Service TO Service)")
    _load(database, "Service", folder / "services.csv", [[number] for number in range(edges.nodes)])
    _load(database, "Calls", folder / "calls.csv", [list(pair) for pair in edges.pairs])
    query = f"MATCH (a:Service {{number: $start}})-[:Calls* SHORTEST 1..{hops}]->(b:Service) RETURN b.number"
    rows: Any = database.execute
    return lambda number: rows(query, {"start": starts[number % len(starts)]}).get_all()


def _load(database: Any, table: str, path: Path, rows: list[list[int]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    database.execute(f"COPY {table} FROM '{path}'")


PEERS: dict[str, Peer] = {
    "igraph": _igraph,
    "rustworkx alone": _rustworkx,
    "networkx": _networkx,
    "ladybug (graph database)": _ladybug,
}


def _components(edges: Edges) -> Iterator[Figure]:
    """All strongly connected components from scratch, by the libraries."""
    import igraph  # noqa: PLC0415
    import numpy as np  # noqa: PLC0415
    from scipy.sparse import csgraph, csr_array  # noqa: PLC0415

    digraph, peer = _digraph(edges), igraph.Graph(edges.nodes, edges.pairs, directed=True)
    sources, targets = np.array(edges.pairs, np.int32).T
    matrix = csr_array((np.ones(len(sources), np.int8), (sources, targets)), (edges.nodes, edges.nodes))
    ways: dict[str, Call] = {
        "rustworkx": lambda _: rx.strongly_connected_components(digraph),
        "igraph": lambda _: peer.connected_components(mode="strong"),
        "scipy": lambda _: csgraph.connected_components(matrix, connection="strong"),
    }
    taken = take_turns(*ways.values(), pairs=30, warm_up=2)
    for name, times in zip(ways, taken, strict=True):
        yield typical(PART, f"{edges.name}, components from scratch: {name}", times, "ms")


def _digraph(edges: Edges) -> "rx.PyDiGraph[None, None]":
    digraph: rx.PyDiGraph[None, None] = rx.PyDiGraph()
    digraph.add_nodes_from([None] * edges.nodes)
    digraph.add_edges_from_no_data(edges.pairs)
    return digraph
