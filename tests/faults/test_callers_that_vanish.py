"""Clients killed in the middle of calls of all kinds leave no errors in the server's log."""

import asyncio
import signal
from typing import Any

import asyncpg
import pytest

from tests.support.chaos import reset
from tests.support.late_calls import half_a_request
from tests.support.vanishing import vanishing_client
from tests.support.workers import ManyWorkers, Metrics, many_workers

pytestmark = pytest.mark.costly

LARGE = "large"
MANY = 1_000
# Long names and notes, so that no buffer on the way holds a whole answer.
GRAPH = f"""
INSERT INTO services (service_id) VALUES ('{LARGE}'), ('under-{LARGE}');
INSERT INTO services (service_id, metadata)
SELECT repeat('x', 200) || number, jsonb_build_object('note', repeat('y', 1000))
FROM generate_series(1, {MANY}) AS number;
INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode)
SELECT one.id, other.id, 'sync' FROM services AS one, services AS other
WHERE one.service_id = '{LARGE}' AND other.service_id LIKE 'xxx%'
   OR one.service_id LIKE 'xxx%' AND other.service_id = 'under-{LARGE}';
"""
CHANGE = "UPDATE services SET team = 'second' WHERE service_id LIKE 'xxx%'"
RUNNING = ("depgraph_rpc_running_calls", frozenset[tuple[str, str]]())
METHODS = (
    "/depgraph.v1.CatalogService/CreateService",
    "/depgraph.v1.GraphService/Traverse",
    "/depgraph.v1.GraphService/Watch",
    "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
)


@pytest.fixture
async def large_graph(database_url: str, connection: asyncpg.Connection) -> str:
    await connection.execute(GRAPH)
    return database_url


async def send_half_requests(server: ManyWorkers) -> None:
    """Begin requests, and reset the connections in their middle."""
    host, _, port = server.address.rpartition(":")
    for method in METHODS:
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(half_a_request(method))
        # The settings of the server: it is at work on the connection.
        await reader.read(1)
        reset(writer)


def ended(figures: Metrics) -> dict[str, float]:
    """Count how calls ended, by code."""
    codes: dict[str, float] = {}
    for (name, labels), value in figures.items():
        if name == "grpc_server_handled_total":
            code = dict(labels)["grpc_code"]
            codes[code] = codes.get(code, 0) + value
    return codes


def errors_in(server: ManyWorkers) -> list[Any]:
    """What was logged as an error, and what was printed past the log."""
    printed = [line for line in server.said if "Traceback" in line and not line.startswith("{")]
    return printed + [record for record in server.records if record["level"] in {"error", "critical"}]


async def test_clients_that_are_killed_leave_no_errors_in_the_log(
    large_graph: str, connection: asyncpg.Connection
) -> None:
    async with many_workers("--database-url", large_graph, count=1) as server:
        async with vanishing_client(server.address, LARGE):
            # Its watchers are sent it when it is killed.
            await connection.execute(CHANGE)
        await send_half_requests(server)
        figures = await server.metrics_until(lambda figures: figures[RUNNING] == 0)
        async with vanishing_client(server.address, LARGE):
            server.signal(signal.SIGTERM)
        assert await server.exit_code() == 0
    assert errors_in(server) == []
    codes = ended(figures)
    assert codes["Canceled"] > 0
    assert "Internal" not in codes
    assert "Unknown" not in codes
    # Most of them have a line together with others like them.
    counted = [record["count"] for record in server.records if record["event"] == "more such calls"]
    assert sum(counted) > 0
