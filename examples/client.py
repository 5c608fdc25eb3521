"""
Ask and change a running graph, from threads and from asyncio.

Start a server first (``make run``), then: ``python examples/client.py [ADDRESS]``.
"""

import asyncio
import sys

from depgraph import AsyncClient, Client
from depgraph.v1.dependency_service_pb2 import BatchUpsertDependenciesRequest
from depgraph.v1.graph_service_pb2 import DIRECTION_UPSTREAM, StreamTraverseRequest, TraverseRequest
from depgraph.v1.types_pb2 import COMMUNICATION_MODE_ASYNC, Dependency


def who_is_hit(address: str, service: str) -> list[str]:
    """Return the services that call a service, up to three hops away; nearest first."""
    with Client(address) as client:
        answer = client.graph.Traverse(TraverseRequest(service_id=service, direction=DIRECTION_UPSTREAM))
        return list(answer.service_ids)


async def declare_and_read(address: str, source: str, target: str) -> list[str]:
    """Write a dependency, and read who calls the target from a graph that is sure to hold it."""
    async with AsyncClient(address) as client:
        dependency = Dependency(
            source_service_id=source,
            target_service_id=target,
            communication_mode=COMMUNICATION_MODE_ASYNC,
        )
        await client.dependencies.BatchUpsertDependencies(
            BatchUpsertDependenciesRequest(dependencies=[dependency])
        )
        question = StreamTraverseRequest(
            service_id=target,
            direction=DIRECTION_UPSTREAM,
            max_depth=1,
            consistency=client.read_your_writes(),
        )
        return [name async for part in client.graph.StreamTraverse(question) for name in part.service_ids]


def main(address: str = "127.0.0.1:50051") -> None:
    """Print what the two ways of asking answer on the sample topology."""
    print("hit when accounts fails:", *who_is_hit(address, "accounts"))
    callers = asyncio.run(declare_and_read(address, source="loyalty", target="notifications"))
    print("callers of notifications now:", *callers)


if __name__ == "__main__":
    main(*sys.argv[1:2])
