"""What became of a service, dependency or alias: ``+`` came, ``-`` went, ``~`` changed."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeAlias

from depgraph.v1.history_service_pb2 import (
    CHANGE_KIND_ADDED,
    CHANGE_KIND_CHANGED,
    CHANGE_KIND_REMOVED,
    AliasChange,
    Change,
    DependencyChange,
    FieldChange,
    ServiceChange,
)
from depgraph.v1.types_pb2 import Dependency, DiscoverySource, Service
from server.cli.render.labels import MANUAL, call_label, dependency_label, service_label
from server.cli.render.text import enum_word, visible
from server.field_changes import Json, differences

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

AnyChange: TypeAlias = ServiceChange | DependencyChange | AliasChange

LONGEST_VALUE = 60
_SIGNS = {CHANGE_KIND_ADDED: "+", CHANGE_KIND_REMOVED: "-", CHANGE_KIND_CHANGED: "~"}


def change_cells(change: AnyChange) -> tuple[str, str]:
    """Write a change in two cells: what it is of, with its sign, and what became of it."""
    sign = _SIGNS.get(change.kind, "?")
    if isinstance(change, AliasChange):
        return f"{sign} {visible(change.alias)}", _alias(change)
    if isinstance(change, ServiceChange):
        service = change.after if change.HasField("after") else change.before
        what = fields_label(change.fields, Service.DESCRIPTOR) or service_label(service)
        return f"{sign} {visible(service.service_id)}", what
    row = change.after if change.HasField("after") else change.before
    what = fields_label(change.fields, Dependency.DESCRIPTOR)
    if what and row.discovery_source != MANUAL:
        what += f" ({enum_word(DiscoverySource, row.discovery_source)})"
    named = call_label(row.source_service_id, row.target_service_id)
    return f"{sign} {named}", what or dependency_label([row])


def change_label(change: Change) -> str:
    """Write a single change in one text, with the kind of its subject where that is no name."""
    subject: AnyChange = getattr(change, change.WhichOneof("subject") or "service")
    name, what = change_cells(subject)
    if isinstance(subject, AliasChange):
        name = f"{name[:2]}alias {name[2:]}"
    return f"{name}  {what}"


def fields_label(fields: Sequence[FieldChange], descriptor: "Descriptor") -> str:
    """Write which fields have other values: ``timeout_ms: 300 → 3,000, retry_config.…``."""
    return ", ".join(
        f"{'.'.join(map(visible, each.path))}: {_value(each.before)} → {_value(each.after)}"
        for each in differences(fields, descriptor)
    )


def _alias(change: AliasChange) -> str:
    if change.kind == CHANGE_KIND_CHANGED:
        return f"{visible(change.before)} → {visible(change.after)}"
    return visible(change.after or change.before)


def _value(value: Json) -> str:
    """Write a value of JSON as people do."""
    if value is None:
        return "unset"
    if isinstance(value, float):
        return f"{value:,.0f}" if value.is_integer() else f"{value:g}"
    text = visible(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 1]}…"
