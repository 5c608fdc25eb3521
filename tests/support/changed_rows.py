"""Copies of the tables, and what differs between two of them, as dictionaries and messages."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import UUID

from google.protobuf.json_format import MessageToDict, ParseDict
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from depgraph.v1 import history_service_pb2 as pb
from depgraph.v1.types_pb2 import Dependency, Service

if TYPE_CHECKING:
    import asyncpg

Row = Mapping[str, Any]
Made = TypeVar("Made", bound=Message)

_TABLES = (
    "SELECT * FROM services",
    "SELECT *, COALESCE(reported_confidence, confidence_score) AS reported FROM service_dependencies",
    "SELECT * FROM service_aliases",
)
_ENUMS = {
    "services": {"criticality": "CRITICALITY", "kind": "SERVICE_KIND"},
    "dependencies": {
        "communication_mode": "COMMUNICATION_MODE",
        "criticality": "DEPENDENCY_CRITICALITY",
        "discovery_source": "DISCOVERY_SOURCE",
    },
}


@dataclass(frozen=True, slots=True)
class Tables:
    """The rows of all tables by id; a row has its columns by name."""

    services: dict[UUID, Row] = field(default_factory=dict)
    dependencies: dict[UUID, Row] = field(default_factory=dict)
    aliases: dict[UUID, Row] = field(default_factory=dict)

    @classmethod
    async def copied(cls, connection: "asyncpg.Connection[asyncpg.Record]") -> "Tables":
        """Copy them in one snapshot."""
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            return cls(*[_by_id(await connection.fetch(statement)) for statement in _TABLES])

    def service(self, key: UUID) -> Service | None:
        """Write a service as history shows it."""
        row = self.services.get(key)
        if row is None:
            return None
        values = _values(row, "services", ("service_id", "team", "discovered"))
        return _message(Service(), values | {"metadata": json.loads(row["metadata"])}, row)

    def dependency(self, key: UUID) -> Dependency | None:
        """Write a dependency as history shows it."""
        row = self.dependencies.get(key)
        if row is None:
            return None
        values = _values(row, "dependencies", ("protocol", "timeout_ms", "is_stale"))
        values["confidence_score"] = row["reported"]
        for end in ("source_service_id", "target_service_id"):
            values[end] = self.services[row[end]]["service_id"]
        if row["retry_config"] is not None:
            values["retry_config"] = _retries(json.loads(row["retry_config"]))
        return _message(Dependency(), values, row)

    def name(self, key: UUID) -> str:
        """Return the name of a service."""
        return str(self.services[key]["service_id"])


def _by_id(records: "list[asyncpg.Record]") -> dict[UUID, Row]:
    return {record["id"]: dict(record) for record in records}


def _values(row: Row, table: str, plain: tuple[str, ...]) -> dict[str, Any]:
    words = {name: f"{prefix}_{row[name].upper()}" for name, prefix in _ENUMS[table].items()}
    return words | {name: row[name] for name in plain}


def _retries(stored: Row) -> dict[str, Any]:
    return {
        "max_retries": stored["max_retries"],
        "backoff_strategy": f"BACKOFF_STRATEGY_{stored['backoff_strategy'].upper()}",
    }


def _message(made: Made, values: Row, row: Row) -> Made:
    known = {name: value for name, value in values.items() if value is not None}
    ParseDict(known | {"id": str(row["id"]), "create_time": _moment(row["created_at"])}, made)
    return made


def _moment(time: datetime) -> str:
    written = Timestamp()
    written.FromDatetime(time)
    return written.ToJsonString()


def service_change(before: Tables, after: Tables, key: UUID) -> pb.ServiceChange | None:
    """Say what became of a service; None = nothing."""
    former, present = before.service(key), after.service(key)
    if former == present:
        return None
    change = pb.ServiceChange(kind=_kind(former, present), before=former, after=present)
    if former is not None and present is not None:
        change.fields.extend(_fields(former, present, set()))
    return change


def dependency_change(before: Tables, after: Tables, key: UUID) -> pb.DependencyChange | None:
    """Say what became of a dependency; None = nothing: names of its ends do not count."""
    former, present = before.dependency(key), after.dependency(key)
    was, now = before.dependencies.get(key), after.dependencies.get(key)
    unchanged: set[str] = set()
    if was is not None and now is not None:
        unchanged = {end for end in ("source_service_id", "target_service_id") if was[end] == now[end]}
    change = pb.DependencyChange(kind=_kind(former, present), before=former, after=present)
    if former is not None and present is not None:
        change.fields.extend(_fields(former, present, unchanged))
        if not change.fields:
            return None
    return None if former is present else change


def alias_change(before: Tables, after: Tables, key: UUID) -> pb.AliasChange | None:
    """Say what became of an alias; None = nothing."""
    was, now = before.aliases.get(key), after.aliases.get(key)
    if was is not None and now is not None and was["service_id"] == now["service_id"]:
        return None
    row = now or was
    if row is None:
        return None
    return pb.AliasChange(
        kind=_kind(was, now),
        alias=row["alias"],
        before="" if was is None else before.name(was["service_id"]),
        after="" if now is None else after.name(now["service_id"]),
    )


def _kind(former: object | None, present: object | None) -> pb.ChangeKind.ValueType:
    if former is None:
        return pb.CHANGE_KIND_ADDED
    return pb.CHANGE_KIND_REMOVED if present is None else pb.CHANGE_KIND_CHANGED


def _fields(former: Message, present: Message, unchanged: set[str]) -> Iterator[pb.FieldChange]:
    old, new = (
        MessageToDict(each, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)
        for each in (former, present)
    )
    for described in former.DESCRIPTOR.fields:
        name = described.name
        if old.get(name) != new.get(name) and name not in unchanged:
            sides = {"before": old, "after": new}
            values = {side: _json(side_of[name]) for side, side_of in sides.items() if name in side_of}
            yield ParseDict({"field": name, **values}, pb.FieldChange())


def _json(value: Any) -> Any:
    """Spell inner fields as the JSON form of a message does."""
    if isinstance(value, dict) and "backoff_strategy" in value:
        return {"maxRetries": value["max_retries"], "backoffStrategy": value["backoff_strategy"]}
    return value
