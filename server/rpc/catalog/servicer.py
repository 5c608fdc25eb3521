"""CatalogService: services in the system of record."""

from depgraph.v1 import catalog_service_pb2 as pb
from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceServicer
from server.config import Limits
from server.domain.paging import PageKey
from server.domain.ports import ServiceStore
from server.domain.services import ServiceFilter
from server.rpc.catalog.messages import (
    service_change,
    service_draft,
    service_drafts,
    service_key,
    service_message,
    updated_key,
    upserted_services,
)
from server.rpc.context import Context
from server.rpc.paging import PageTokens, fitted_page, page_size
from server.rpc.reading import convert
from server.rpc.validate import Check
from server.wire.words import CRITICALITY, SERVICE_KIND


class CatalogServicer(CatalogServiceServicer):
    """Answers from the store. The wrapper around the handlers maps errors to gRPC statuses."""

    def __init__(self, store: ServiceStore, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    async def CreateService(
        self, request: pb.CreateServiceRequest, context: Context
    ) -> pb.CreateServiceResponse:
        """Add a service."""
        check = Check()
        draft = service_draft(check.within("service"), request.service)
        check.done()
        written = await self._store.create(draft)
        return pb.CreateServiceResponse(service=service_message(written.value), revision=written.revision)

    async def GetService(self, request: pb.GetServiceRequest, context: Context) -> pb.GetServiceResponse:
        """Look a service up."""
        check = Check()
        key = service_key(check, request)
        check.done()
        return pb.GetServiceResponse(service=service_message(await self._store.get(key)))

    async def ListServices(
        self, request: pb.ListServicesRequest, context: Context
    ) -> pb.ListServicesResponse:
        """List services, newest first."""
        check = Check()
        chosen = ServiceFilter(
            team=check.text("team", request.team) if request.HasField("team") else None,
            criticality=check.optional_word("criticality", request.criticality, CRITICALITY),
            discovered=request.discovered if request.HasField("discovered") else None,
            query=check.text("query", request.query) if request.query else None,
            kind=check.optional_word("kind", request.kind, SERVICE_KIND),
        )
        tokens = PageTokens("services", chosen)
        size, after = page_size(check, request.page_size), tokens.row(check, request.page_token)
        check.done()
        page = await self._store.page(chosen, size, after)
        services, following = fitted_page(
            page.rows,
            page.next,
            service_message,
            lambda row: PageKey(row.created_at, row.id),
            self._limits.max_response_bytes,
        )
        return pb.ListServicesResponse(services=services, next_page_token=tokens.of_row(following))

    async def UpdateService(
        self, request: pb.UpdateServiceRequest, context: Context
    ) -> pb.UpdateServiceResponse:
        """Set some fields of a service."""
        check = Check()
        key = updated_key(check, request.service)
        change = service_change(check, request.service, request.update_mask)
        check.done()
        written = await self._store.update(key, change)
        return pb.UpdateServiceResponse(service=service_message(written.value), revision=written.revision)

    async def DeleteService(
        self, request: pb.DeleteServiceRequest, context: Context
    ) -> pb.DeleteServiceResponse:
        """Remove a service and its dependencies."""
        check = Check()
        key = service_key(check, request)
        check.done()
        written = await self._store.delete(key)
        return pb.DeleteServiceResponse(revision=written.revision)

    async def BatchUpsertServices(
        self, request: pb.BatchUpsertServicesRequest, context: Context
    ) -> pb.BatchUpsertServicesResponse:
        """Create or replace services, all or none."""
        count = len(request.services)
        drafts = await convert(count, service_drafts, request, self._limits)
        written = await self._store.upsert(drafts)
        return await convert(count, upserted_services, written)
