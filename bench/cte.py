"""What people would write instead: a recursive query, as it comes to mind and one that meets no service twice after equally many hops."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack

import asyncpg
import grpc

from bench.core import ids
from bench.figures import Figure, ratio, typical
from bench.graphs import Edges, big100k, seed5k
from bench.server_process import ServerProcess
from bench.stage import Stage, connected
from bench.turns import in_bursts, take_turns_async
from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from graphcore import Direction, EdgeFilter

PART = "core-vs-cte"
# A query and a call leave nothing of ours in the processor's caches: the first walks after them are those of a program that does something else.
BURST = 200
WALK = """
WITH RECURSIVE walk (id, depth) AS (
    SELECT s.id, 0 FROM services AS s WHERE s.service_id = $1
    UNION {every}
    SELECT d.target_service_id, walk.depth + 1
    FROM walk
    JOIN service_dependencies AS d ON d.source_service_id = walk.id AND NOT d.is_stale
    WHERE walk.depth < $2
)
SELECT s.service_id, min(walk.depth) FROM walk JOIN services AS s ON s.id = walk.id WHERE walk.depth > 0 GROUP BY s.service_id
"""


def measure(stage: Stage) -> Iterator[Figure]:
    edges = seed5k()
    with stage.servers(edges) as (servers, url):
        yield from asyncio.run(_compare(edges, servers, url, 3, in_process=300, over_grpc=None))
        yield from asyncio.run(_compare(edges, servers, url, 5, in_process=None, over_grpc=5))
    with stage.servers(big100k()) as (servers, url):
        yield from asyncio.run(_compare(big100k(), servers, url, 3, in_process=None, over_grpc=2))


async def _compare(
    edges: Edges,
    servers: Mapping[str, ServerProcess],
    url: str,
    hops: int,
    *,
    in_process: float | None,
    over_grpc: float | None,
) -> list[Figure]:
    starts = edges.starts()
    walk = ids(edges.graph(), Direction.DOWNSTREAM, hops, EdgeFilter(), starts)
    burst = in_bursts(walk, BURST)
    with ExitStack() as stack:
        channels = [stack.enter_context(grpc.insecure_channel(server.address)) for server in servers.values()]
        calls = [_traverse(GraphServiceStub(channel), starts, hops) for channel in channels]
        async with connected(url) as connection:
            plain = await connection.prepare(WALK.format(every="ALL"))
            thrifty = await connection.prepare(WALK.format(every=""))

            async def by_query(number: int) -> list[asyncpg.Record]:
                return await plain.fetch(f"s{starts[number % len(starts)]}", hops)

            async def by_thrifty_query(number: int) -> list[asyncpg.Record]:
                return await thrifty.fetch(f"s{starts[number % len(starts)]}", hops)

            async def here(number: int) -> None:
                burst(number)

            async def here_once(number: int) -> None:
                walk(number)

            # ``here_once`` comes after a query, forwards and backwards. What stands last comes after itself when the turns go back:
            # no call may, so there is a query more, which does not count.
            in_turn = (by_query, here_once, by_thrifty_query, here, *calls, by_thrifty_query)
            taken = await take_turns_async(*in_turn, pairs=200, warm_up=20)
            cte, once, union, bursts, *called, _ = taken
    kernel = [seconds / BURST for seconds in bursts]
    what = f"{edges.name}, {hops} hops"
    figures = [ratio(PART, f"{what}: recursive query / ids in memory", cte, kernel, at_least=in_process)]
    for transport, call in zip(servers, called, strict=True):
        over = f"Traverse over gRPC, {transport}"
        figures += [
            ratio(PART, f"{what}: recursive query / {over}", cte, call, at_least=over_grpc),
            ratio(PART, f"{what}: recursive query without repetitions / {over}", union, call),
            typical(PART, f"  {over}, view IDS", call, "ms"),
        ]
    return [
        *figures,
        typical(PART, "  recursive query over asyncpg", cte, "ms"),
        typical(PART, "  the same without repetitions", union, "ms"),
        typical(PART, "  ids in memory", kernel),
        typical(PART, "  ids in memory, one question after a call", once),
    ]


def _traverse(
    stub: GraphServiceStub, starts: list[int], hops: int
) -> Callable[[int], Awaitable[pb.TraverseResponse]]:
    async def call(number: int) -> pb.TraverseResponse:
        # The synchronous client is the faster one, and nothing else runs meanwhile.
        return stub.Traverse(_question(starts[number % len(starts)], hops))

    return call


def _question(start: int, hops: int) -> pb.TraverseRequest:
    return pb.TraverseRequest(
        service_id=f"s{start}",
        direction=pb.DIRECTION_DOWNSTREAM,
        max_depth=hops,
        view=pb.TRAVERSAL_VIEW_IDS,
    )
