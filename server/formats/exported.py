"""
A whole graph as ``depgraph export json`` writes it: rows of the contract, one a line.

An object with ``services``, ``dependencies`` and ``aliases``. Rows have every field that a write
takes, so an import makes the same rows: whoever made them, stale ones too. Ids and the times of
creation and update are the database's own, and are left out.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message

from depgraph.v1.types_pb2 import Dependency, Service, ServiceAlias
from server.formats.documents import FormatError, json_document, kind_of
from server.formats.messages import read_message

MessageT = TypeVar("MessageT", bound=Message)

_OUTPUT_ONLY = ("id", "create_time", "update_time")
_LISTS = ("services", "dependencies", "aliases")


@dataclass(frozen=True, slots=True)
class GraphRows:
    """Rows of a graph, sorted by their names."""

    services: Sequence[Service]
    dependencies: Sequence[Dependency]
    aliases: Sequence[ServiceAlias]

    def __len__(self) -> int:
        return len(self.services) + len(self.dependencies) + len(self.aliases)


def exported_lines(rows: GraphRows) -> Iterator[str]:
    """Write a graph, a line for each row. O(rows)."""
    yield "{"
    yield from _list_lines("services", rows.services)
    yield "  ],"
    yield from _list_lines("dependencies", rows.dependencies)
    yield "  ],"
    yield from _list_lines("aliases", rows.aliases)
    yield "  ]"
    yield "}"


def is_exported(document: Any) -> bool:
    """Whether a JSON document is a graph in this format, rather than a report."""
    return isinstance(document, dict) and not {"services", "dependencies"}.isdisjoint(document)


def read_exported(raw: bytes) -> GraphRows:
    """Read a graph, plain or gzip; ``FormatError`` names the first entry that is wrong. O(size)."""
    document = json_document(raw)
    if not is_exported(document):
        raise FormatError(f'not an exported graph: expected "services", found {kind_of(document)}')
    if unknown := sorted(document.keys() - set(_LISTS)):
        raise FormatError(f"an exported graph has {', '.join(_LISTS)}, and no {', '.join(unknown)}")
    return GraphRows(
        _messages(document, "services", Service),
        _messages(document, "dependencies", Dependency),
        _messages(document, "aliases", ServiceAlias),
    )


def _list_lines(name: str, messages: Iterable[Message]) -> Iterator[str]:
    """Write a list, but for its end."""
    yield f'  "{name}": ['
    former = None
    for message in messages:
        if former is not None:
            yield f"    {former},"
        fields = MessageToDict(message, preserving_proto_field_name=True)
        for generated in _OUTPUT_ONLY:
            fields.pop(generated, None)
        former = json.dumps(fields, ensure_ascii=False)
    if former is not None:
        yield f"    {former}"


def _messages(document: dict[str, Any], name: str, kind: type[MessageT]) -> list[MessageT]:
    entries = document.get(name, [])
    if not isinstance(entries, list):
        raise FormatError(f"{name}: expected a list, found {kind_of(entries)}")
    return [read_message(f"{name}[{place}]", entry, kind) for place, entry in enumerate(entries)]
