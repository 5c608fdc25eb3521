"""Strongly connected components as records of answers, encoded once per change of a component, however often they are asked for."""

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, islice

from graphcore import Component
from server.domain.alerts import MOST_MEMBERS
from server.domain.errors import ResponseTooLargeError
from server.rpc.answer_fields import (
    COMPONENT,
    COMPONENT_EDGE_COUNT,
    COMPONENT_FRESHNESS,
    COMPONENT_IS_CYCLE,
    COMPONENT_MEMBER,
    COMPONENT_SIZE,
    COMPONENT_TOKEN,
    COMPONENTS_FRESHNESS,
    COMPONENTS_TOKEN,
    COMPONENTS_TOTAL,
)
from server.rpc.paging import PAGE_OVERHEAD
from server.wire.fields import field, varint

# The tag and the length of a name.
_MEMBER_OVERHEAD_BYTES = 2


def component_answer(component: Component, freshness: bytes, max_bytes: int) -> bytes:
    """
    Write a ``GetComponentResponse`` of all members; ``freshness`` is the message, ready-made.

    Raises ``ResponseTooLargeError`` when it would take more than ``max_bytes``.
    """
    record = component_record(component) if _may_fit(component, max_bytes) else None
    if record is None or len(record) + len(freshness) > max_bytes:
        raise ResponseTooLargeError(
            f"the {component.size:,} members take more than the response limit of {max_bytes:,} bytes: ask for them page by page "
            "(page_size)",
            limit_bytes=str(max_bytes),
        )
    return record + field(COMPONENT_FRESHNESS, freshness)


def component_page(component: Component, size: int, after: str, max_bytes: int) -> tuple[bytes, str]:
    """
    Write at most ``size`` members that come after a name as a field of ``GetComponentResponse``, as far as they fit ``max_bytes``.

    Returns the last name that is not the last of all; empty = there are no more. O(log members + size).
    """
    first = bisect_right(component.members, after) if after else 0
    fields = [field(COMPONENT_MEMBER, name.encode()) for name in component.members[first : first + size]]
    room = max_bytes - PAGE_OVERHEAD
    # One fits any answer.
    fitting = max(1, sum(total <= room for total in accumulate(map(len, fields))))
    last = first + fitting - 1
    following = component.members[last] if last + 1 < component.size else ""
    return _record(component, b"".join(islice(fields, fitting))), following


def component_page_answer(record: bytes, token: str, freshness: bytes) -> bytes:
    """Write a ``GetComponentResponse`` of a page of members."""
    following = field(COMPONENT_TOKEN, token.encode()) if token else b""
    return record + field(COMPONENT_FRESHNESS, freshness) + following


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
    memo.whole = record = _record(component, _members(component))
    return record


def listed_record(component: Component, max_bytes: int) -> bytes:
    """Write it with its first ``MOST_MEMBERS`` members alone where all of them would not fit an answer."""
    room = max_bytes - PAGE_OVERHEAD
    if _may_fit(component, room) and len(record := component_record(component)) <= room:
        return record
    return component_page(component, MOST_MEMBERS, "", max_bytes)[0]


def _may_fit(component: Component, max_bytes: int) -> bool:
    """Tell without encoding anything that it can't: a character takes a byte at least. O(1) for what is encoded already."""
    if isinstance(component.memo.whole, bytes):
        return True
    least = component.size * _MEMBER_OVERHEAD_BYTES
    return least <= max_bytes and least + sum(map(len, component.members)) <= max_bytes


def _record(component: Component, members: bytes) -> bytes:
    edge_count = component.edge_count
    return field(
        COMPONENT,
        b"".join(
            (
                members,
                COMPONENT_SIZE + varint(component.size),
                COMPONENT_EDGE_COUNT + varint(edge_count) if edge_count else b"",
                COMPONENT_IS_CYCLE if component.is_cycle else b"",
            )
        ),
    )


def _members(component: Component) -> bytes:
    memo = component.memo
    if isinstance(memo.members, bytes):
        return memo.members
    members = b"".join([field(COMPONENT_MEMBER, name.encode()) for name in component.members])
    memo.members = members
    return members
