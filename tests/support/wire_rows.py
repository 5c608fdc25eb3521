"""Rows of every shape, and their messages, which the generated code builds field by field."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import cycle
from typing import Any, TypeVar
from uuid import UUID

from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import strategies as st

from depgraph.v1 import types_pb2 as pb
from server.domain.dependencies import DependencyRow
from server.domain.services import Service

Row = TypeVar("Row", Service, DependencyRow)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_INT32, MIN_INT32 = 2**31 - 1, -(2**31)

texts = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), max_size=40)
long_texts = st.sampled_from(["x" * 127, "x" * 128, "ж" * 64, "漢" * 255, "🦊" * 255, "a" * 255])
names = texts.filter(bool) | long_texts
moments = st.datetimes(timezones=st.just(UTC)) | st.sampled_from(
    [
        EPOCH,
        EPOCH - timedelta(microseconds=1),
        EPOCH + timedelta(microseconds=1),
        EPOCH + timedelta(seconds=2**28),
        datetime.min.replace(tzinfo=UTC) + timedelta(microseconds=1),
        datetime.max.replace(tzinfo=UTC) - timedelta(microseconds=1),
    ]
)
numbers = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)
objects = st.dictionaries(texts, json_values, max_size=4).map(
    lambda value: json.dumps(value, ensure_ascii=False)
)
retries = st.fixed_dictionaries(
    {},
    optional={
        "max_retries": st.integers(-1, 100) | st.sampled_from([2.5, 3.0, 1e99, "many", None, True, 2**31]),
        "backoff_strategy": st.sampled_from(["linear", "constant", "exponential", "odd", 3, None]),
    },
).map(json.dumps)
confidences = st.floats() | st.sampled_from([0.0, -0.0, 0.5, 1.0])

services = st.builds(
    Service,
    id=st.uuids(),
    service_id=names,
    metadata=st.just("{}") | objects,
    criticality=st.sampled_from(["critical", "high", "medium", "low", "unknown", "odd", "", "lоw"]),  # noqa: RUF001 - a wrong o
    team=st.none() | texts | long_texts,
    discovered=st.booleans(),
    created_at=moments,
    updated_at=moments,
    kind=st.sampled_from(["service", "database", "queue", "gateway", "external", "odd"]),
)
dependencies = st.builds(
    DependencyRow,
    id=st.uuids(),
    source=st.uuids(),
    target=st.uuids(),
    communication_mode=st.sampled_from(["sync", "async", "unknown", "odd", ""]),
    criticality=st.sampled_from(["hard", "soft", "degraded", "unknown", "sync", "odd"]),
    protocol=st.none() | texts | st.just("x" * 128),
    timeout_ms=st.none() | st.integers(MIN_INT32, MAX_INT32) | st.sampled_from([0, 127, 128, MAX_INT32]),
    retry_config=st.none() | retries | objects | st.sampled_from(["null", "[]", "3"]),
    discovery_source=st.sampled_from(
        ["manual", "otel_service_graph", "kubernetes", "service_mesh", "catalog", "odd"]
    ),
    confidence_score=confidences,
    last_observed_at=moments,
    is_stale=st.booleans(),
    created_at=moments,
    updated_at=moments,
)


def in_turn(rows: st.SearchStrategy[Row], most: int, least: int = 0) -> st.SearchStrategy[list[Row]]:
    """A list of a few different rows again and again, each with a key of its own."""
    return st.builds(_in_turn, st.lists(rows, min_size=1, max_size=4), st.integers(least, most))


def _in_turn(rows: list[Row], count: int) -> list[Row]:
    return [
        row._replace(id=UUID(int=row.id.int >> 8 << 8 | place))
        for place, row in zip(range(count), cycle(rows), strict=False)
    ]


def service_message(row: Service) -> pb.Service:
    """What the record of a row must say."""
    message = pb.Service(
        id=str(UUID(bytes=row.id.bytes)), service_id=row.service_id, team=row.team, discovered=row.discovered
    )
    message.criticality = _number(pb.Criticality, "CRITICALITY_", row.criticality)
    message.kind = _number(pb.ServiceKind, "SERVICE_KIND_", row.kind)
    message.metadata.CopyFrom(_struct(row.metadata))
    message.create_time.CopyFrom(_timestamp(row.created_at))
    message.update_time.CopyFrom(_timestamp(row.updated_at))
    return message


def dependency_message(row: DependencyRow, source: str, target: str) -> pb.Dependency:
    """What the record of a row must say when its ends are called so."""
    message = pb.Dependency(
        id=str(UUID(bytes=row.id.bytes)),
        source_service_id=source,
        target_service_id=target,
        protocol=row.protocol,
        timeout_ms=row.timeout_ms,
        confidence_score=row.confidence_score,
        is_stale=row.is_stale,
    )
    message.communication_mode = _number(pb.CommunicationMode, "COMMUNICATION_MODE_", row.communication_mode)
    message.criticality = _number(pb.DependencyCriticality, "DEPENDENCY_CRITICALITY_", row.criticality)
    message.discovery_source = _number(pb.DiscoverySource, "DISCOVERY_SOURCE_", row.discovery_source)
    if row.retry_config is not None:
        message.retry_config.CopyFrom(_retries(row.retry_config))
    message.last_observed_time.CopyFrom(_timestamp(row.last_observed_at))
    message.create_time.CopyFrom(_timestamp(row.created_at))
    message.update_time.CopyFrom(_timestamp(row.updated_at))
    return message


# Thousands of rows have the same words and were written at the same moments. What is given out is
# only read.
@lru_cache(10_000)
def _number(enum: Any, prefix: str, word: str) -> Any:
    return dict(enum.items()).get(prefix + word.upper(), 0)


@lru_cache(10_000)
def _timestamp(moment: datetime) -> Timestamp:
    message = Timestamp()
    message.FromDatetime(moment)
    return message


@lru_cache(1_000)
def _struct(text: str) -> Struct:
    message = Struct()
    message.update(json.loads(text))
    return message


def _retries(text: str) -> pb.RetryConfig:
    stored = json.loads(text)
    config = pb.RetryConfig()
    if not isinstance(stored, Mapping):
        return config
    count = stored.get("max_retries")
    if (
        isinstance(count, int | float)
        and not isinstance(count, bool)
        and 0 <= count < 2**31
        and count % 1 == 0
    ):
        config.max_retries = int(count)
    config.backoff_strategy = _number(
        pb.BackoffStrategy, "BACKOFF_STRATEGY_", str(stored.get("backoff_strategy"))
    )
    return config
