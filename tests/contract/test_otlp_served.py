"""Metrics over OTLP through the life of a server: staleness, restarts, its end, rules for names."""

import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import asyncpg
import grpc
import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from server.app import Application
from server.config import Limits, Settings, StalenessSettings
from server.rpc.methods import EXPORT
from server.rpc.otlp import receiver
from tests.support.channels import open_channel
from tests.support.failures import failure_of
from tests.support.service_graph import SECOND, Connector

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

UNAVAILABLE, EXHAUSTED = grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED
_EDGES = """
SELECT s.service_id || '>' || t.service_id AS edge, d.is_stale, d.confidence_score
FROM service_dependencies AS d
JOIN services AS s ON s.id = d.source_service_id JOIN services AS t ON t.id = d.target_service_id
"""


@pytest.fixture(autouse=True)
def quickly_written(monkeypatch: pytest.MonkeyPatch) -> None:
    """Writing does not wait long for more, so that tests need not."""
    monkeypatch.setattr(receiver, "COLLECTED", timedelta(milliseconds=50))


async def export(address: str, request: ExportMetricsServiceRequest) -> None:
    async with open_channel(address) as channel:
        answer: ExportMetricsServiceResponse = await exporting(channel)(request)
        assert not answer.HasField("partial_success")


def exporting(channel: grpc.aio.Channel) -> Any:
    """The method, of which the generated stub has no types."""
    return channel.unary_unary(
        EXPORT,
        request_serializer=ExportMetricsServiceRequest.SerializeToString,
        response_deserializer=ExportMetricsServiceResponse.FromString,
    )


async def rows(database_url: str) -> dict[str, Any]:
    connection = await asyncpg.connect(database_url)
    try:
        return {row["edge"]: row for row in await connection.fetch(_EDGES)}
    finally:
        await connection.close()


async def test_dead_calls_become_stale_though_their_counters_are_still_exported(
    server_settings: Settings, database_url: str
) -> None:
    staleness = StalenessSettings(
        stale_after={"otel_service_graph": timedelta(seconds=4)}, sweep_interval=timedelta(milliseconds=100)
    )
    connector = Connector()
    async with Application(replace(server_settings, staleness=staleness), report=lambda _: None) as running:
        graph = running.replica

        async def dead_is_stale(value: int) -> bool:
            await export(running.address, connector.request({"web>cart": value, "web>dead": 1}))
            return bool(graph.graph.stale_count)

        value, found = 1, False
        ends = time.monotonic() + 60
        while not found and time.monotonic() < ends:
            found = await dead_is_stale(value)
            value += 1
    assert found
    edges = await rows(database_url)
    assert {edge: row["is_stale"] for edge, row in edges.items()} == {"web>cart": False, "web>dead": True}


async def test_a_restarted_server_does_not_bring_dead_calls_back(
    server_settings: Settings, database_url: str
) -> None:
    connector, began = Connector(start=time.time_ns() - 7_200 * SECOND), time.time_ns() - 600 * SECOND
    async with Application(server_settings, report=lambda _: None) as running:
        await export(running.address, connector.request({"web>cart": 1}, began))
        await export(running.address, connector.request({"web>cart": 2, "web>dead": 1}, began + 60 * SECOND))
    assert set(await rows(database_url)) == {"web>cart", "web>dead"}
    connection = await asyncpg.connect(database_url)
    await connection.execute("DELETE FROM service_dependencies")
    await connection.close()
    async with Application(server_settings, report=lambda _: None) as running:
        await export(running.address, connector.request({"web>cart": 2, "web>dead": 1}, began + 120 * SECOND))
        await export(running.address, connector.request({"web>cart": 3, "web>dead": 1}, began + 180 * SECOND))
    # What an export shows is there once the server has ended, however soon that was.
    assert set(await rows(database_url)) == {"web>cart"}


async def test_while_as_much_waits_as_may_exporters_are_asked_to_come_again(
    server_settings: Settings, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(receiver, "COLLECTED", timedelta(hours=1))
    settings = replace(server_settings, limits=Limits(max_otlp_series=1))
    async with (
        Application(settings, report=lambda _: None) as running,
        open_channel(running.address) as channel,
    ):
        await export(running.address, Connector().request({"web>cart": 1}))
        failure = await failure_of(exporting(channel)(Connector().request({"web>db": 1})))
        assert (failure.code, failure.metadata["limit"]) == (EXHAUSTED, "otlp_series")
        assert failure.retry_after
    # What was acknowledged is written when the server stops.
    assert set(await rows(database_url)) == {"web>cart"}


async def test_the_sources_file_has_the_reporter_and_rules_without_which_nothing_is_taken_in(
    server_settings: Settings, database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "sources.toml"
    file.write_text(
        '[[source]]\nname = "collectors"\nkind = "otlp"\nconfidence = 0.5\n'
        '[source.names]\nrewrites = [["-v[0-9]+$", ""]]\n'
    )
    settings = replace(server_settings, sources=file)
    async with Application(settings, report=lambda _: None) as running:
        await export(running.address, Connector().request({"web-v2>cart-v1": 1}))
    edges = await rows(database_url)
    assert {edge: row["confidence_score"] for edge, row in edges.items()} == {"web>cart": 0.5}
    connection = await asyncpg.connect(database_url)
    [record] = await connection.fetch("SELECT * FROM reporters")
    await connection.close()
    assert (record["reporter"], record["discovery_source"]) == ("collectors", "otel_service_graph")
    assert (record["element_count"], record["edges_created"]) == (4, 1)
    file.write_text("[[source]]")
    async with (
        Application(settings, report=lambda _: None) as running,
        open_channel(running.address) as channel,
    ):
        failure = await failure_of(exporting(channel)(Connector().request({"web>cart": 1})))
        assert (failure.code, bool(failure.retry_after)) == (UNAVAILABLE, True)
