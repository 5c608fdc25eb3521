"""Traversals in parts: complete, without repetition, within the limit."""

import asyncio

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from depgraph.v1.graph_service_pb2 import StreamTraverseResponse, TraverseResponse
from depgraph.v1.types_pb2 import Dependency, Freshness, Service
from server.rpc.graph.parts import Walked, traverse_parts

FRESHNESS = TraverseResponse(freshness=Freshness(revision="revision")).SerializeToString()
TRUNCATED = TraverseResponse(truncated=True).SerializeToString()


def records(*messages: TraverseResponse) -> NDArray[np.object_]:
    """Each message holds one item of one repeated field, so its bytes are the record."""
    column = np.empty(len(messages), object)
    column[:] = [message.SerializeToString() for message in messages]
    return column


def walked(
    service_count: int, dependency_count: int, *, padding: int = 0, full: bool = True, truncated: bool = True
) -> Walked:
    """A walk over so many services and dependencies; it need not make sense as a graph."""
    names = [f"service {place}" for place in range(service_count)]
    services = [Service(service_id=name, team="x" * padding) for name in names] if full else []
    dependencies = [Dependency(id=f"dependency {place}") for place in range(dependency_count)]
    return Walked(
        records(*(TraverseResponse(services=[service]) for service in services)),
        records(*(TraverseResponse(service_ids=[name]) for name in names)),
        bytes(min(1 + place // 7, 10) for place in range(service_count)),
        records(*(TraverseResponse(dependencies=[dependency]) for dependency in dependencies)),
        TRUNCATED if truncated else b"",
    )


async def stream(walk: Walked, max_bytes: int) -> list[StreamTraverseResponse]:
    raw = [part async for part in traverse_parts(walk, FRESHNESS, max_bytes)]
    return [StreamTraverseResponse.FromString(part) for part in raw]


def whole(walk: Walked) -> TraverseResponse:
    """What the records say, all in one."""
    everything = (*walk.services, *walk.ids, *walk.dependencies, walk.truncated, FRESHNESS)
    answer = TraverseResponse.FromString(b"".join(everything))
    answer.depths.extend(walk.depths)
    return answer


def joined(parts: list[StreamTraverseResponse]) -> TraverseResponse:
    """Append the parts' fields, which is what protobuf does when it reads their bytes in a row."""
    return TraverseResponse.FromString(b"".join(part.SerializeToString() for part in parts))


@given(st.integers(0, 60), st.integers(0, 60), st.integers(100, 4_000), st.booleans(), st.booleans())
async def test_joined_parts_are_the_whole_answer(
    services: int, dependencies: int, max_bytes: int, full: bool, truncated: bool
) -> None:
    walk = walked(services, dependencies if full else 0, full=full, truncated=truncated)
    parts = await stream(walk, max_bytes)
    assert joined(parts) == whole(walk)
    assert all(part.ByteSize() <= max_bytes for part in parts)
    for part in parts:
        assert len(part.depths) == len(part.service_ids) == (len(part.services) if full else len(part.depths))


async def test_each_part_is_filled_before_the_next_begins() -> None:
    parts = await stream(walked(2_000, 2_000), 4_000)
    assert all(part.ByteSize() > 3_700 for part in parts[:-1])


async def test_the_first_part_has_the_freshness_and_all_have_truncated() -> None:
    parts = await stream(walked(50, 50), 500)
    assert len(parts) > 3
    assert [part.HasField("freshness") for part in parts] == [True] + [False] * (len(parts) - 1)
    assert all(part.truncated for part in parts)


async def test_services_come_before_dependencies() -> None:
    parts = await stream(walked(40, 40), 500)
    last_with_services = max(place for place, part in enumerate(parts) if part.services)
    first_with_dependencies = min(place for place, part in enumerate(parts) if part.dependencies)
    assert last_with_services <= first_with_dependencies


async def test_nothing_found_is_one_part() -> None:
    [part] = await stream(walked(0, 0, truncated=False), 1_000)
    assert part.freshness.revision == "revision"


async def test_a_record_larger_than_a_part_comes_alone() -> None:
    walk = walked(3, 1, padding=5_000)
    parts = await stream(walk, 2_000)
    assert [len(part.services) for part in parts] == [1, 1, 1, 0]
    assert joined(parts) == whole(walk)


async def test_other_tasks_run_while_a_large_answer_is_measured() -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    await stream(walked(60_000, 0, full=False), 2**20)
    counting.cancel()
    assert turns > 1
