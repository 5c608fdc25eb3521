"""Strongly connected components as records of answers, encoded once per change of a component, however often they are asked for."""

from collections.abc import Sequence

from graphcore import Component, DependencyGraph, UnknownServiceError, components
from server.domain.errors import ServiceNotFoundError
from server.rpc.answer_fields import (
    COMPONENT,
    COMPONENT_EDGE_COUNT,
    COMPONENT_FRESHNESS,
    COMPONENT_IS_CYCLE,
    COMPONENT_MEMBER,
    COMPONENT_SIZE,
    COMPONENTS_FRESHNESS,
    COMPONENTS_TOKEN,
    COMPONENTS_TOTAL,
)
from server.rpc.validate import shown
from server.wire.fields import field, varint


def component_answer(graph: DependencyGraph, service_id: str, freshness: bytes) -> bytes:
    """Write a ``GetComponentResponse``; ``freshness`` is the message, ready-made. Raises ``ServiceNotFoundError``."""
    try:
        found = components(graph).of(service_id)
    except UnknownServiceError:
        raise ServiceNotFoundError(f"no service named {shown(service_id)}", service_id=service_id) from None
    return component_record(found) + field(COMPONENT_FRESHNESS, freshness)


def components_answer(records: Sequence[bytes], token: str, total: int, freshness: bytes) -> bytes:
    """Write a ``ListComponentsResponse``; ``freshness`` is the message, ready-made."""
    return b"".join(
        (
            *records,
            field(COMPONENTS_TOKEN, token.encode()) if token else b"",
            COMPONENTS_TOTAL + varint(total) if total else b"",
            field(COMPONENTS_FRESHNESS, freshness),
        )
    )


def component_record(component: Component) -> bytes:
    """Write a component as a field of ``GetComponentResponse`` or ``ListComponentsResponse``. O(members) once, then O(1)."""
    memo = component.memo
    if isinstance(memo.whole, bytes):
        return memo.whole
    edge_count = component.edge_count
    record = field(
        COMPONENT,
        b"".join(
            (
                _members(component),
                COMPONENT_SIZE + varint(component.size),
                COMPONENT_EDGE_COUNT + varint(edge_count) if edge_count else b"",
                COMPONENT_IS_CYCLE if component.is_cycle else b"",
            )
        ),
    )
    memo.whole = record
    return record


def _members(component: Component) -> bytes:
    memo = component.memo
    if isinstance(memo.members, bytes):
        return memo.members
    members = b"".join([field(COMPONENT_MEMBER, name.encode()) for name in component.members])
    memo.members = members
    return members
