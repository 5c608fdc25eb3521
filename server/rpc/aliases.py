"""Aliases in requests and answers of CatalogService."""

from typing import NamedTuple

from depgraph.v1 import catalog_service_pb2 as pb
from depgraph.v1 import types_pb2
from server import wire
from server.domain.aliases import Alias, Merged
from server.domain.ports import Written
from server.rpc.answers import timestamp
from server.rpc.paging import NAMES, PageTokens, page_size
from server.rpc.validate import Check


class AliasesQuestion(NamedTuple):
    """A page of the aliases of a service (None = all), after one of them (None = the first)."""

    service_id: str | None
    page_size: int
    after: str | None
    tokens: PageTokens[str]


def aliases_question(request: pb.ListAliasesRequest) -> AliasesQuestion:
    """Read a request; raises ``InvalidInputError``."""
    check = Check()
    service_id = check.text("service_id", request.service_id) if request.service_id else None
    tokens = PageTokens("aliases", service_id, NAMES)
    size, after = page_size(check, request.page_size), tokens.read(check, request.page_token)
    check.done()
    return AliasesQuestion(service_id, size, after, tokens)


def merge_question(request: pb.MergeServicesRequest) -> tuple[str, str]:
    """Read which services are to be one; raises ``InvalidInputError``."""
    check = Check()
    going = check.text("from_service_id", request.from_service_id)
    staying = check.text("into_service_id", request.into_service_id)
    if going and going == staying:
        check.add("into_service_id", "is from_service_id, too; name another service")
    check.done()
    return going, staying


def alias_message(alias: Alias) -> types_pb2.ServiceAlias:
    """Write an alias."""
    return types_pb2.ServiceAlias(
        alias=alias.alias, service_id=alias.service_id, create_time=timestamp(alias.created_at)
    )


def resolved_alias(asked: str | None, service_id: str) -> list[types_pb2.ResolvedAlias]:
    """Write that a service was asked for by an alias; empty if it was not."""
    if asked is None or asked == service_id:
        return []
    return [types_pb2.ResolvedAlias(alias=asked, service_id=service_id)]


def merged_message(written: Written[Merged]) -> pb.MergeServicesResponse:
    """Write what a merge did."""
    merged = written.value
    return pb.MergeServicesResponse(
        service=wire.service_of(wire.service_record(merged.service)),
        dependencies_moved=merged.dependencies_moved,
        dependencies_merged=merged.dependencies_merged,
        self_calls_dropped=merged.self_calls_dropped,
        aliases_moved=merged.aliases_moved,
        revision=written.revision,
    )
