"""DiffGraph: the rows that differ, as encoded fields of the answer."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple
from uuid import UUID

from depgraph.v1 import history_service_pb2 as pb
from graphcore import EdgeFilter
from server.domain.dependencies import DependencyRow
from server.domain.history_changes import Named, Netted, States
from server.domain.records import KIND_BITS, flags_of
from server.domain.services import Service, ServiceAlias
from server.rpc.answers import tag
from server.rpc.history.messages import alias_change, dependency_change, service_change
from server.wire.columns import DISCOVERY_SOURCE
from server.wire.fields import field
from server.wire.history import Ends

_SERVICES = tag(pb.DiffGraphResponse, "services")
_DEPENDENCIES = tag(pb.DiffGraphResponse, "dependencies")
_ALIASES = tag(pb.DiffGraphResponse, "aliases")
_MISSING = Named("", "service")


def differing(found: Netted, edge_filter: EdgeFilter) -> Iterator[bytes]:
    """
    Encode what differs: services, then the dependencies that count, then aliases, each sorted.

    O(n log n); some 10 µs for each, which is done when it is asked for.
    """
    services = [states for states in found.services if states.before != states.after]
    for states in sorted(services, key=_service_name):
        yield field(_SERVICES, service_change(states))
    for change in sorted(_dependencies(found, edge_filter), key=_rank):
        yield field(_DEPENDENCIES, dependency_change(change.states, change.before, change.after))
    for alias, before, after in sorted(_aliases(found), key=lambda change: change[0]):
        yield field(_ALIASES, alias_change(alias, before, after))


def _service_name(states: States[Service]) -> str:
    row = states.after or states.before
    return "" if row is None else row.service_id


class _Dependency(NamedTuple):
    """A dependency that differs, and the names of its ends in both states."""

    states: States[DependencyRow]
    before: Ends
    after: Ends


def _dependencies(found: Netted, edge_filter: EdgeFilter) -> Iterator[_Dependency]:
    for states in found.dependencies:
        before, ends = _counted(states.before, found.named_before, edge_filter)
        after, ends_after = _counted(states.after, found.named_after, edge_filter)
        if before != after:
            yield _Dependency(States(before, after), ends, ends_after)


def _counted(
    row: DependencyRow | None, named: Mapping[UUID, Named], edge_filter: EdgeFilter
) -> tuple[DependencyRow | None, Ends]:
    """Return a row, and the names of its ends; None if it does not pass the filter."""
    if row is None:
        return None, ("", "")
    source, target = named.get(row.source, _MISSING), named.get(row.target, _MISSING)
    flags = flags_of(row)
    counts = flags is not None and edge_filter.passes(flags, row.confidence_score)
    if counts and edge_filter.excluded_kinds:
        kinds = KIND_BITS.get(source.kind, 0) | KIND_BITS.get(target.kind, 0)
        counts = not kinds & edge_filter.excluded_kinds
    return (row if counts else None), (source.name, target.name)


def _rank(change: _Dependency) -> tuple[str, str, int]:
    row, ends = change.states.after, change.after
    if row is None:
        row, ends = change.states.before, change.before
    return (*ends, 0 if row is None else DISCOVERY_SOURCE.number[row.discovery_source])


def _aliases(found: Netted) -> Iterator[tuple[str, str | None, str | None]]:
    for before, after in found.aliases:
        if before is not None and after is not None and before.alias == after.alias:
            if before.service_id != after.service_id:
                yield before.alias, _owner(before, found.named_before), _owner(after, found.named_after)
            continue
        # An alias that was renamed is another one.
        if before is not None:
            yield before.alias, _owner(before, found.named_before), None
        if after is not None:
            yield after.alias, None, _owner(after, found.named_after)


def _owner(row: ServiceAlias, named: Mapping[UUID, Named]) -> str:
    return named.get(row.service_id, _MISSING).name
