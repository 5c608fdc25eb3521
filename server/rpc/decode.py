"""Messages of the contract as what writers say: drafts of services and dependencies, and whole batches of them."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TypeVar

from depgraph.v1 import catalog_service_pb2, dependency_service_pb2, types_pb2
from server.config import Limits
from server.domain.dependencies import (
    PROTOCOL_MAX_LENGTH,
    BackoffStrategy,
    DependencyDraft,
    DiscoverySource,
    IngestBatch,
    IngestNode,
)
from server.domain.services import ServiceDraft
from server.rpc import enums, metadata
from server.rpc.validate import Check

Item = TypeVar("Item")
Read = TypeVar("Read")

_DEFAULT_RETRIES = 3
_MAX_RETRIES = 100
# A report from the far future could never be followed by a later one.
_CLOCKS_DIFFER = timedelta(days=1)
SERVICE_COLUMNS = ("metadata", "criticality", "team", "discovered")


def service_drafts(
    request: catalog_service_pb2.BatchUpsertServicesRequest, limits: Limits
) -> list[ServiceDraft]:
    """Read a batch of services; raises ``InvalidInputError`` with everything that is wrong in it. O(items)."""
    check = Check()
    check.within_limit("services", request.services, limits.max_items)
    drafts = [
        service_draft(check, f"services[{position}]", service)
        for position, service in enumerate(request.services)
    ]
    check.distinct("services[{}].service_id", (draft.service_id for draft in drafts), "this name")
    check.done()
    return drafts


def dependency_drafts(
    request: dependency_service_pb2.BatchUpsertDependenciesRequest, limits: Limits
) -> list[DependencyDraft]:
    """Read a batch of dependencies; raises ``InvalidInputError`` with everything that is wrong in it. O(items)."""
    check = Check()
    drafts = dependency_drafts_in(check, "dependencies", request.dependencies, limits)
    check.done()
    return drafts


def dependency_drafts_in(
    check: Check, field: str, dependencies: Sequence[types_pb2.Dependency], limits: Limits
) -> list[DependencyDraft]:
    """Read the dependencies to write that a repeated field holds, none of them twice. O(items)."""
    check.within_limit(field, dependencies, limits.max_items)
    drafts = each_of(check, field, dependencies, dependency_draft)
    keys = (draft.key for draft in drafts)
    check.distinct(f"{field}[{{}}]", keys, "this source, target and discovery source")
    return drafts


def ingest_batch(
    request: dependency_service_pb2.IngestGraphRequest, limits: Limits, *, now: datetime
) -> IngestBatch:
    """
    Read the report of a discovery source, which was true at ``now`` unless it says otherwise.

    Raises ``InvalidInputError`` with everything that is wrong in it. O(items).
    """
    check = Check()
    check.within_limit("nodes", request.nodes, limits.max_items)
    check.within_limit("edges", request.edges, limits.max_items)
    source = check.word("discovery_source", request.discovery_source, enums.DISCOVERY_SOURCE, "manual")
    observed_at = (
        check.moment("observe_time", request.observe_time) if request.HasField("observe_time") else now
    )
    if observed_at > now + _CLOCKS_DIFFER:
        check.add("observe_time", "lies more than a day ahead of the server's clock")
    nodes = [ingest_node(check, f"nodes[{position}]", node) for position, node in enumerate(request.nodes)]
    edges = each_of(check, "edges", request.edges, lambda item, edge: _reported_edge(item, edge, source))
    check.distinct("nodes[{}].service_id", (node.service_id for node in nodes), "this name")
    pairs = ((edge.source_service_id, edge.target_service_id) for edge in edges)
    check.distinct("edges[{}]", pairs, "this source and target")
    check.done()
    return IngestBatch(
        discovery_source=source, observed_at=observed_at, nodes=tuple(nodes), edges=tuple(edges)
    )


def service_draft(check: Check, at: str, service: types_pb2.Service) -> ServiceDraft:
    """Read a service to write, found at path ``at``; what only the server says is ignored."""
    return service_columns(
        check, at, service, frozenset(SERVICE_COLUMNS), check.text(f"{at}.service_id", service.service_id)
    )


def dependency_draft(check: Check, dependency: types_pb2.Dependency) -> DependencyDraft:
    """Read a dependency to write, whose fields ``check`` is about; what only the server says is ignored."""
    source = check.text("source_service_id", dependency.source_service_id)
    target = check.text("target_service_id", dependency.target_service_id)
    if source and source == target:
        check.add("target_service_id", "is the source too; a service can't depend on itself")
    mode = check.word("communication_mode", dependency.communication_mode, enums.COMMUNICATION_MODE, "sync")
    criticality = check.optional_word("criticality", dependency.criticality, enums.DEPENDENCY_CRITICALITY)
    reporter = check.optional_word("discovery_source", dependency.discovery_source, enums.DISCOVERY_SOURCE)
    is_set = dependency.HasField
    return DependencyDraft(
        source,
        target,
        mode,
        criticality or "hard",
        check.text("protocol", dependency.protocol, PROTOCOL_MAX_LENGTH) if is_set("protocol") else None,
        check.at_least("timeout_ms", dependency.timeout_ms, 1) if is_set("timeout_ms") else None,
        _retry_config(check, dependency.retry_config) if is_set("retry_config") else None,
        reporter or "manual",
        check.share("confidence_score", dependency.confidence_score) if is_set("confidence_score") else 1.0,
        check.moment("last_observed_time", dependency.last_observed_time)
        if is_set("last_observed_time")
        else None,
        dependency.is_stale,
    )


def each_of(
    check: Check, field: str, items: Iterable[Item], read: Callable[[Check, Item], Read]
) -> list[Read]:
    """Read the items of a repeated field. Only what is wrong is read with its path, which takes longer: a second time."""
    wrong, results = Check(), []
    for position, item in enumerate(items):
        results.append(read(wrong, item))
        if wrong.is_wrong:
            read(check.within(f"{field}[{position}]"), item)
            wrong = Check()
    return results


def ingest_node(check: Check, at: str, node: dependency_service_pb2.IngestNode) -> IngestNode:
    """Read a reported service, found at path ``at``."""
    return IngestNode(
        service_id=check.text(f"{at}.service_id", node.service_id),
        metadata=metadata.json_of(check, f"{at}.metadata", node.metadata)
        if node.HasField("metadata")
        else None,
        team=check.text(f"{at}.team", node.team) if node.HasField("team") else None,
        criticality=check.optional_word(f"{at}.criticality", node.criticality, enums.CRITICALITY),
    )


def _reported_edge(check: Check, edge: types_pb2.Dependency, reporter: DiscoverySource) -> DependencyDraft:
    draft = dependency_draft(check, edge)
    if edge.discovery_source and draft.discovery_source != reporter:
        check.add("discovery_source", "is not the report's; leave it unspecified")
    if edge.HasField("last_observed_time"):
        check.add("last_observed_time", "is set; observe_time speaks for all edges of a report")
    return draft._replace(discovery_source=reporter, last_observed_at=None, is_stale=False)


def service_columns(
    check: Check, at: str, service: types_pb2.Service, columns: frozenset[str], service_id: str
) -> ServiceDraft:
    """Read the named columns; the others, and those that are unset, hold their defaults."""
    criticality = team = None
    json_text = "{}"
    if "metadata" in columns and service.HasField("metadata"):
        json_text = metadata.json_of(check, f"{at}.metadata", service.metadata)
    if "criticality" in columns:
        criticality = check.optional_word(f"{at}.criticality", service.criticality, enums.CRITICALITY)
    if "team" in columns and service.HasField("team"):
        team = check.text(f"{at}.team", service.team)
    return ServiceDraft(
        service_id=service_id,
        metadata=json_text,
        criticality=criticality or "medium",
        team=team,
        discovered=service.discovered and "discovered" in columns,
    )


def _retry_config(check: Check, config: types_pb2.RetryConfig) -> str:
    retries = config.max_retries if config.HasField("max_retries") else _DEFAULT_RETRIES
    check.number("retry_config.max_retries", retries, 0, _MAX_RETRIES)
    strategy = check.optional_word(
        "retry_config.backoff_strategy", config.backoff_strategy, enums.BACKOFF_STRATEGY
    )
    return _retry_json(retries, strategy or "exponential")


@lru_cache(512)
def _retry_json(retries: int, strategy: BackoffStrategy) -> str:
    return json.dumps({"max_retries": retries, "backoff_strategy": strategy})
