"""Dependencies to write, from messages to the domain, and rows as messages."""

import json
from collections.abc import Sequence
from functools import lru_cache

from depgraph.v1 import dependency_service_pb2 as pb
from depgraph.v1 import types_pb2
from server import wire
from server.config import Limits
from server.domain.dependencies import (
    PROTOCOL_MAX_LENGTH,
    BackoffStrategy,
    Dependency,
    DependencyDraft,
)
from server.domain.ports import Upserted, Written
from server.rpc.validate import Check
from server.wire.columns import (
    BACKOFF_STRATEGY,
    COMMUNICATION_MODE,
    DEPENDENCY_CRITICALITY,
    DISCOVERY_SOURCE,
)

_DEFAULT_RETRIES = 3
_MAX_RETRIES = 100
_UPSERTED = pb.BatchUpsertDependenciesResponse.DEPENDENCIES_FIELD_NUMBER


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
        retry_json_of(check, dependency.retry_config) if is_set("retry_config") else None,
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


def retry_json_of(check: Check, config: types_pb2.RetryConfig) -> str:
    """Check the retries of a call and write them as JSON text."""
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
