"""DependencyService: dependencies in the system of record."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1 import types_pb2
from depgraph.v1.dependency_service_pb2_grpc import DependencyServiceServicer
from server import wire
from server.access.roles import check_source
from server.config import Limits
from server.domain.caller import current_caller
from server.domain.dependencies import (
    PROTOCOL_MAX_LENGTH,
    BackoffStrategy,
    Dependency,
    DependencyDraft,
    DependencyFilter,
    DiscoverySource,
    IngestBatch,
    IngestNode,
    IngestResult,
)
from server.domain.ports import DependencyStore, PageKey, Upserted, Written
from server.rpc.context import Context
from server.rpc.metadata import json_of
from server.rpc.paging import ROWS, PageTokens, fitted_page, page_size
from server.rpc.reading import convert
from server.rpc.validate import Check
from server.wire.columns import (
    BACKOFF_STRATEGY,
    COMMUNICATION_MODE,
    CRITICALITY,
    DEPENDENCY_CRITICALITY,
    DISCOVERY_SOURCE,
)

_DEFAULT_RETRIES = 3
_MAX_RETRIES = 100
# No later report could follow one from the far future.
_CLOCKS_DIFFER = timedelta(days=1)
_UPSERTED = pb.BatchUpsertDependenciesResponse.DEPENDENCIES_FIELD_NUMBER


class DependencyServicer(DependencyServiceServicer):
    """Answers from the store. The wrapper around the handlers maps errors to gRPC statuses."""

    def __init__(self, store: DependencyStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def GetDependency(
        self, request: pb.GetDependencyRequest, context: Context
    ) -> pb.GetDependencyResponse:
        """Look a dependency up."""
        check = Check()
        key = check.uuid("id", request.id)
        check.done()
        return pb.GetDependencyResponse(dependency=dependency_message(await self._store.get(key)))

    async def ListDependencies(
        self, request: pb.ListDependenciesRequest, context: Context
    ) -> pb.ListDependenciesResponse:
        """List dependencies, newest first."""
        check = Check()
        source, target = request.source_service_id, request.target_service_id
        chosen = DependencyFilter(
            source_service_id=check.text("source_service_id", source) if source else None,
            target_service_id=check.text("target_service_id", target) if target else None,
            discovery_source=check.optional_word(
                "discovery_source", request.discovery_source, DISCOVERY_SOURCE
            ),
            include_stale=request.include_stale,
        )
        tokens = PageTokens("dependencies", chosen, ROWS)
        size, after = page_size(check, request.page_size), tokens.read(check, request.page_token)
        check.done()
        page = await self._store.page(chosen, size, after)
        dependencies, following = fitted_page(
            page.rows,
            page.next,
            dependency_message,
            lambda row: PageKey(row.created_at, row.id),
            self._limits.max_response_bytes,
        )
        return pb.ListDependenciesResponse(dependencies=dependencies, next_page_token=tokens.write(following))

    async def BatchUpsertDependencies(  # type: ignore[override] # bytes of messages pass as they are
        self, request: pb.BatchUpsertDependenciesRequest, context: Context
    ) -> bytes:
        """Create or replace dependencies, all or none."""
        count = len(request.dependencies)
        drafts = await convert(count, dependency_drafts, request, self._limits)
        written = await self._store.upsert(drafts)
        return await convert(count, upserted_dependencies, written)

    async def DeleteDependency(
        self, request: pb.DeleteDependencyRequest, context: Context
    ) -> pb.DeleteDependencyResponse:
        """Remove a dependency."""
        check = Check()
        key = check.uuid("id", request.id)
        check.done()
        written = await self._store.delete(key)
        return pb.DeleteDependencyResponse(revision=written.revision)

    async def MarkStale(self, request: pb.MarkStaleRequest, context: Context) -> pb.MarkStaleResponse:
        """Mark the dependencies that were not observed for too long."""
        check = Check()
        if not request.HasField("observed_before"):
            check.add("observed_before", "is required; give the time before which an observation is too old")
        before = check.moment("observed_before", request.observed_before)
        source = check.optional_word("discovery_source", request.discovery_source, DISCOVERY_SOURCE)
        check.done()
        written = await self._store.mark_stale(before, source)
        return pb.MarkStaleResponse(marked_count=written.value, revision=written.revision)

    async def IngestGraph(self, request: pb.IngestGraphRequest, context: Context) -> pb.IngestGraphResponse:
        """Write the report of a discovery source, which must be one of the caller's."""
        # First: nothing else is said about a report that is not the caller's.
        if (source := DISCOVERY_SOURCE.word.get(request.discovery_source)) is not None:
            check_source(current_caller(), source)
        count = len(request.nodes) + len(request.edges)
        batch = await convert(count, ingest_batch, request, self._limits, now=datetime.now(UTC))
        return ingested(await self._store.ingest(batch))

    async def ListSources(self, request: pb.ListSourcesRequest, context: Context) -> pb.ListSourcesResponse:
        """List who reports."""
        raise NotImplementedError


def dependency_draft(check: Check, dependency: types_pb2.Dependency) -> DependencyDraft:
    """Read a dependency to write; ``check`` checks its fields. Output-only fields are ignored."""
    source = check.text("source_service_id", dependency.source_service_id)
    target = check.text("target_service_id", dependency.target_service_id)
    if source and source == target:
        check.add("target_service_id", "is the source too; a service can't depend on itself")
    mode = check.word("communication_mode", dependency.communication_mode, COMMUNICATION_MODE, "sync")
    criticality = check.optional_word("criticality", dependency.criticality, DEPENDENCY_CRITICALITY)
    reporter = check.optional_word("discovery_source", dependency.discovery_source, DISCOVERY_SOURCE)
    is_set = dependency.HasField
    # Positional, for ten thousand come at a time.
    return DependencyDraft(
        source,
        target,
        mode,
        criticality or "hard",
        check.text("protocol", dependency.protocol, PROTOCOL_MAX_LENGTH) if is_set("protocol") else None,
        check.at_least("timeout_ms", dependency.timeout_ms, 1) if is_set("timeout_ms") else None,
        _retry_json_of(check, dependency.retry_config) if is_set("retry_config") else None,
        reporter or "manual",
        check.share("confidence_score", dependency.confidence_score) if is_set("confidence_score") else 1.0,
        check.moment("last_observed_time", dependency.last_observed_time)
        if is_set("last_observed_time")
        else None,
        dependency.is_stale,
    )


def dependency_drafts(request: pb.BatchUpsertDependenciesRequest, limits: Limits) -> list[DependencyDraft]:
    """Read a batch; raises ``InvalidInputError`` with everything that is wrong in it. O(items)."""
    check = Check()
    drafts = drafts_in(check, "dependencies", request.dependencies, limits)
    check.done()
    return drafts


def drafts_in(
    check: Check, field: str, dependencies: Sequence[types_pb2.Dependency], limits: Limits
) -> list[DependencyDraft]:
    """Read the dependencies to write of a repeated field, which must be distinct. O(items)."""
    check.within_limit(field, dependencies, limits.max_items)
    drafts = check.each(field, dependencies, dependency_draft)
    keys = (draft.key for draft in drafts)
    check.distinct(f"{field}[{{}}]", keys, "this source, target and discovery source")
    return drafts


def ingest_batch(request: pb.IngestGraphRequest, limits: Limits, *, now: datetime) -> IngestBatch:
    """
    Read the report of a discovery source, observed at ``now`` unless it has an ``observe_time``.

    Raises ``InvalidInputError`` with everything that is wrong in it. O(items).
    """
    check = Check()
    check.within_limit("nodes", request.nodes, limits.max_items)
    check.within_limit("edges", request.edges, limits.max_items)
    source = check.word("discovery_source", request.discovery_source, DISCOVERY_SOURCE, "manual")
    observed_at = (
        check.moment("observe_time", request.observe_time) if request.HasField("observe_time") else now
    )
    if observed_at > now + _CLOCKS_DIFFER:
        check.add("observe_time", "lies more than a day ahead of the server's clock")
    nodes = check.each("nodes", request.nodes, _reported_node)
    edges = check.each("edges", request.edges, lambda item, edge: _reported_edge(item, edge, source))
    check.distinct("nodes[{}].service_id", (node.service_id for node in nodes), "this name")
    pairs = ((edge.source_service_id, edge.target_service_id) for edge in edges)
    check.distinct("edges[{}]", pairs, "this source and target")
    check.done()
    return IngestBatch(
        discovery_source=source, observed_at=observed_at, nodes=tuple(nodes), edges=tuple(edges)
    )


def _reported_node(check: Check, node: pb.IngestNode) -> IngestNode:
    return IngestNode(
        service_id=check.text("service_id", node.service_id),
        metadata=json_of(check, "metadata", node.metadata) if node.HasField("metadata") else None,
        team=check.text("team", node.team) if node.HasField("team") else None,
        criticality=check.optional_word("criticality", node.criticality, CRITICALITY),
    )


def _reported_edge(check: Check, edge: types_pb2.Dependency, reporter: DiscoverySource) -> DependencyDraft:
    draft = dependency_draft(check, edge)
    if edge.discovery_source and draft.discovery_source != reporter:
        check.add("discovery_source", "is not the report's; leave it unspecified")
    if edge.HasField("last_observed_time"):
        check.add("last_observed_time", "is set; observe_time holds for all edges of a report")
    return draft._replace(discovery_source=reporter, last_observed_at=None, is_stale=False)


def _retry_json_of(check: Check, config: types_pb2.RetryConfig) -> str:
    retries = config.max_retries if config.HasField("max_retries") else _DEFAULT_RETRIES
    check.number("retry_config.max_retries", retries, 0, _MAX_RETRIES)
    strategy = check.optional_word("retry_config.backoff_strategy", config.backoff_strategy, BACKOFF_STRATEGY)
    return _retry_json(retries, strategy or "exponential")


@lru_cache(512)
def _retry_json(retries: int, strategy: BackoffStrategy) -> str:
    return json.dumps({"max_retries": retries, "backoff_strategy": strategy})


def dependency_message(row: Dependency) -> types_pb2.Dependency:
    """Write a dependency; about 6 µs."""
    return wire.dependency_of(wire.dependency_record(row, row.source_service_id, row.target_service_id))


def upserted_dependencies(written: Written[Upserted[Dependency]]) -> bytes:
    """Encode the ``BatchUpsertDependenciesResponse`` of a batch as stored, joined from records."""
    rows = (
        wire.dependency_record(row, row.source_service_id, row.target_service_id)
        for row in written.value.rows
    )
    rest = pb.BatchUpsertDependenciesResponse(
        created_count=written.value.created,
        updated_count=written.value.updated,
        revision=written.revision,
    )
    return b"".join([*(wire.retagged(row, _UPSERTED) for row in rows), rest.SerializeToString()])


def ingested(written: Written[IngestResult]) -> pb.IngestGraphResponse:
    """Write what a report changed."""
    result = written.value
    return pb.IngestGraphResponse(
        services_created=result.services_created,
        edges_created=result.edges_created,
        edges_updated=result.edges_updated,
        edges_unchanged=result.edges_unchanged,
        warnings=result.warnings,
        revision=written.revision,
    )
