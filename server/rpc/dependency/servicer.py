"""Handlers of DependencyService."""

from datetime import UTC, datetime

from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1.dependency_service_pb2_grpc import DependencyServiceServicer
from depgraph.v1.types_pb2 import ResolvedAlias
from server.access.roles import check_source
from server.config import Limits
from server.domain.caller import current_caller
from server.domain.dependencies import (
    DependencyFilter,
)
from server.domain.ports import AliasStore, DependencyStore, PageKey
from server.rpc.answers import source_message
from server.rpc.context import Context
from server.rpc.dependency.drafts import dependency_drafts, dependency_message, upserted_dependencies
from server.rpc.dependency.reports import ingest_batch, ingested
from server.rpc.paging import ROWS, PageTokens, fitted_page, page_size
from server.rpc.reading import convert
from server.rpc.validate import Check
from server.wire.columns import (
    DISCOVERY_SOURCE,
)


class DependencyServicer(DependencyServiceServicer):
    """Answers from the stores. The wrapper around the handlers maps errors to gRPC statuses."""

    def __init__(self, store: DependencyStore, aliases: AliasStore, limits: Limits) -> None:
        self._store = store
        self._aliases = aliases
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
        ends = {name for name in (source, target) if name}
        own = await self._aliases.own_names(sorted(ends)) if ends else {}
        page = await self._store.page(chosen, size, after)
        dependencies, following = fitted_page(
            page.rows,
            page.next,
            dependency_message,
            lambda row: PageKey(row.created_at, row.id),
            self._limits.max_response_bytes,
        )
        return pb.ListDependenciesResponse(
            dependencies=dependencies,
            next_page_token=tokens.write(following),
            resolved_aliases=[ResolvedAlias(alias=name, service_id=own[name]) for name in own],
        )

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
        return pb.ListSourcesResponse(sources=map(source_message, await self._store.reporters()))
