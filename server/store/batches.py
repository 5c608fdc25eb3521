"""
Writes of many rows: ids for new rows, what is refused of any batch, and ingestion of reports.

A discovery source may correct what discovery made. What a person wrote stays, and the report gets a
warning.
"""

import os
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import Any

from server.domain.errors import FieldViolation, InvalidInputError
from server.domain.reports import IngestBatch, IngestNode, IngestResult, ReportedEdge
from server.domain.services import name_problem
from server.store import query
from server.store.failures import collided
from server.store.pool import Connection

_KNOWN = query("services_known")
_SIZE = 16
_DIGITS = 2 * _SIZE
_VERSION_BYTE, _VARIANT_BYTE = 6, 8
# What stays of the bytes that hold version 4 and the variant of RFC 9562.
_VERSIONS = bytes(byte & 0x0F | 0x40 for byte in range(256))
_VARIANTS = bytes(byte & 0x3F | 0x80 for byte in range(256))
_CREATE_SERVICES = query("ingest_create_services")
_UPDATE_SERVICES = query("ingest_update_services")
_EDGES = query("ingest_edges")
_RECORD = query("ingest_record")
_NAMES_IN_WARNING = 10


async def reject_bad_names(connection: Connection, named: Iterable[tuple[str, str]]) -> None:
    """
    Raise ``InvalidInputError`` when a new name breaks the rule of ``name_problem``.

    ``named`` pairs the path of a field with the name in it. Names that services have already pass;
    the database is asked only if a name breaks the rule.
    """
    problems = [
        (FieldViolation(path, problem), name)
        for path, name in named
        if (problem := name_problem(name)) is not None
    ]
    if not problems:
        return
    records = await connection.fetch(_KNOWN, [name for _, name in problems])
    known = {record["service_id"] for record in records}
    violations = [violation for violation, name in problems if name not in known]
    if violations:
        first = violations[0]
        others = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        raise InvalidInputError(f"{first.field}: {first.description}{others}", violations=violations)


def reject_repeats(keys: Iterable[Hashable], field: Callable[[int], str]) -> None:
    """
    Raise ``InvalidInputError`` that names each key given before, and where. O(items).

    ``field`` gives the path of an item by its position. One statement can't write a row twice, and
    the server does not guess which of the two counts.
    """
    keys = list(keys)
    if len(set(keys)) == len(keys):
        return
    first: dict[Hashable, int] = {}
    violations: list[FieldViolation] = []
    for place, key in enumerate(keys):
        earlier = first.setdefault(key, place)
        if earlier != place:
            named = " / ".join(key) if isinstance(key, tuple) else key
            violations.append(FieldViolation(field(place), f"{named} was given before, at {field(earlier)}"))
    if violations:
        raise InvalidInputError("the batch holds something twice: give each item once", violations=violations)


def columns(rows: Sequence[tuple[Any, ...]], kind: type[Any]) -> tuple[Sequence[Any], ...]:
    """Transpose named tuples of a kind, perhaps none, into a sequence for each field."""
    return tuple(zip(*rows, strict=True)) or ((),) * len(kind._fields)


def random_uuids(count: int) -> list[str]:
    """Make random UUIDs (version 4) as 32 hexadecimal digits each. O(count), 0.1 µs each."""
    noise = bytearray(os.urandom(_SIZE * count))
    noise[_VERSION_BYTE::_SIZE] = noise[_VERSION_BYTE::_SIZE].translate(_VERSIONS)
    noise[_VARIANT_BYTE::_SIZE] = noise[_VARIANT_BYTE::_SIZE].translate(_VARIANTS)
    digits = noise.hex()
    return [digits[start : start + _DIGITS] for start in range(0, len(digits), _DIGITS)]


def check_batch(batch: IngestBatch) -> None:
    """Raise ``InvalidInputError`` when a node or an edge comes twice."""
    reject_repeats((node.service_id for node in batch.nodes), lambda place: f"nodes[{place}].service_id")
    pairs = ((edge.source_service_id, edge.target_service_id) for edge in batch.edges)
    reject_repeats(pairs, lambda place: f"edges[{place}]")


async def ingest_batch(connection: Connection, batch: IngestBatch) -> IngestResult:
    """
    Write one report, in four statements of the caller's transaction. O(items log stored).

    Services that it names for the first time are created as discovered; what it knows of a
    discovered one replaces what is stored. Its edges are seen again and no longer stale; those
    observed after the report's time stay as they are.
    """
    named = list(names_in(batch))
    await reject_bad_names(connection, named)
    # Nothing is known of an end of an edge that is no node of the report.
    nodes = [*batch.nodes, *(IngestNode(name) for _, name in named[len(batch.nodes) :])]
    created = await connection.fetchval(
        _CREATE_SERVICES, *columns(nodes, IngestNode), random_uuids(len(nodes))
    )
    differing = []
    if batch.nodes:
        differing = await connection.fetch(_UPDATE_SERVICES, *columns(batch.nodes, IngestNode))
    kept = [record["service_id"] for record in differing if not record["discovered"]]
    given = columns(batch.edges, ReportedEdge)
    about = batch.discovery_source, batch.observed_at, random_uuids(len(batch.edges))
    edges = await connection.fetchrow(_EDGES, *given, *about)
    # A service that another writer deletes meanwhile takes its edges out of the statement's sight.
    if edges is None or edges["found"] != len(batch.edges):
        raise collided()
    await connection.execute(_RECORD, batch.discovery_source, batch.observed_at)
    return IngestResult(
        services_created=created,
        services_updated=len(differing) - len(kept),
        edges_created=edges["created"],
        edges_updated=edges["found"] - edges["created"] - edges["unchanged"],
        edges_unchanged=edges["unchanged"],
        warnings=(*_curated(kept), *_late(edges["late"])),
    )


def names_in(batch: IngestBatch) -> Iterator[tuple[str, str]]:
    """Yield each name of the report once, with the path of the field that holds it."""
    seen = {node.service_id for node in batch.nodes}
    for place, node in enumerate(batch.nodes):
        yield f"nodes[{place}].service_id", node.service_id
    for place, edge in enumerate(batch.edges):
        for end, name in (("source", edge.source_service_id), ("target", edge.target_service_id)):
            if name not in seen:
                seen.add(name)
                yield f"edges[{place}].{end}_service_id", name


def _curated(names: Sequence[str]) -> tuple[str, ...]:
    if not names:
        return ()
    if len(names) == 1:
        return (f"1 service was made by a person and keeps its values: {names[0]}",)
    listed = ", ".join(names[:_NAMES_IN_WARNING])
    rest = len(names) - _NAMES_IN_WARNING
    more = f" and {rest} more" if rest > 0 else ""
    return (f"{len(names)} services were made by a person and keep their values: {listed}{more}",)


def _late(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    what = "1 dependency was" if count == 1 else f"{count} dependencies were"
    return (f"{what} observed after the time of this report and left as before",)
