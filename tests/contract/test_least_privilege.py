"""docs/security.md: a server whose database role may write rows and change no table."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
import grpc
import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1 import access_service_pb2 as access
from depgraph.v1 import alert_service_pb2 as alerts
from depgraph.v1 import catalog_service_pb2 as catalog
from depgraph.v1 import dependency_service_pb2 as dependencies
from depgraph.v1 import graph_service_pb2 as graph
from depgraph.v1 import types_pb2 as types
from depgraph.v1.access_service_pb2_grpc import AccessServiceStub
from server.config import HistorySettings, Settings
from tests.support.calls import FRESH, Stubs
from tests.support.channels import channel_to_new_server
from tests.support.command import ROOT
from tests.support.eventually import PATIENCE_SECONDS
from tests.support.plain_sql import connected

pytestmark = pytest.mark.one_transport


@pytest.fixture
async def restricted_url(database_url: str) -> AsyncIterator[str]:
    """The URL for a role with the rights that the page lists."""
    page = (ROOT / "docs/security.md").read_text()
    found = re.search(r"^### Least privilege.*?```sql\n(.*?)```", page, re.MULTILINE | re.DOTALL)
    assert found is not None
    role = f"test_{uuid4().hex}"
    parts = urlsplit(database_url)
    async with connected(database_url) as owner:
        await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'word'")
        try:
            await owner.execute(found[1].replace("depgraph_server", role))
            yield urlunsplit(parts._replace(netloc=f"{role}:word@{parts.netloc.rpartition('@')[2]}"))
        finally:
            await owner.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")


async def test_a_server_that_owns_no_table_does_all_of_its_work(restricted_url: str) -> None:
    history = HistorySettings(mark_interval=timedelta(milliseconds=100))
    settings = Settings(listen="127.0.0.1:0", database_url=restricted_url, migrate=False, history=history)
    async with channel_to_new_server(settings) as channel:
        stubs = Stubs(channel)
        await stubs.write_edges("a>b", "b>a")
        report = dependencies.IngestGraphRequest(
            discovery_source=types.DISCOVERY_SOURCE_KUBERNETES,
            reporter="cluster",
            nodes=[dependencies.IngestNode(service_id=name) for name in ("c", "d")],
        )
        assert (await stubs.dependencies.IngestGraph(report)).services_created == 2
        await stubs.catalog.DeleteService(catalog.DeleteServiceRequest(service_id="c"))
        await stubs.catalog.AddAlias(catalog.AddAliasRequest(alias="a2", service_id="a"))
        await stubs.catalog.MergeServices(
            catalog.MergeServicesRequest(from_service_id="d", into_service_id="a2")
        )
        await stubs.catalog.RemoveAlias(catalog.RemoveAliasRequest(alias="a2"))
        listed = await stubs.catalog.ListAliases(catalog.ListAliasesRequest())
        assert [(each.alias, each.service_id) for each in listed.aliases] == [("d", "a")]
        await stubs.graph.Traverse(
            graph.TraverseRequest(service_id="d", direction=graph.DIRECTION_DOWNSTREAM, consistency=FRESH)
        )
        request = alerts.AcknowledgeAlertRequest(id=await detected(stubs), acknowledged_by="ann")
        await stubs.alerts.AcknowledgeAlert(request)
        before = Timestamp()
        before.GetCurrentTime()
        stale = await stubs.dependencies.MarkStale(dependencies.MarkStaleRequest(observed_before=before))
        assert stale.marked_count == 2
        writes = await AccessServiceStub(channel).ListWrites(access.ListWritesRequest())
        assert len(writes.writes) == 9
        sources = (await stubs.dependencies.ListSources(dependencies.ListSourcesRequest())).sources
        assert [each.reporter for each in sources] == ["cluster"]
        past = await as_of(stubs, datetime.now(UTC) + timedelta(seconds=30))
        assert past.service_ids == ["b"]
        assert not (await stubs.graph.GetStatus(graph.GetStatusRequest())).problems


async def as_of(stubs: Stubs, time: datetime) -> graph.TraverseResponse:
    """Walk from a in the past, as soon as the server has marked what it calls."""
    wanted = types.Consistency()
    wanted.as_of.FromDatetime(time)
    request = graph.TraverseRequest(
        service_id="a", direction=graph.DIRECTION_DOWNSTREAM, include_stale=True, consistency=wanted
    )
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                if (answer := await stubs.graph.Traverse(request)).service_ids:
                    return answer
            except grpc.aio.AioRpcError as error:
                # There is no mark yet, or one from before.
                if error.code() not in {grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.NOT_FOUND}:
                    raise
            await asyncio.sleep(0.1)


async def detected(stubs: Stubs) -> str:
    """Wait for the alert of detection; returns its id."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not (found := (await stubs.alerts.ListAlerts(alerts.ListAlertsRequest())).alerts):
            await asyncio.sleep(0.01)
    return found[0].id


async def test_its_role_can_change_no_table(restricted_url: str) -> None:
    async with connected(restricted_url) as connection:
        for statement in (
            "ALTER TABLE services DROP COLUMN team",
            "ALTER TABLE services DISABLE TRIGGER ALL",
            "TRUNCATE services CASCADE",
            "CREATE TABLE public.mine ()",
            "CREATE TABLE depgraph_feed.mine ()",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)


async def test_its_role_has_rights_on_what_the_owner_makes_later(
    restricted_url: str, database_url: str
) -> None:
    name = f"later_{uuid4().hex}"
    async with connected(database_url) as owner, connected(restricted_url) as server:
        for schema in ("public", "depgraph_feed"):
            await owner.execute(f"CREATE TABLE {schema}.{name} (id bigserial)")
            await server.execute(f"INSERT INTO {schema}.{name} DEFAULT VALUES")
            await owner.execute(f"DROP TABLE {schema}.{name}")
