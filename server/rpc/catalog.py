"""CatalogService: services in the system of record."""

from google.protobuf.field_mask_pb2 import FieldMask

from depgraph.v1 import catalog_service_pb2 as pb
from depgraph.v1 import types_pb2
from depgraph.v1.catalog_service_pb2_grpc import CatalogServiceServicer
from server import wire
from server.config import Limits
from server.domain.live_graph import LiveGraph
from server.domain.ports import AliasStore, PageKey, ServiceStore, Upserted, Written
from server.domain.services import (
    SETTABLE_COLUMNS,
    Service,
    ServiceChange,
    ServiceDraft,
    ServiceFilter,
    ServiceKey,
)
from server.rpc.alias_suggestions import AliasSuggester, suggestions_question
from server.rpc.aliases import (
    alias_message,
    aliases_question,
    merge_question,
    merged_message,
    resolved_alias,
)
from server.rpc.context import Context
from server.rpc.metadata import json_of
from server.rpc.paging import ROWS, PageTokens, fitted_page, page_size
from server.rpc.reading import convert
from server.rpc.validate import Check, shown
from server.wire.columns import CRITICALITY, SERVICE_KIND

_MOST_PATHS = 100


class CatalogServicer(CatalogServiceServicer):
    """
    Answers from the stores, and suggests from memory.

    The wrapper around the handlers maps errors to gRPC statuses.
    """

    def __init__(self, store: ServiceStore, aliases: AliasStore, live: LiveGraph, limits: Limits) -> None:
        self._store = store
        self._aliases = aliases
        self._suggester = AliasSuggester(live, limits.max_response_bytes)
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
        found = await self._store.get(key)
        return pb.GetServiceResponse(
            service=service_message(found),
            resolved_aliases=resolved_alias(key.service_id, found.service_id),
        )

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
        tokens = PageTokens("services", chosen, ROWS)
        size, after = page_size(check, request.page_size), tokens.read(check, request.page_token)
        check.done()
        page = await self._store.page(chosen, size, after)
        services, following = fitted_page(
            page.rows,
            page.next,
            service_message,
            lambda row: PageKey(row.created_at, row.id),
            self._limits.max_response_bytes,
        )
        return pb.ListServicesResponse(services=services, next_page_token=tokens.write(following))

    async def UpdateService(
        self, request: pb.UpdateServiceRequest, context: Context
    ) -> pb.UpdateServiceResponse:
        """Set some fields of a service."""
        check = Check()
        service = request.service
        if service.id:
            key = ServiceKey(id=check.uuid("service.id", service.id))
        else:
            key = ServiceKey(service_id=check.text("service.service_id", service.service_id))
        change = service_change(check, service, request.update_mask)
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

    async def AddAlias(self, request: pb.AddAliasRequest, context: Context) -> pb.AddAliasResponse:
        """Give a service another name."""
        check = Check()
        alias, service_id = request.alias, check.text("service_id", request.service_id)
        check.text("alias", alias)
        check.done()
        written = await self._aliases.add(alias, service_id)
        return pb.AddAliasResponse(alias=alias_message(written.value), revision=written.revision)

    async def RemoveAlias(self, request: pb.RemoveAliasRequest, context: Context) -> pb.RemoveAliasResponse:
        """Take an alias away."""
        check = Check()
        alias = check.text("alias", request.alias)
        check.done()
        return pb.RemoveAliasResponse(revision=(await self._aliases.remove(alias)).revision)

    async def ListAliases(self, request: pb.ListAliasesRequest, context: Context) -> pb.ListAliasesResponse:
        """List aliases."""
        question = aliases_question(request)
        page = await self._aliases.page(question.service_id, question.page_size, question.after)
        aliases, following = fitted_page(
            page.aliases, page.next, alias_message, lambda each: each.alias, self._limits.max_response_bytes
        )
        return pb.ListAliasesResponse(aliases=aliases, next_page_token=question.tokens.write(following))

    async def MergeServices(
        self, request: pb.MergeServicesRequest, context: Context
    ) -> pb.MergeServicesResponse:
        """Make two services one."""
        going, staying = merge_question(request)
        return merged_message(await self._aliases.merge(going, staying, validate_only=request.validate_only))

    async def SuggestAliases(
        self, request: pb.SuggestAliasesRequest, context: Context
    ) -> pb.SuggestAliasesResponse:
        """List pairs that look like one service."""
        return await self._suggester.answer(suggestions_question(request), context)

    async def BatchUpsertServices(
        self, request: pb.BatchUpsertServicesRequest, context: Context
    ) -> pb.BatchUpsertServicesResponse:
        """Create or replace services, all or none."""
        count = len(request.services)
        drafts = await convert(count, service_drafts, request, self._limits)
        written = await self._store.upsert(drafts)
        return await convert(count, upserted_services, written)


def service_key(check: Check, request: pb.GetServiceRequest | pb.DeleteServiceRequest) -> ServiceKey:
    """Read which service a request is about."""
    match request.WhichOneof("key"):
        case "id":
            return ServiceKey(id=check.uuid("id", request.id))
        case "service_id":
            return ServiceKey(service_id=check.text("service_id", request.service_id))
        case None:
            check.add("service_id", "is required; name the service by service_id or by id")
            return ServiceKey(service_id="")


def service_draft(check: Check, service: types_pb2.Service) -> ServiceDraft:
    """Read a service to write; ``check`` checks its fields. Output-only fields are ignored."""
    check.text("service_id", service.service_id)
    return _service_columns(check, service, frozenset(SETTABLE_COLUMNS))


def service_drafts(request: pb.BatchUpsertServicesRequest, limits: Limits) -> list[ServiceDraft]:
    """Read a batch; raises ``InvalidInputError`` with everything that is wrong in it. O(items)."""
    check = Check()
    check.within_limit("services", request.services, limits.max_items)
    drafts = check.each("services", request.services, service_draft)
    check.distinct("services[{}].service_id", (draft.service_id for draft in drafts), "this name")
    check.done()
    return drafts


def service_change(check: Check, service: types_pb2.Service, mask: FieldMask) -> ServiceChange:
    """Read an update of the columns in the mask, or, if that is empty, of those that are set."""
    check.at_most("update_mask.paths", mask.paths, _MOST_PATHS, "make a mask")
    if "*" in mask.paths:
        columns = frozenset(SETTABLE_COLUMNS)
    elif mask.paths:
        columns = frozenset(mask.paths)
    else:
        columns = frozenset(each.name for each, _ in service.ListFields()).intersection(SETTABLE_COLUMNS)
    for position, path in enumerate(mask.paths):
        if path != "*" and path not in SETTABLE_COLUMNS:
            check.add(
                f"update_mask.paths[{position}]",
                f"{shown(path)} is not one of *, {', '.join(SETTABLE_COLUMNS)}",
            )
    draft = _service_columns(check.within("service"), service, columns)
    return ServiceChange(columns=columns, draft=draft)


def _service_columns(check: Check, service: types_pb2.Service, columns: frozenset[str]) -> ServiceDraft:
    """Read the named columns; the others, and those that are unset, get their defaults."""
    criticality = team = kind = None
    json_text = "{}"
    if "metadata" in columns and service.HasField("metadata"):
        json_text = json_of(check, "metadata", service.metadata)
    if "criticality" in columns:
        criticality = check.optional_word("criticality", service.criticality, CRITICALITY)
    if "team" in columns and service.HasField("team"):
        team = check.text("team", service.team)
    if "kind" in columns:
        kind = check.optional_word("kind", service.kind, SERVICE_KIND)
    return ServiceDraft(
        service_id=service.service_id,
        metadata=json_text,
        criticality=criticality or "medium",
        team=team,
        discovered=service.discovered and "discovered" in columns,
        kind=kind or "service",
    )


def service_message(row: Service) -> types_pb2.Service:
    """Write a service; about 4 µs."""
    return wire.service_of(wire.service_record(row))


def upserted_services(written: Written[Upserted[Service]]) -> pb.BatchUpsertServicesResponse:
    """Write the services of a batch as stored."""
    return pb.BatchUpsertServicesResponse(
        services=map(service_message, written.value.rows),
        created_count=written.value.created,
        updated_count=written.value.updated,
        revision=written.revision,
    )
