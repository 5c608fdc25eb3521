"""A graph for other programs: CSV for spreadsheets, GraphML for yEd, Gephi and networkx."""

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, TypeAlias
from xml.sax.saxutils import escape, quoteattr

from depgraph.v1.types_pb2 import (
    BackoffStrategy,
    CommunicationMode,
    Criticality,
    Dependency,
    DependencyCriticality,
    DiscoverySource,
    Service,
    ServiceKind,
)
from server.cli.render.text import enum_word, visible
from server.formats.exported import GraphRows
from server.words import ValueT

if TYPE_CHECKING:
    from google.protobuf.internal.enum_type_wrapper import _EnumTypeWrapper

_TYPES: Mapping[type, str] = {str: "string", int: "long", float: "double", bool: "boolean"}
Value: TypeAlias = str | float | bool | None
Values: TypeAlias = dict[str, Value]


def service_values(row: Service) -> Values:
    """Return the columns of a service; None = not known."""
    return {
        "service_id": row.service_id,
        "kind": _word(ServiceKind, row.kind),
        "criticality": _word(Criticality, row.criticality),
        "team": row.team if row.HasField("team") else None,
        "discovered": row.discovered,
        "create_time": row.create_time.ToJsonString(),
        "update_time": row.update_time.ToJsonString(),
    }


def dependency_values(row: Dependency) -> Values:
    """Return the columns of a dependency; None = not known."""
    retries = row.retry_config if row.HasField("retry_config") else None
    return {
        "source_service_id": row.source_service_id,
        "target_service_id": row.target_service_id,
        "discovery_source": _word(DiscoverySource, row.discovery_source),
        "communication_mode": _word(CommunicationMode, row.communication_mode),
        "criticality": _word(DependencyCriticality, row.criticality),
        "protocol": row.protocol if row.HasField("protocol") else None,
        "timeout_ms": row.timeout_ms if row.HasField("timeout_ms") else None,
        "max_retries": None if retries is None else retries.max_retries,
        "backoff_strategy": None if retries is None else _word(BackoffStrategy, retries.backoff_strategy),
        "confidence_score": row.confidence_score,
        "last_observed_time": row.last_observed_time.ToJsonString(),
        "is_stale": row.is_stale,
        "create_time": row.create_time.ToJsonString(),
        "update_time": row.update_time.ToJsonString(),
    }


def csv_lines(rows: GraphRows, table: str) -> Iterator[str]:
    """
    Write the services or the dependencies as CSV (RFC 4180), with a line of heads. O(rows).

    Empty = not known. Names are written as they are: a program that takes cells for formulas must
    be asked to import text.
    """
    if table == "dependencies":
        yield _csv_line(dependency_values(Dependency()))
        yield from (_csv_line(dependency_values(row).values()) for row in rows.dependencies)
    else:
        yield _csv_line(service_values(Service()))
        yield from (_csv_line(service_values(row).values()) for row in rows.services)


def graphml_lines(rows: GraphRows) -> Iterator[str]:
    """
    Write a directed graph: names of services are the ids of nodes, columns the attributes.

    Parallel edges are those of several discovery sources. Characters that XML lacks are escaped.
    O(rows).
    """
    yield '<?xml version="1.0" encoding="UTF-8"?>'
    yield '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
    nodes, edges = service_values(Service()), dependency_values(Dependency())
    for side, columns in (("node", nodes), ("edge", edges)):
        for name in _attributes(columns):
            kind = _TYPES[_KINDS.get(name, str)]
            yield f'  <key id="{side}_{name}" for="{side}" attr.name="{name}" attr.type="{kind}"/>'
    yield '  <graph edgedefault="directed">'
    for service in rows.services:
        yield f"    <node id={_quoted(service.service_id)}>{_data('node', service_values(service))}</node>"
    for each in rows.dependencies:
        ends = f"source={_quoted(each.source_service_id)} target={_quoted(each.target_service_id)}"
        yield f"    <edge {ends}>{_data('edge', dependency_values(each))}</edge>"
    yield "  </graph>"
    yield "</graphml>"


_KINDS: Mapping[str, type] = {
    "discovered": bool,
    "is_stale": bool,
    "timeout_ms": int,
    "max_retries": int,
    "confidence_score": float,
}
_NAMES = frozenset(["service_id", "source_service_id", "target_service_id"])


def _attributes(columns: Values) -> list[str]:
    return [name for name in columns if name not in _NAMES]


def _data(side: str, columns: Values) -> str:
    return "".join(
        f'<data key="{side}_{name}">{_text(columns[name])}</data>'
        for name in _attributes(columns)
        if columns[name] is not None
    )


def _text(value: Value) -> str:
    return escape(visible(_plain(value)))


def _quoted(name: str) -> str:
    return quoteattr(visible(name))


def _word(enum: "_EnumTypeWrapper[ValueT]", value: ValueT) -> str:
    return enum_word(enum, value).replace(" ", "_")


def _csv_line(cells: Iterable[Value]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(_plain(cell) for cell in cells)
    return line.getvalue()


def _plain(value: Value) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
