"""Random reports against a dictionary: what each may change, in real PostgreSQL."""

import asyncio
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import asyncpg
from hypothesis import given
from hypothesis import strategies as st

from server.config import StalenessSettings
from server.domain.dependencies import DiscoverySource
from server.domain.reports import IngestBatch, IngestNode, ReportedEdge
from server.store.ingestion import ingest_batch
from server.store.staleness import sweep
from tests.support.examples import examples
from tests.support.observations import AT
from tests.support.report_model import Edge, Key, ModelGraph, Node

if TYPE_CHECKING:
    from server.store.pool import Connection

EXAMPLES = 100
NAMES = "abc"
PERSONS = "a"
FIVE_MINUTES = timedelta(minutes=5)
SOURCES: tuple[DiscoverySource, ...] = ("otel_service_graph", "kubernetes")
SETTINGS = StalenessSettings(
    stale_after={"otel_service_graph": timedelta(hours=1)},
    half_life={"otel_service_graph": timedelta(minutes=30), "kubernetes": timedelta(hours=3)},
)
minutes = st.sampled_from([0, 0, 4, 5, 30, 61]).map(lambda count: AT + timedelta(minutes=count))


class Sweep(NamedTuple):
    at: datetime


class MarkStale(NamedTuple):
    observed_before: datetime


def edges(pair: tuple[str, str]) -> st.SearchStrategy[ReportedEdge]:
    """Mostly an edge that says little, so that many reports say nothing new."""
    usual = st.sampled_from([None, 0.5, 1.0]).map(lambda share: ReportedEdge(*pair, confidence_score=share))
    telling = st.builds(
        ReportedEdge,
        st.just(pair[0]),
        st.just(pair[1]),
        st.sampled_from([None, "sync", "async"]),
        st.sampled_from([None, "unknown", "hard", "soft"]),
        st.sampled_from([None, "grpc", "http"]),
        st.sampled_from([None, 5, 9]),
        st.sampled_from([None, '{"max_retries": 1}', '{"max_retries": 1.0}']),
        st.sampled_from([None, 0.0, 0.5, 1.0]),
    )
    return st.one_of(usual, usual, telling)


def nodes(name: str) -> st.SearchStrategy[IngestNode]:
    return st.builds(
        IngestNode,
        st.just(name),
        st.sampled_from([None, "{}", '{"zone": "x"}']),
        st.sampled_from([None, "unknown", "low", "high"]),
        st.sampled_from([None, "shop", "infra"]),
        st.sampled_from([None, "service", "queue"]),
    )


pairs = st.lists(
    st.sampled_from([("a", "b"), ("a", "b"), ("a", "c"), ("b", "a")]), unique=True, min_size=1, max_size=2
)
names = st.lists(st.sampled_from(NAMES), unique=True, max_size=2)
reports = st.builds(
    IngestBatch,
    discovery_source=st.sampled_from([*SOURCES, "otel_service_graph", "otel_service_graph"]),
    observed_at=minutes,
    nodes=names.flatmap(lambda chosen: st.tuples(*map(nodes, chosen))),
    edges=pairs.flatmap(lambda chosen: st.tuples(*map(edges, chosen))),
    granularity=st.sampled_from([timedelta(), FIVE_MINUTES]),
)
steps = st.lists(
    st.one_of(reports, reports, reports, st.builds(Sweep, minutes), st.builds(MarkStale, minutes)),
    min_size=1,
    max_size=8,
)


async def stored_edges(connection: asyncpg.Connection) -> tuple[dict[Key, Edge], dict[Any, str]]:
    """What the table holds, and where each row's version lies, which any write of it changes."""
    rows = await connection.fetch(
        """SELECT d.*, d.ctid::text AS version, d.retry_config::text AS retries,
            a.service_id AS a, b.service_id AS b
        FROM service_dependencies AS d
        JOIN services AS a ON a.id = d.source_service_id
        JOIN services AS b ON b.id = d.target_service_id"""
    )
    fields = ("communication_mode", "criticality", "protocol", "timeout_ms")
    found = {
        (row["a"], row["b"], row["discovery_source"]): Edge(
            said={**{name: row[name] for name in fields}, "retry_config": row["retries"]},
            confidence=row["confidence_score"],
            reported=row["reported_confidence"],
            observed_at=row["last_observed_at"],
            is_stale=row["is_stale"],
        )
        for row in rows
    }
    return found, {(row["a"], row["b"], row["discovery_source"]): row["version"] for row in rows}


async def stored_nodes(connection: asyncpg.Connection) -> tuple[dict[str, Node], dict[Any, str]]:
    rows = await connection.fetch("SELECT *, ctid::text AS version FROM services")
    fields = ("metadata", "criticality", "team", "kind")
    found = {
        row["service_id"]: Node(discovered=row["discovered"], said={name: row[name] for name in fields})
        for row in rows
    }
    return found, {row["service_id"]: row["version"] for row in rows}


async def check_report(connection: asyncpg.Connection, model: ModelGraph, batch: IngestBatch) -> None:
    """Ingest the report, and compare rows, counts, what was written and what was logged."""
    edges_before, nodes_before = dict(model.edges), dict(model.nodes)
    _, edge_versions = await stored_edges(connection)
    _, node_versions = await stored_nodes(connection)
    logged = await connection.fetchval("SELECT count(*) FROM depgraph_feed.change_log")

    result = await ingest_batch(cast("Connection", connection), batch)

    counts = model.ingest(batch)
    edges_after, new_edge_versions = await stored_edges(connection)
    nodes_after, new_node_versions = await stored_nodes(connection)
    assert edges_after == model.edges
    assert nodes_after == model.nodes
    assert (result.edges_created, result.edges_updated) == (counts["created"], counts["updated"])
    assert result.observations_renewed == counts["renewed"]
    assert result.edges_unchanged == counts["renewed"] + counts["unchanged"] + counts["late"]
    assert any("observed after" in warning for warning in result.warnings) == bool(counts["late"])
    written = {key for key, edge in model.edges.items() if edges_before.get(key) != edge}
    written_nodes = {name for name, node in model.nodes.items() if nodes_before.get(name) != node}
    assert {key for key, at in new_edge_versions.items() if edge_versions.get(key) != at} == written
    assert {key for key, at in new_node_versions.items() if node_versions.get(key) != at} == written_nodes
    assert await connection.fetchval("SELECT count(*) FROM depgraph_feed.change_log") - logged == len(
        written
    ) + len(written_nodes)


async def run(connection: asyncpg.Connection, story: list[IngestBatch | Sweep | MarkStale]) -> None:
    """Run the steps; the rows are there only until the transaction is rolled back."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("INSERT INTO services (service_id) VALUES ($1)", PERSONS)
        model = ModelGraph((await stored_nodes(connection))[0].items())
        for step in story:
            if isinstance(step, IngestBatch):
                await check_report(connection, model, step)
                continue
            if isinstance(step, Sweep):
                await sweep(connection, SETTINGS, step.at)
            else:
                await connection.execute(
                    "UPDATE service_dependencies SET is_stale = true WHERE last_observed_at < $1",
                    step.observed_before,
                )
            model.edges, _ = await stored_edges(connection)
    finally:
        await transaction.rollback()


def test_a_report_changes_what_a_dictionary_says_and_writes_nothing_else(database_url: str) -> None:
    with asyncio.Runner() as runner:
        connection = runner.run(asyncpg.connect(database_url))

        @examples(EXAMPLES)
        @given(steps)
        def check(story: list[IngestBatch | Sweep | MarkStale]) -> None:
            runner.run(run(connection, story))

        try:
            check()
        finally:
            runner.run(connection.close())
