"""``depgraph import``: files of every format, whose format their content shows."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from depgraph.v1.dependency_service_pb2 import ListDependenciesRequest, ListSourcesRequest
from depgraph.v1.dependency_service_pb2_grpc import DependencyServiceStub
from depgraph.v1.graph_service_pb2 import ListComponentsRequest
from depgraph.v1.graph_service_pb2_grpc import GraphServiceStub
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_SYNC,
    DISCOVERY_SOURCE_CATALOG,
    DISCOVERY_SOURCE_KUBERNETES,
    Consistency,
)
from tests.support.command import ROOT, Command

if TYPE_CHECKING:
    import asyncpg

pytestmark = pytest.mark.one_transport

SHOP = Path(__file__).parents[2] / "data/shop"
REAL = Path(__file__).parents[3] / "../shared/data"
CALLS = json.dumps([{"parent": "web-v1", "child": "cart-v2", "callCount": 1}]).encode()


async def log_rows(connection: "asyncpg.Connection[asyncpg.Record]") -> int:
    return int(await connection.fetchval("SELECT count(*) FROM depgraph_feed.change_log"))


@pytest.mark.parametrize("name", sorted(path.name for path in SHOP.iterdir()))
async def test_importing_again_changes_nothing(
    quick_command: Command, connection: "asyncpg.Connection[asyncpg.Record]", name: str
) -> None:
    before = await log_rows(connection)
    first = await quick_command("import", str(SHOP / name), "--json")
    assert first.returncode == 0, first.stderr
    answer = json.loads(first.stdout)
    created = await log_rows(connection)
    assert answer["edges_created"] > 0
    # Policies of the report may change what it has created.
    assert created - before >= answer["edges_created"] + answer["services_created"]
    again = json.loads((await quick_command("import", str(SHOP / name), "--json")).stdout)
    assert (again["services_created"], again["edges_created"], again["edges_updated"]) == (0, 0, 0)
    assert again["edges_unchanged"] >= answer["edges_created"]
    assert await log_rows(connection) == created


@pytest.mark.skipif(not REAL.is_dir(), reason="the real inputs are not beside this checkout")
async def test_importing_real_files_again_changes_nothing(
    quick_command: Command, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    names = [path for path in sorted(REAL.iterdir()) if path.suffix in (".yaml", ".json")]
    for path in names:
        assert (await quick_command("import", str(path))).returncode == 0
    before = await log_rows(connection)
    for path in names:
        assert "0 created, 0 updated" in (await quick_command("import", str(path))).stdout
    assert await log_rows(connection) == before


async def test_skipped_elements_are_printed_by_reason_and_kept_with_the_reporter(
    quick_command: Command, channel: grpc.aio.Channel
) -> None:
    finished = await quick_command("import", str(SHOP / "kubernetes.yaml"))
    assert finished.returncode == 0
    assert re.search(
        r"warning: 2 entries skipped, the first is entry \d+: a host without a Service", finished.stderr
    )
    assert finished.stdout.startswith("6 services created; dependencies: 6 created")
    assert "1 self-call skipped" in finished.stdout
    (source,) = (await DependencyServiceStub(channel).ListSources(ListSourcesRequest())).sources
    assert source.reporter == "kubernetes kubernetes.yaml"
    assert source.discovery_source == DISCOVERY_SOURCE_KUBERNETES
    assert source.element_count == 35
    assert source.skipped["a host without a Service"] == 2
    assert sum(source.skipped.values()) == 10


async def test_names_source_and_reporter_follow_the_options(
    quick_command: Command, channel: grpc.aio.Channel
) -> None:
    options = ("--name-template", "eu/{service}", "--rewrite", "-v[0-9]+$=", "--reporter", "mine")
    finished = await quick_command("import", "-", *options, "--source", "catalog", stdin=CALLS)
    assert finished.returncode == 0, finished.stderr
    (source,) = (await DependencyServiceStub(channel).ListSources(ListSourcesRequest())).sources
    assert (source.reporter, source.discovery_source) == ("mine", DISCOVERY_SOURCE_CATALOG)
    (edge,) = (await DependencyServiceStub(channel).ListDependencies(ListDependenciesRequest())).dependencies
    assert (edge.source_service_id, edge.target_service_id) == ("eu/web", "eu/cart")


async def test_a_format_that_the_file_does_not_have_is_answered_with_the_one_that_it_has(
    quick_command: Command,
) -> None:
    finished = await quick_command("import", "jaeger", str(SHOP / "kiali.json"))
    assert finished.returncode == 2
    assert "; this looks like a graph of Kiali: depgraph import kiali FILE" in finished.stderr
    finished = await quick_command("import", "-", stdin=b"a: b\n")
    assert "this is none of the formats backstage, jaeger, json," in finished.stderr


async def test_an_answer_without_calls_says_why_that_may_be(quick_command: Command) -> None:
    finished = await quick_command("import", "-", stdin=b'{"data": [], "total": 0}')
    assert finished.returncode == 0
    assert "warning: No calls are reported. Jaeger with" in finished.stderr


DECLARED = {
    "discovery_source": "DISCOVERY_SOURCE_MANUAL",
    "edges": [
        {
            "source_service_id": source,
            "target_service_id": target,
            "communication_mode": COMMUNICATION_MODE_SYNC,
        }
        for source, target in (("web", "cart"), ("cart", "pricing"))
    ],
}
ROUTES = b"""
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: cart, namespace: shop}
spec:
  hosts: [cart]
  http: [{timeout: 500ms, retries: {attempts: 2}, route: [{destination: {host: cart}}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: pricing, namespace: shop}
spec:
  rules:
    - timeouts: {request: 750ms}
      retry: {attempts: 3}
      backendRefs: [{name: pricing}, {name: stock}]
"""


async def read_in(quick_command: Command, channel: grpc.aio.Channel, content: bytes) -> None:
    """Import, and wait until the server answers with what was imported."""
    imported = await quick_command("import", "-", "--json", stdin=content)
    assert imported.returncode == 0, imported.stderr
    fresh = Consistency(at_least_as_fresh=json.loads(imported.stdout)["revision"])
    await GraphServiceStub(channel).ListComponents(ListComponentsRequest(consistency=fresh))


async def test_timeouts_and_retries_of_routes_feed_the_audit_and_make_no_dependency(
    quick_command: Command, channel: grpc.aio.Channel
) -> None:
    await read_in(quick_command, channel, json.dumps(DECLARED).encode())
    await read_in(quick_command, channel, ROUTES)
    audit = (await quick_command("audit")).stdout
    assert audit in (ROOT / "docs/audit.md").read_text()
    assert "250 ms  web → cart → pricing  500 ms (kubernetes)  750 ms (kubernetes)" in audit
    rows = (await DependencyServiceStub(channel).ListDependencies(ListDependenciesRequest())).dependencies
    assert {(row.source_service_id, row.target_service_id) for row in rows} == {
        ("web", "cart"),
        ("cart", "pricing"),
    }
    assert len(rows) == 4


async def test_routes_say_what_callers_wait_for_where_traces_do_not_know(
    quick_command: Command, channel: grpc.aio.Channel
) -> None:
    traced = [("web", "cart"), ("cart", "pricing")]
    calls = json.dumps([{"parent": caller, "child": callee, "callCount": 3} for caller, callee in traced])
    unknown = "; 2 of unknown mode left out: they may be synchronous"
    await read_in(quick_command, channel, calls.encode())
    audit = (await quick_command("audit")).stdout
    assert audit == f"nothing to audit: no synchronous dependency passes{unknown}\n"

    await read_in(quick_command, channel, ROUTES)

    audit = (await quick_command("audit")).stdout
    assert "250 ms  web → cart → pricing  500 ms (kubernetes)  750 ms (kubernetes)" in audit
    audited = "audited: 2 synchronous dependencies, 2 with a timeout, 2 with retries"
    assert audit.splitlines()[-1] == audited + unknown
    assert (await quick_command("audit", "--effective")).stdout.splitlines()[-1] == audited


async def test_what_imports_once_guessed_is_forgotten_where_nothing_else_is_said(
    quick_command: Command, connection: "asyncpg.Connection[asyncpg.Record]"
) -> None:
    await connection.execute(
        """
        INSERT INTO services (service_id) SELECT unnest(ARRAY['web-v1', 'cart', 'stock', 'mailer', 'odd']);
        INSERT INTO service_dependencies (source_service_id, target_service_id, communication_mode,
            criticality, discovery_source, protocol, is_stale)
        SELECT s.id, t.id, mode, word, source, protocol, target = 'stock'
        FROM (VALUES
            ('cart', 'sync', 'hard', 'otel_service_graph', NULL),
            ('stock', 'sync', 'hard', 'otel_service_graph', NULL),
            ('mailer', 'async', 'hard', 'otel_service_graph', NULL),
            ('odd', 'sync', 'hard', 'otel_service_graph', 'grpc'),
            ('odd', 'sync', 'hard', 'manual', NULL)
        ) AS row (target, mode, word, source, protocol)
        JOIN services AS s ON s.service_id = 'web-v1'
        JOIN services AS t ON t.service_id = target
        """
    )
    calls = [{"parent": "web-v1", "child": child} for child in ("cart", "mailer", "odd")]
    again = ("import", "-", "--forget-guesses")
    finished = await quick_command(*again, stdin=json.dumps(calls).encode())
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.startswith("1 guess made unknown\n")
    rows = await connection.fetch(
        """
        SELECT t.service_id, d.discovery_source, d.communication_mode, d.criticality
        FROM service_dependencies AS d JOIN services AS t ON t.id = d.target_service_id
        """
    )
    assert {tuple(row) for row in rows} == {
        ("cart", "otel_service_graph", "unknown", "unknown"),
        ("stock", "otel_service_graph", "sync", "hard"),
        ("mailer", "otel_service_graph", "async", "hard"),
        ("odd", "otel_service_graph", "sync", "hard"),
        ("odd", "manual", "sync", "hard"),
    }
    finished = await quick_command(*again, stdin=json.dumps(calls).encode())
    assert finished.stdout.startswith("0 guesses made unknown\n")
    finished = await quick_command("import", str(SHOP / "kiali.json"), "--forget-guesses")
    assert (finished.returncode, "of kiali nothing was guessed" in finished.stderr) == (2, True)
