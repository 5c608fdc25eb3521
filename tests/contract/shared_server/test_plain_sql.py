"""What anybody writes with plain SQL shows in Traverse, without a restart."""

from collections.abc import Awaitable, Callable

import asyncpg
import grpc
import pytest

from depgraph.v1 import graph_service_pb2 as pb
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

Connection = asyncpg.Connection

CHAIN = """
INSERT INTO services (service_id) VALUES ('a'), ('b'), ('c'), ('d');
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT source.id, target.id, 'sync'
FROM (VALUES ('a', 'b'), ('b', 'c')) AS calls (source, target)
JOIN services AS source ON source.service_id = calls.source
JOIN services AS target ON target.service_id = calls.target;
"""


def statement(sql: str) -> Callable[[Connection], Awaitable[object]]:
    return lambda connection: connection.execute(sql)


async def copy(connection: Connection) -> None:
    rows = await connection.fetch("SELECT service_id, id FROM services")
    names = {row["service_id"]: row["id"] for row in rows}
    await connection.copy_records_to_table(
        "service_dependencies",
        columns=["source_service_id", "target_service_id", "communication_mode"],
        records=[(names["c"], names["d"], "async")],
    )


@pytest.mark.parametrize(
    ("write", "downstream_of_a"),
    [
        pytest.param(
            statement(
                """INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
                SELECT c.id, d.id, 'sync' FROM services AS c, services AS d
                WHERE c.service_id = 'c' AND d.service_id = 'd'"""
            ),
            ["b", "c", "d"],
            id="insert",
        ),
        pytest.param(copy, ["b", "c", "d"], id="copy"),
        pytest.param(
            statement("UPDATE services SET service_id = 'b2' WHERE service_id = 'b'"),
            ["b2", "c"],
            id="rename",
        ),
        pytest.param(
            statement(
                """UPDATE service_dependencies SET is_stale = true
                WHERE target_service_id = (SELECT id FROM services WHERE service_id = 'c')"""
            ),
            ["b"],
            id="update",
        ),
        pytest.param(statement("DELETE FROM service_dependencies"), [], id="delete"),
        pytest.param(statement("DELETE FROM services WHERE service_id = 'b'"), [], id="cascade"),
        pytest.param(statement("TRUNCATE service_dependencies"), [], id="truncate"),
        pytest.param(statement("BEGIN; DELETE FROM services; ROLLBACK"), ["b", "c"], id="rollback"),
    ],
)
async def test_a_change_by_sql_shows_in_traverse(
    channel: grpc.aio.Channel,
    connection: Connection,
    write: Callable[[Connection], Awaitable[object]],
    downstream_of_a: list[str],
) -> None:
    await connection.execute(CHAIN)
    graph = GraphServiceStub(channel)
    request = pb.TraverseRequest(service_id="a", direction=pb.DIRECTION_DOWNSTREAM)
    request.consistency.fully_consistent = True
    assert list((await graph.Traverse(request)).service_ids) == ["b", "c"]

    await write(connection)

    answer = await graph.Traverse(request)
    assert list(answer.service_ids) == [service.service_id for service in answer.services] == downstream_of_a


async def test_a_service_truncated_away_is_not_found(
    channel: grpc.aio.Channel, connection: Connection
) -> None:
    await connection.execute(CHAIN)
    await connection.execute("TRUNCATE services CASCADE")
    request = pb.TraverseRequest(service_id="a", direction=pb.DIRECTION_BOTH)
    request.consistency.fully_consistent = True
    with pytest.raises(grpc.aio.AioRpcError) as missing:
        await GraphServiceStub(channel).Traverse(request)
    assert missing.value.code() is grpc.StatusCode.NOT_FOUND
