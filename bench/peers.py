"""What people would use instead: libraries in this process, and a recursive SQL query."""

import asyncio
import csv
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import grpc
import networkx as nx
import rustworkx as rx

from bench.calls import question
from bench.graphs import Edges, big100k, seed5k
from bench.measuring import (
    AsyncCall,
    Call,
    Figure,
    in_bursts,
    over,
    ratio,
    take_turns,
    take_turns_async,
    typical,
)
from bench.stage import ServerProcess, Stage, connected
from bench.walks import ids
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from graphcore import Direction, EdgeFilter

if TYPE_CHECKING:
    from asyncpg.prepared_stmt import PreparedStatement

HOPS = (3, 10)
Peer = Callable[[Edges, list[int], int], Call]


def libraries(_: Stage) -> Iterator[Figure]:
    edges = seed5k()
    graph, starts = edges.graph(), edges.starts()
    for hops in HOPS:
        walk = ids(graph, Direction.DOWNSTREAM, hops, EdgeFilter(), starts)

        def ours(number: int, walk: Call = walk) -> Any:
            """With the answer as a Python list, as the peers give it."""
            return walk(number).tolist()

        for name, peer in PEERS.items():
            try:
                theirs = peer(edges, starts, hops)
            except ImportError:
                continue
            slow, fast = take_turns(theirs, ours, pairs=200, warm_up=5)
            yield ratio(f"{edges.name}, {hops} hops: {name} / ids", slow, fast)
            yield typical(f"  {name}", slow)
        yield typical("  ids", fast)
    yield from _components(big100k())


def _igraph(edges: Edges, starts: list[int], hops: int) -> Call:
    import igraph  # noqa: PLC0415

    graph = igraph.Graph(edges.nodes, edges.pairs, directed=True)
    return over(starts, lambda start: graph.neighborhood(start, order=hops, mode="out"))


def _networkx(edges: Edges, starts: list[int], hops: int) -> Call:
    graph = nx.DiGraph(edges.pairs)
    graph.add_nodes_from(range(edges.nodes))
    return over(starts, lambda start: nx.single_source_shortest_path_length(graph, start, hops))


def _rustworkx(edges: Edges, starts: list[int], hops: int) -> Call:
    graph = _digraph(edges)

    def walk(start: int) -> set[int]:
        found = frontier = {start}
        for _ in range(hops):
            frontier = {other for node in frontier for other in graph.successor_indices(node)} - found
            found = found | frontier
        return found

    return over(starts, walk)


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
    return over(starts, lambda start: rows(query, {"start": start}).get_all())


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
        yield typical(f"{edges.name}, components from scratch: {name}", times, "ms")


def _digraph(edges: Edges) -> "rx.PyDiGraph[None, None]":
    digraph: rx.PyDiGraph[None, None] = rx.PyDiGraph()
    digraph.add_nodes_from([None] * edges.nodes)
    digraph.add_edges_from_no_data(edges.pairs)
    return digraph


# Queries and calls displace our data in the processor's caches. So the first walk after one of
# them takes as long as in a program that does other work in between.
CTE_BURST = 200
WALK = """
WITH RECURSIVE walk (id, depth) AS (
    SELECT s.id, 0 FROM services AS s WHERE s.service_id = $1
    UNION {every}
    SELECT d.target_service_id, walk.depth + 1
    FROM walk
    JOIN service_dependencies AS d ON d.source_service_id = walk.id AND NOT d.is_stale
    WHERE walk.depth < $2
)
SELECT s.service_id, min(walk.depth)
FROM walk
JOIN services AS s ON s.id = walk.id
WHERE walk.depth > 0
GROUP BY s.service_id
"""


def recursive_query(stage: Stage) -> Iterator[Figure]:
    edges = seed5k()
    with stage.servers(edges) as (servers, url):
        yield from asyncio.run(_compare(edges, servers, url, 3, in_process=300))
        yield from asyncio.run(_compare(edges, servers, url, 5, over_grpc=5))
    with stage.servers(big100k()) as (servers, url):
        yield from asyncio.run(_compare(big100k(), servers, url, 3, over_grpc=2))


class _Taken(NamedTuple):
    """Seconds of each way to answer one question; ``over_grpc`` has those of each server."""

    query: list[float]
    thrifty_query: list[float]
    in_memory: list[float]
    in_memory_after_query: list[float]
    over_grpc: list[list[float]]


async def _compare(
    edges: Edges,
    servers: Mapping[str, ServerProcess],
    url: str,
    hops: int,
    *,
    in_process: float | None = None,
    over_grpc: float | None = None,
) -> list[Figure]:
    taken = await _take_turns(edges, servers, url, hops)
    what = f"{edges.name}, {hops} hops: recursive query"
    figures = [ratio(f"{what} / ids in memory", taken.query, taken.in_memory, at_least=in_process)]
    for transport, call in zip(servers, taken.over_grpc, strict=True):
        over = f"Traverse over gRPC, {transport}"
        figures += [
            ratio(f"{what} / {over}", taken.query, call, at_least=over_grpc),
            ratio(f"{what} without repetitions / {over}", taken.thrifty_query, call),
            typical(f"  {over}, view IDS", call, "ms"),
        ]
    return [
        *figures,
        typical("  recursive query over asyncpg", taken.query, "ms"),
        typical("  the same without repetitions", taken.thrifty_query, "ms"),
        typical("  ids in memory", taken.in_memory),
        typical("  ids in memory, one question after a call", taken.in_memory_after_query),
    ]


async def _take_turns(edges: Edges, servers: Mapping[str, ServerProcess], url: str, hops: int) -> _Taken:
    starts = edges.starts()
    walk = ids(edges.graph(), Direction.DOWNSTREAM, hops, EdgeFilter(), starts)
    with ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(server.address)) for server in servers.values()]
        calls = [_traverse(channel, starts, hops) for channel in channels]
        async with connected(url) as connection:
            query = _fetch(await connection.prepare(WALK.format(every="ALL")), starts, hops)
            thrifty = _fetch(await connection.prepare(WALK.format(every="")), starts, hops)
            once, many = _at_once(walk), _at_once(in_bursts(walk, CTE_BURST))
            # ``once`` comes after a query, forwards and backwards. The last of the list comes after
            # itself when the turns go back, which no call may: the last query does not count.
            in_turn = (query, once, thrifty, many, *calls, thrifty)
            taken = await take_turns_async(*in_turn, pairs=200, warm_up=20)
    queries, onces, thrifties, bursts, *called, _ = taken
    return _Taken(queries, thrifties, [seconds / CTE_BURST for seconds in bursts], onces, called)


def _fetch(query: "PreparedStatement", starts: list[int], hops: int) -> Call:
    return over(starts, lambda start: query.fetch(f"s{start}", hops))


def _at_once(call: Call) -> AsyncCall:
    async def answer(number: int) -> None:
        call(number)

    return answer


def _traverse(channel: grpc.Channel, starts: list[int], hops: int) -> AsyncCall:
    """The synchronous client is the faster one, and nothing else runs meanwhile."""
    stub = GraphServiceStub(channel)
    return _at_once(over(starts, lambda start: stub.Traverse(question(f"s{start}", "IDS", hops))))
