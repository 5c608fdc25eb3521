"""Rows as messages; messages written back give the same rows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from depgraph.v1 import alert_service_pb2 as alert_pb
from depgraph.v1 import types_pb2 as pb
from depgraph.v1.dependency_service_pb2 import BatchUpsertDependenciesResponse
from server import wire
from server.domain.alerts import (
    ALERT_EVENT_KINDS,
    ALERT_STATUSES,
    Alert,
    AlertEvent,
    AlertEventKind,
    AlertStatus,
)
from server.domain.dependencies import (
    BACKOFF_STRATEGIES,
    COMMUNICATION_MODES,
    DEPENDENCY_CRITICALITIES,
    DISCOVERY_SOURCES,
    Dependency,
    DependencyRow,
)
from server.domain.live_graph import Freshness
from server.domain.ports import Upserted, Written
from server.domain.services import SERVICE_CRITICALITIES, SERVICE_KINDS, Service
from server.rpc.alert import alert_message, event_message
from server.rpc.answers import freshness_message, timestamp
from server.rpc.catalog import service_draft, service_message
from server.rpc.dependency.drafts import dependency_draft, dependency_message, upserted_dependencies
from server.rpc.validate import Check
from server.wire.metadata import retry_config

# PostgreSQL's driver sends the outermost moments as infinity, so no row has them.
FIRST, LAST = datetime(1, 1, 1, microsecond=1), datetime(9999, 12, 31, 23, 59, 59, 999_998)  # noqa: DTZ001 - hypothesis adds the zone
moments = st.datetimes(FIRST, LAST, timezones=st.just(UTC))
names = st.text(st.characters(blacklist_characters="\0", blacklist_categories=["Cs"]), min_size=1, max_size=9)

services = st.builds(
    Service,
    id=st.uuids(),
    service_id=names,
    metadata=st.dictionaries(names, st.integers(-(2**53), 2**53)).map(json.dumps),
    criticality=st.sampled_from(SERVICE_CRITICALITIES),
    team=st.none() | names,
    discovered=st.booleans(),
    kind=st.sampled_from(SERVICE_KINDS),
    created_at=moments,
    updated_at=moments,
)
retry_configs = st.fixed_dictionaries(
    {"max_retries": st.integers(0, 100), "backoff_strategy": st.sampled_from(BACKOFF_STRATEGIES)}
).map(json.dumps)
dependencies = st.builds(
    Dependency,
    id=st.uuids(),
    source_service_id=names.map(lambda name: "s" + name[:8]),
    target_service_id=names.map(lambda name: "t" + name[:8]),
    communication_mode=st.sampled_from(COMMUNICATION_MODES),
    criticality=st.sampled_from(DEPENDENCY_CRITICALITIES),
    protocol=st.none() | names,
    timeout_ms=st.none() | st.integers(1, 2**31 - 1),
    retry_config=st.none() | retry_configs,
    discovery_source=st.sampled_from(DISCOVERY_SOURCES),
    confidence_score=st.floats(0, 1),
    last_observed_at=moments,
    is_stale=st.booleans(),
    created_at=moments,
    updated_at=moments,
)
NOW = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)


@given(services)
def test_writing_back_a_service_message_stores_the_same_row(row: Service) -> None:
    check = Check()
    draft = service_draft(check, service_message(row))
    check.done()
    assert json.loads(draft.metadata) == json.loads(row.metadata)
    assert (draft.service_id, draft.criticality, draft.team, draft.discovered, draft.kind) == (
        row.service_id,
        row.criticality,
        row.team,
        row.discovered,
        row.kind,
    )


@given(services)
def test_a_service_shows_its_id_and_times(row: Service) -> None:
    message = service_message(row)
    assert message.id == str(row.id)
    assert message.create_time.ToDatetime(tzinfo=UTC) == row.created_at
    assert message.update_time.ToDatetime(tzinfo=UTC) == row.updated_at


@given(dependencies)
def test_writing_back_a_dependency_message_stores_the_same_row(row: Dependency) -> None:
    check = Check()
    draft = dependency_draft(check, dependency_message(row))
    check.done()
    written = {key: value for key, value in draft._asdict().items() if key != "retry_config"}
    assert written == {key: value for key, value in row._asdict().items() if key in written}
    assert json.loads(draft.retry_config or "null") == json.loads(row.retry_config or "null")


@given(dependencies)
def test_the_record_in_memory_equals_the_message_of_the_row(row: Dependency) -> None:
    in_memory = DependencyRow(row.id, uuid4(), uuid4(), *row[3:])
    record = wire.dependency_record(in_memory, row.source_service_id, row.target_service_id)
    assert wire.dependency_of(record) == dependency_message(row)


def test_a_minimal_dependency_gets_the_defaults() -> None:
    check = Check()
    message = pb.Dependency(source_service_id="a", target_service_id="b", communication_mode=2)  # type: ignore[arg-type] # the number of ASYNC
    draft = dependency_draft(check, message)
    check.done()
    assert draft._asdict() == {
        "source_service_id": "a",
        "target_service_id": "b",
        "communication_mode": "async",
        "criticality": "hard",
        "protocol": None,
        "timeout_ms": None,
        "retry_config": None,
        "discovery_source": "manual",
        "confidence_score": 1.0,
        "last_observed_at": None,
        "is_stale": False,
    }


def test_an_empty_retry_configuration_means_three_exponential_retries() -> None:
    check = Check()
    message = ParseDict(
        {
            "source_service_id": "a",
            "target_service_id": "b",
            "communication_mode": "COMMUNICATION_MODE_SYNC",
            "retry_config": {},
        },
        pb.Dependency(),
    )
    draft = dependency_draft(check, message)
    check.done()
    assert json.loads(draft.retry_config or "") == {"max_retries": 3, "backoff_strategy": "exponential"}


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ('{"max_retries": 0}', {"max_retries": 0}),
        ('{"max_retries": "many", "backoff_strategy": 3}', {}),
        (
            '{"max_retries": true, "backoff_strategy": "linear"}',
            {"backoff_strategy": "BACKOFF_STRATEGY_LINEAR"},
        ),
        ('{"max_retries": 1e99, "backoff_strategy": "fibonacci"}', {}),
        ('{"max_retries": 99999999999}', {}),
        ('{"max_retries": 3.0}', {"max_retries": 3}),
        ('{"max_retries": 2.5}', {}),
        ('{"max_retries": 1' + "0" * 5_000 + "}", {}),
        ('{"a":' * 5_000 + "1" + "}" * 5_000, {}),
        ("[]", {}),
        ("null", {}),
    ],
)
def test_any_retry_configuration_that_sql_stored_can_be_shown(stored: str, shown: dict[str, Any]) -> None:
    config = retry_config(stored)
    assert MessageToDict(config, preserving_proto_field_name=True) == shown


@pytest.mark.parametrize("status", ALERT_STATUSES)
def test_an_alert_message_has_status_notes_and_acknowledger(status: AlertStatus) -> None:
    row = Alert(uuid4(), ("a", "b"), status, "ann", None, NOW, 3, True, False, LATER, ("a", "b", "c"))
    message = alert_message(row)
    assert (list(message.cycle_path), message.acknowledged_by) == (["a", "b"], "ann")
    assert (list(message.members), message.size) == (["a", "b", "c"], 3)
    assert (message.detected, message.is_present) == (True, False)
    assert message.update_time.ToDatetime(tzinfo=UTC) == LATER
    assert pb.AlertStatus.Name(message.status) == f"ALERT_STATUS_{status.upper()}"
    assert not message.HasField("resolution_notes")
    assert message.detect_time.ToDatetime(tzinfo=UTC) == NOW


@pytest.mark.parametrize("kind", ALERT_EVENT_KINDS)
def test_an_alert_event_has_the_status_after_it(kind: AlertEventKind) -> None:
    message = event_message(AlertEvent(7, kind, NOW, None, "why", "resolved", ("a", "b"), 3))
    assert alert_pb.AlertEventKind.Name(message.kind) == f"ALERT_EVENT_KIND_{kind.upper()}"
    assert not message.HasField("actor")
    assert (message.note, message.status) == ("why", pb.ALERT_STATUS_RESOLVED)
    assert (list(message.cycle_path), message.size) == (["a", "b"], 3)
    assert message.event_time.ToDatetime(tzinfo=UTC) == NOW


@given(st.timedeltas(timedelta(0), timedelta(days=10_000)))
def test_freshness_has_revision_and_lag(lag: timedelta) -> None:
    message = pb.Freshness.FromString(freshness_message(Freshness("token", lag)))
    assert (message.revision, message.lag.ToTimedelta()) == ("token", lag)


@given(moments)
def test_times_are_written_as_protobuf_writes_them(moment: datetime) -> None:
    expected = Timestamp()
    expected.FromDatetime(moment)
    assert timestamp(moment) == expected


def test_empty_metadata_is_shown_as_an_empty_object() -> None:
    row = Service(uuid4(), "a", "{}", "low", None, False, NOW, NOW)
    assert service_message(row).HasField("metadata")
    assert service_message(row).metadata == Struct()


@given(st.lists(dependencies, max_size=3), st.integers(0, 3), names)
def test_an_upsert_answer_has_the_bytes_of_the_generated_code(
    rows: list[Dependency], created: int, revision: str
) -> None:
    answer = upserted_dependencies(Written(Upserted(tuple(rows), min(created, len(rows))), revision))
    expected = BatchUpsertDependenciesResponse(
        dependencies=[dependency_message(row) for row in rows],
        created_count=min(created, len(rows)),
        updated_count=len(rows) - min(created, len(rows)),
        revision=revision,
    )
    assert answer == expected.SerializeToString()


def test_freshness_of_the_past_has_the_time_of_its_mark_and_no_lag() -> None:
    for approximate in (False, True):
        past = Freshness("token", timedelta(0), NOW, approximate=approximate)
        message = pb.Freshness.FromString(freshness_message(past))
        assert (message.revision, message.approximate) == ("token", approximate)
        assert message.as_of_time.ToDatetime(tzinfo=UTC) == NOW
        assert not message.HasField("lag")
