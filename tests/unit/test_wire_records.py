"""Records of rows that are odd in some way, by example."""

import json
import sys
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from google.protobuf.json_format import MessageToDict

from depgraph.v1.types_pb2 import DISCOVERY_SOURCE_MANUAL
from server import wire
from server.domain.dependencies import DependencyRow
from server.domain.records import flags_of
from server.domain.services import Service
from server.wire.metadata import MAX_DEPTH, struct_bytes

NOW = datetime(2026, 3, 4, 5, 6, 7, 890123, tzinfo=UTC)
KEY = UUID("12345678-9abc-def0-1234-56789abcdef0")
SERVICE = Service(KEY, "checkout", "{}", "high", None, False, NOW, NOW)
EDGE = DependencyRow(KEY, KEY, KEY, "sync", "hard", None, None, None, "manual", 1.0, NOW, False, NOW, NOW)


def test_what_is_at_its_default_is_not_written() -> None:
    plain = wire.dependency_of(wire.dependency_record(EDGE, "a", "b"))
    assert [name.name for name, _ in plain.ListFields()] == [
        "id",
        "source_service_id",
        "target_service_id",
        "communication_mode",
        "criticality",
        "discovery_source",
        "confidence_score",
        "last_observed_time",
        "create_time",
        "update_time",
    ]


def test_zero_that_was_said_is_not_nothing_said() -> None:
    said = EDGE._replace(timeout_ms=0, confidence_score=0.0, protocol="", retry_config="{}")
    message = wire.dependency_of(wire.dependency_record(said, "a", "b"))
    assert [
        message.HasField(name) for name in ("timeout_ms", "confidence_score", "protocol", "retry_config")
    ] == [True] * 4
    assert wire.service_of(wire.service_record(SERVICE._replace(team=""))).HasField("team")
    assert not wire.service_of(wire.service_record(SERVICE)).HasField("team")


def test_an_end_that_is_not_known_has_no_name() -> None:
    record = wire.dependency_record(EDGE, "", "b")
    assert wire.dependency_ends(record) == ("", "b", DISCOVERY_SOURCE_MANUAL)
    assert wire.dependency_of(record).source_service_id == ""


def nested(depth: int, inmost: Any) -> Any:
    """Nest something in so many objects."""
    return {"x": nested(depth - 1, inmost)} if depth else inmost


@pytest.mark.parametrize(
    ("metadata", "shown"),
    [
        ("[1]", {}),
        ("3", {}),
        ("null", {}),
        (json.dumps(nested(60, 1)), nested(MAX_DEPTH, json.dumps(nested(60 - MAX_DEPTH, 1)))),
        ('{"x":' * 5_000 + "1" + "}" * 5_000, {}),
        ('{"n":' + "9" * 5_000 + "}", {"n": sys.float_info.max}),
    ],
    ids=["a list", "a number", "null", "deep", "too deep to read", "a huge number"],
)
def test_metadata_that_a_struct_cannot_hold_is_shown_as_far_as_it_goes(
    metadata: str, shown: dict[str, Any]
) -> None:
    row = SERVICE._replace(metadata=metadata)
    assert MessageToDict(wire.service_of(wire.service_record(row)).metadata) == shown


def test_the_keys_of_metadata_stay_in_the_order_that_postgresql_has_them_in() -> None:
    record = wire.service_record(SERVICE._replace(metadata='{"b": 1, "aa": 2, "ä": 3}'))
    assert record.index(b"b") < record.index(b"aa") < record.index("ä".encode())


def test_large_metadata_is_encoded_whole() -> None:
    row = SERVICE._replace(metadata='{"text": "' + "x" * 3_000_000 + '"}')
    message = wire.service_of(wire.service_record(row))
    assert message.metadata["text"] == "x" * 3_000_000


def test_short_metadata_is_encoded_once_and_long_metadata_each_time() -> None:
    short, long = '{"tier": 1}', '{"text": "' + "x" * 600 + '"}'
    assert struct_bytes(short) is struct_bytes(short)
    assert struct_bytes(long) == struct_bytes(long)
    assert struct_bytes(long) is not struct_bytes(long)


@pytest.mark.parametrize("column", ["communication_mode", "criticality", "discovery_source"])
def test_a_word_without_meaning_has_no_flags(column: str) -> None:
    odd: Any = {column: "hard" if column != "criticality" else "sync"}
    assert flags_of(EDGE) is not None
    assert flags_of(EDGE._replace(**odd)) is None
