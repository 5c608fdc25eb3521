"""
Reports of discovery sources: what one may change, and how it is written.

A field that a report leaves out keeps its value; a known value replaces an unknown or an older one;
what stays the same is not written. What a person wrote of a service stays, and the report gets a
warning.
"""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from server.domain.reports import CalleePolicy, IngestBatch, IngestNode, IngestResult, ReportedEdge
from server.store import query
from server.store.batches import columns, random_uuids, reject_bad_names, reject_repeats
from server.store.failures import collided
from server.store.names import own_names, resolved_report
from server.store.pool import Connection
from server.store.reporters import note_failure, note_report

_CREATE_SERVICES = query("ingest_create_services")
_UPDATE_SERVICES = query("ingest_update_services")
_EDGES = query("ingest_edges")
_POLICY_PAIRS = query("ingest_policy_pairs")
_RECORD = query("ingest_record")
_NAMES_IN_WARNING = 10


class _Edges(NamedTuple):
    """How many edges were written, and why; ``late`` ones count as unchanged."""

    created: int = 0
    updated: int = 0
    renewed: int = 0
    late: int = 0
    unchanged: int = 0


def check_batch(batch: IngestBatch) -> None:
    """Raise ``InvalidInputError`` when a node, an edge or a policy comes twice."""
    reject_repeats((node.service_id for node in batch.nodes), lambda place: f"nodes[{place}].service_id")
    reject_repeats((edge[:2] for edge in batch.edges), lambda place: f"edges[{place}]")
    reject_repeats((policy[:2] for policy in batch.policies), lambda place: f"policies[{place}]")


async def ingest_report(connection: Connection, batch: IngestBatch) -> IngestResult:
    """
    Write one report as ``ingest_batch`` does, with own names in place of aliases, and note it.

    Of a report that failed, only that is noted.
    """
    if batch.details.error:
        await note_failure(connection, batch)
        return IngestResult()
    result = await _ingest_named(connection, batch)
    await note_report(connection, batch, result)
    return result


async def _ingest_named(connection: Connection, batch: IngestBatch) -> IngestResult:
    names = {node.service_id for node in batch.nodes}
    names.update(name for edge in batch.edges for name in edge[:2])
    names.update(name for policy in batch.policies for name in policy[:2] if name is not None)
    own = await own_names(connection, names)
    if not own:
        return await ingest_batch(connection, batch)
    # With the fields as given: merging moves items to other places.
    await reject_bad_names(connection, _names(batch))
    # 10,000 items take a tenth of a second.
    resolved, warnings = await asyncio.to_thread(resolved_report, batch, own)
    result = await ingest_batch(connection, resolved)
    return replace(result, warnings=(*result.warnings, *warnings))


async def ingest_batch(connection: Connection, batch: IngestBatch) -> IngestResult:
    """
    Write one report, in a handful of statements of the caller's transaction. O(items log stored).

    Services that it names for the first time are created as discovered. ``batch.granularity`` is
    taken as it is.
    """
    named = list(_names(batch))
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
    edges = await _write_edges(connection, batch, batch.edges)
    treated, unused = _Edges(), 0
    if batch.policies:
        pairs, unused = await _pairs(connection, batch)
        treated = await _write_edges(connection, batch, pairs)
    await connection.execute(_RECORD, batch.discovery_source, batch.observed_at)
    return IngestResult(
        services_created=created,
        services_updated=len(differing) - len(kept),
        edges_created=edges.created + treated.created,
        edges_updated=edges.updated + treated.updated,
        edges_unchanged=edges.unchanged + treated.unchanged,
        observations_renewed=edges.renewed + treated.renewed,
        warnings=(*_curated(kept), *_late(edges.late + treated.late), *_unused(unused)),
    )


async def _write_edges(connection: Connection, batch: IngestBatch, edges: Sequence[ReportedEdge]) -> _Edges:
    given = columns(edges, ReportedEdge)
    about = batch.discovery_source, batch.observed_at, random_uuids(len(edges)), batch.granularity
    record = await connection.fetchrow(_EDGES, *given, *about)
    # A service that another writer deletes meanwhile takes its edges out of the statement's sight.
    # An edge that another writer makes or deletes meanwhile was compared with what is not there.
    if record is None or record["found"] != len(edges) or record["missed"]:
        raise collided()
    created, updated = record["created"], record["updated"]
    return _Edges(created, updated, record["renewed"], record["late"], len(edges) - created - updated)


async def _pairs(connection: Connection, batch: IngestBatch) -> tuple[list[ReportedEdge], int]:
    """Find the pairs that policies apply to; also returns how many policies apply to none."""
    about = batch.discovery_source, batch.observed_at, batch.granularity
    records = await connection.fetch(_POLICY_PAIRS, *columns(batch.policies, CalleePolicy), *about)
    pairs = [
        ReportedEdge(
            record["source_name"],
            record["target_name"],
            communication_mode=record["communication_mode"],
            criticality="unknown",
            timeout_ms=record["timeout_ms"],
            retry_config=record["retry_config"],
            confidence_score=record["confidence_score"],
        )
        for record in records
    ]
    return pairs, len(batch.policies) - len({record["place"] for record in records})


def _names(batch: IngestBatch) -> Iterator[tuple[str, str]]:
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


def _unused(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    what = "1 policy applies" if count == 1 else f"{count} policies apply"
    return (f"{what} to no dependency",)
