"""A data folder of the version that landed last opens in this one, and nothing in it is lost."""

import asyncio
import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from google.protobuf.struct_pb2 import Struct

from depgraph.v1 import alert_service_pb2 as alerts
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import types_pb2 as types
from server.app import Application
from server.config import Settings
from server.store.embedded import EmbeddedPostgres
from tests.support.calls import Stubs, edges
from tests.support.channels import open_channel
from tests.support.command import depgraph
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.following import assert_caught_up
from tests.support.plain_sql import connected
from tests.support.serving import Program, embedded_url, serving
from tests.support.soundness import assert_sound

# Answers are the same on both transports, which only carry them.
pytestmark = pytest.mark.one_transport

Rows = dict[str, list[dict[str, Any]]]
CYCLE = ("billing", "ledger", "mailer")
YEARS_AGO = datetime(2020, 2, 29, 12, 30, 1, tzinfo=UTC)
# What the feed and migrations keep for themselves is no row of anybody's.
TABLES = """
SELECT relname FROM pg_class
WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND relname <> 'alembic_version'
"""


async def test_a_data_folder_of_the_version_before_opens_with_everything_in_it(
    version_before: Program, reachable_folder: Path
) -> None:
    folder = reachable_folder / "data"
    async with serving("--data-dir", str(folder), program=version_before) as served:
        async with open_channel(served.address) as channel:
            acknowledged = await write_something_of_everything(Stubs(channel))
        async with connected(embedded_url(folder)) as connection:
            rows = await every_row(connection)
        assert await served.stop() == 0
    settings = Settings(listen="127.0.0.1:0", data_dir=folder)
    async with (
        Application(settings, report=lambda _: None) as application,
        open_channel(application.address) as channel,
        connected(embedded_url(folder)) as connection,
    ):
        assert_kept(rows, await every_row(connection))
        await assert_caught_up(application.replica, connection)
        assert await history(Stubs(channel), acknowledged) == [
            ("ALERT_EVENT_KIND_OPENED", "detection"),
            ("ALERT_EVENT_KIND_ACKNOWLEDGED", "ana"),
        ]
        url = embedded_url(folder)
        status = await asyncio.to_thread(depgraph, "migrate", "status", "--database-url", url, "--json")
        assert json.loads(status.stdout)["pending"] == [], status
        await assert_sound(channel, url)
        await assert_caught_up(application.replica, connection)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives the database a user of its own")
async def test_the_version_before_opens_a_folder_whose_database_has_a_user_of_its_own(
    version_before: Program, reachable_folder: Path
) -> None:
    folder = reachable_folder / "data"
    async with EmbeddedPostgres(folder, durable=False) as database:
        owner = (folder / "postgres").stat().st_uid
    run_before(version_before, "migrate", "up", "--data-dir", str(folder))
    assert {path.lstat().st_uid for path in (folder / "postgres").rglob("*")} == {owner}
    async with database, connected(database.url) as connection:
        assert await connection.fetchval("SELECT count(*) FROM services") == 0


def run_before(program: Program, *arguments: str) -> None:
    """Run a command of the version before, which must succeed."""
    ran = subprocess.run(
        [*program.command, *arguments],
        cwd=program.folder,
        env=program.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


async def write_something_of_everything(stubs: Stubs) -> str:
    """Fill every table and column by calls; returns the id of the alert that was acknowledged."""
    metadata = Struct()
    metadata.update({"tier": 1, "links": {"runbook": "https://example.org/ß"}, "tags": [None, True]})
    shop = types.Service(
        service_id="shop", metadata=metadata, criticality=types.CRITICALITY_CRITICAL, team="storefront"
    )
    await stubs.catalog.BatchUpsertServices(catalog.BatchUpsertServicesRequest(services=[shop]))
    await stubs.catalog.AddAlias(catalog.AddAliasRequest(alias="storefront", service_id="shop"))
    await stubs.write_edges(
        "shop>billing",
        communication_mode=types.COMMUNICATION_MODE_ASYNC,
        criticality=types.DEPENDENCY_CRITICALITY_DEGRADED,
        protocol="kafka",
        timeout_ms=700,
        retry_config=types.RetryConfig(max_retries=0, backoff_strategy=types.BACKOFF_STRATEGY_LINEAR),
        confidence_score=0.25,
    )
    await observe_long_ago(stubs)
    await stubs.write_edges(*(f"{a}>{b}" for a, b in zip(CYCLE, (*CYCLE[1:], CYCLE[0]), strict=True)))
    found = await detected_alert(stubs)
    await stubs.alerts.AcknowledgeAlert(
        alerts.AcknowledgeAlertRequest(id=found.id, acknowledged_by="ana"), timeout=PATIENCE_SECONDS
    )
    by_hand = await stubs.alerts.CreateAlert(alerts.CreateAlertRequest(cycle_path=["shop", "mailer"]))
    await stubs.alerts.ResolveAlert(
        alerts.ResolveAlertRequest(id=by_hand.alert.id, resolution_notes="none of ours")
    )
    return found.id


async def observe_long_ago(stubs: Stubs) -> None:
    """Let a source report services and calls that are not seen again, so that they are stale."""
    observed = dependencies.IngestGraphRequest(
        discovery_source=types.DISCOVERY_SOURCE_OTEL_SERVICE_GRAPH,
        nodes=[dependencies.IngestNode(service_id="cron", team="night", criticality=types.CRITICALITY_LOW)],
        edges=edges("cron>shop", "shop>billing"),
    )
    observed.observe_time.FromDatetime(YEARS_AGO)
    await stubs.dependencies.IngestGraph(observed)
    stale = dependencies.MarkStaleRequest(discovery_source=observed.discovery_source)
    stale.observed_before.FromDatetime(YEARS_AGO + timedelta(days=1))
    assert (await stubs.dependencies.MarkStale(stale)).marked_count == 2


async def detected_alert(stubs: Stubs) -> types.CircularDependencyAlert:
    """Wait for the alert of the cycle."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            for alert in (await stubs.alerts.ListAlerts(alerts.ListAlertsRequest())).alerts:
                if sorted(alert.cycle_path) == sorted(CYCLE):
                    return alert
            await asyncio.sleep(0.02)


async def history(stubs: Stubs, alert_id: str) -> list[tuple[str, str]]:
    """What has become of an alert, oldest first: what happened, and who did it."""
    events = (await stubs.alerts.ListAlertEvents(alerts.ListAlertEventsRequest(id=alert_id))).events
    return [(alerts.AlertEventKind.Name(event.kind), event.actor) for event in events]


async def every_row(connection: asyncpg.Connection) -> Rows:
    """Read all tables that people's rows are in, every column of them."""
    names = [row["relname"] for row in await connection.fetch(TABLES)]
    return {
        name: [
            json.loads(row[0])
            for row in await connection.fetch(f"SELECT to_jsonb(t) FROM public.{name} AS t")
        ]
        for name in names
    }


def assert_kept(earlier: Rows, now: Rows) -> None:
    """Every row is there as it was; tables and columns may have come."""
    assert all(earlier.values()), "a table of the version before has no row: write one"
    for table, rows in earlier.items():
        known = set(rows[0])
        left = [{name: value for name, value in row.items() if name in known} for row in now[table]]
        assert sorted(left, key=json.dumps) == sorted(rows, key=json.dumps), table
