"""
The names that writers give, and what they stand for: a service, or an alias of one.

Whoever writes by names asks first, in the transaction that writes, which of them are aliases. What
another writer does meanwhile is found out by the statements that follow: the database refuses a
service with the name of an alias, and a service that is gone has no row. Then the transaction is
repeated, and ends as if one writer had come after the other.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from server.domain.aliases import Alias
from server.domain.dependencies import DependencyDraft
from server.domain.errors import (
    AliasAlreadyExistsError,
    FieldViolation,
    InvalidInputError,
    ServiceAlreadyExistsError,
)
from server.domain.reports import CalleePolicy, IngestBatch, IngestNode, ReportedEdge
from server.domain.services import ServiceDraft
from server.store import query
from server.store.failures import collided
from server.store.pool import Connection

_ALIAS = query("alias_get")
_RESOLVE = query("aliases_resolve_for_write")
_KNOWN = query("services_known")
# Fields that say with a word that nothing is known.
_UNKNOWN = {"communication_mode": "unknown", "criticality": "unknown"}

Item = TypeVar("Item", IngestNode, ReportedEdge, CalleePolicy)
Pair = TypeVar("Pair", DependencyDraft, ReportedEdge, CalleePolicy)


async def own_names(connection: Connection, names: Iterable[str]) -> dict[str, str]:
    """
    Map those of the names that are aliases to the own names of their services.

    They stay aliases of these services until the transaction ends. O(names), a fraction of a
    microsecond each while there are no aliases.
    """
    records = await connection.fetch(_RESOLVE, list(names))
    return {record["alias"]: record["service_id"] for record in records}


async def resolved_services(connection: Connection, drafts: Sequence[ServiceDraft]) -> Sequence[ServiceDraft]:
    """Give drafts the own names; raises ``InvalidInputError`` if two of them are of one service."""
    own = await own_names(connection, [draft.service_id for draft in drafts])
    if not own:
        return drafts
    resolved = [
        draft._replace(service_id=own[draft.service_id]) if draft.service_id in own else draft
        for draft in drafts
    ]
    _reject_same(
        (draft.service_id for draft in resolved), "services[{}].service_id", lambda key: f"names {key!r}"
    )
    return resolved


async def resolved_dependencies(
    connection: Connection, drafts: Sequence[DependencyDraft]
) -> Sequence[DependencyDraft]:
    """
    Give drafts the own names of their ends.

    Raises ``InvalidInputError`` for two of the same ends and discovery source, and for calls of a
    service to itself.
    """
    names = {name for draft in drafts for name in draft[:2]}
    own = await own_names(connection, names)
    if not own:
        return drafts
    # 10,000 rows take some hundredths of a second.
    return await asyncio.to_thread(_resolved, drafts, own)


def _resolved(drafts: Sequence[DependencyDraft], own: Mapping[str, str]) -> Sequence[DependencyDraft]:
    resolved = [_renamed(draft, own) for draft in drafts]
    _reject_self_calls(resolved, "dependencies")
    _reject_same((draft.key for draft in resolved), "dependencies[{}]", lambda key: f"is {' / '.join(key)}")
    return resolved


def _renamed(item: Pair, own: Mapping[str, str]) -> Pair:
    """Give the ends of a pair their own names; the same object if it has them."""
    source, target = item.source_service_id, item.target_service_id
    if source not in own and target not in own:
        return item
    return item._replace(
        source_service_id=own.get(source or "", source), target_service_id=own.get(target, target)
    )


def resolved_report(batch: IngestBatch, own: Mapping[str, str]) -> tuple[IngestBatch, tuple[str, ...]]:
    """
    Give the items of a report own names, and say in warnings what that changed. O(items).

    Of items that are of one service or pair by then, a later one replaces what it knows better, as
    if it were a later report. Calls of a service to itself are left out.
    """
    nodes = [
        node._replace(service_id=own[node.service_id]) if node.service_id in own else node
        for node in batch.nodes
    ]
    edges = [_renamed(edge, own) for edge in batch.edges]
    policies = [_renamed(policy, own) for policy in batch.policies]
    calls = [edge for edge in edges if edge.source_service_id != edge.target_service_id]
    resolved = replace(
        batch,
        nodes=_together(nodes, key_fields=1),
        edges=_together(calls, key_fields=2),
        policies=_together(policies, key_fields=2),
    )
    merged = len(nodes) - len(resolved.nodes) + len(calls) - len(resolved.edges)
    return resolved, (*_merged_by_alias(merged), *_self_calls(len(edges) - len(calls)))


def _together(items: Iterable[Item], *, key_fields: int) -> tuple[Item, ...]:
    """Make those items one that agree in their first fields."""
    found: dict[tuple[object, ...], Item] = {}
    for item in items:
        key = item[:key_fields]
        earlier = found.get(key)
        found[key] = item if earlier is None else _later(earlier, item)
    return tuple(found.values())


def _later(earlier: Item, later: Item) -> Item:
    """Keep what the later item does not know."""
    kept: dict[str, Any] = {
        name: before
        for name, before, after in zip(earlier._fields, earlier, later, strict=True)
        if before is not None and (after is None or after == _UNKNOWN.get(name))
    }
    return later._replace(**kept)


def _merged_by_alias(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    what = "1 node or edge was" if count == 1 else f"{count} nodes or edges were"
    return (f"{what} of the same services as another one, by an alias, and made one with it",)


def _self_calls(count: int) -> tuple[str, ...]:
    if not count:
        return ()
    what = "1 edge was a call" if count == 1 else f"{count} edges were calls"
    return (f"{what} of a service to itself, by an alias, and left out",)


def _reject_self_calls(drafts: Sequence[DependencyDraft], field: str) -> None:
    violations = [
        FieldViolation(
            f"{field}[{place}].target_service_id",
            f"names {draft.target_service_id!r}, as source_service_id does: a service can't depend on itself",
        )
        for place, draft in enumerate(drafts)
        if draft.source_service_id == draft.target_service_id
    ]
    if violations:
        first = violations[0]
        raise InvalidInputError(f"{first.field}: {first.description}", violations=violations)


def _reject_same(keys: Iterable[Hashable], field: str, what: Callable[..., str]) -> None:
    first: dict[Hashable, int] = {}
    violations = []
    for place, key in enumerate(keys):
        earlier = first.setdefault(key, place)
        if earlier != place:
            description = f"{what(key)}, as {field.format(earlier)} does: one of the names is an alias"
            violations.append(FieldViolation(field.format(place), description))
    if violations:
        raise InvalidInputError("the batch holds something twice: give each item once", violations=violations)


async def reject_alias(connection: Connection, field: str, name: str, remedy: str) -> None:
    """Raise ``InvalidInputError`` if the name is an alias; the metadata have the service's own."""
    record = await connection.fetchrow(_ALIAS, name)
    if record is not None:
        found = Alias._make(record)
        description = f"{name!r} is an alias of the service {found.service_id!r}: {remedy}"
        raise InvalidInputError(
            f"{field}: {description}",
            violations=[FieldViolation(field, description)],
            service_id=found.service_id,
        )


async def reject_alias_name(connection: Connection, name: str) -> None:
    """Raise ``AliasAlreadyExistsError`` if the name, which is to be a service's, is an alias."""
    if (record := await connection.fetchrow(_ALIAS, name)) is not None:
        raise alias_taken(Alias._make(record))


async def repeat_if_known(connection: Connection, names: Sequence[str]) -> None:
    """Have the transaction repeated if a service or an alias has one of the names by now."""
    if await connection.fetch(_KNOWN, names):
        raise collided()


async def name_taken(connection: Connection, name: str, remedy: str) -> ServiceAlreadyExistsError:
    """
    Make the error of a name that a service has already; ``remedy`` says what to do.

    Raises ``AliasAlreadyExistsError`` if it is an alias by now, ``WriteConflictError`` if neither.
    """
    await reject_alias_name(connection, name)
    if not await connection.fetch(_KNOWN, [name]):
        raise collided()
    return ServiceAlreadyExistsError(f"a service named {name!r} exists already: {remedy}", service_id=name)


def alias_taken(found: Alias) -> AliasAlreadyExistsError:
    """Make the error of a name that is an alias of another service."""
    return AliasAlreadyExistsError(
        f"{found.alias!r} is an alias of the service {found.service_id!r}: use that one, or remove the alias",
        service_id=found.service_id,
        alias=found.alias,
    )
