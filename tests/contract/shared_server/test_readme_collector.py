"""The README's configuration of the Collector, which does not run here, and its exporter's wire."""

import asyncio
import re
from typing import Any

import asyncpg
import grpc
import pytest
import yaml
from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult

from server.cli.options import DEFAULTS
from tests.support.command import ROOT
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.service_graph import Connector

pytestmark = pytest.mark.one_transport

README, PAGE = (ROOT / "README.md").read_text(), (ROOT / "docs/connect.md").read_text()
SERVICE = "SELECT count(*) FROM services WHERE service_id = 'readme-cart'"


def configuration() -> Any:
    (text,) = re.findall(r"```yaml\n(receivers:.*?)```", README, re.DOTALL)
    return yaml.safe_load(text)


async def test_the_pipelines_use_what_is_defined_and_nothing_is_left_over() -> None:
    defined = configuration()
    used: dict[str, set[str]] = {"receivers": set(), "processors": set(), "exporters": set()}
    for pipeline in defined["service"]["pipelines"].values():
        for kind, names in pipeline.items():
            used[kind] |= set(names)
    connectors = set(defined["connectors"])
    # A connector is the exporter of one pipeline and the receiver of another.
    assert used["exporters"] & used["receivers"] == connectors == {"servicegraph"}
    assert used["receivers"] - connectors == set(defined["receivers"])
    assert used["processors"] == set(defined["processors"])
    assert used["exporters"] - connectors == set(defined["exporters"]) == {"otlp/depgraph"}


async def test_the_exporter_of_the_page_has_keys_that_the_readmes_may_have() -> None:
    (text,) = re.findall(r"```yaml\n(exporters:.*?)```", PAGE, re.DOTALL)
    (exporter,) = yaml.safe_load(text)["exporters"].values()
    assert exporter.keys() == {"endpoint", "headers"}
    assert exporter["endpoint"].endswith(":50051")


async def test_what_it_sends_to_the_servers_own_address_is_taken_in(
    server_address: str, database_url: str
) -> None:
    exporter = configuration()["exporters"]["otlp/depgraph"]
    assert exporter.keys() == {"endpoint", "tls"}
    assert exporter["endpoint"] == DEFAULTS.listen
    client = OTLPMetricExporter(
        endpoint=server_address,
        insecure=exporter["tls"]["insecure"],
        # The Collector's default.
        compression=grpc.Compression.Gzip,
    )
    sent = await asyncio.to_thread(client.export, Connector().metrics({"readme-web>readme-cart": 1}))
    client.shutdown()
    assert sent is MetricExportResult.SUCCESS
    connection = await asyncpg.connect(database_url)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await connection.fetchval(SERVICE):
            await asyncio.sleep(0.05)
    await connection.close()
