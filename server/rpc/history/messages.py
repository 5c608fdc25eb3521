"""Changes as messages: of services, dependencies and aliases."""

from depgraph.v1 import history_service_pb2 as pb
from server.domain.dependencies import DependencyRow
from server.domain.history_changes import States
from server.domain.services import Service
from server.rpc.answers import VARINT, tag
from server.wire.fields import field, varint
from server.wire.history import Ends, dependency_fields, past_dependency, past_service, service_fields

# The same numbers in ``DependencyChange``.
_KIND = tag(pb.ServiceChange, "kind", VARINT)
_BEFORE, _AFTER = tag(pb.ServiceChange, "before"), tag(pb.ServiceChange, "after")
_ADDED, _REMOVED, _CHANGED = (
    _KIND + varint(number)
    for number in (pb.CHANGE_KIND_ADDED, pb.CHANGE_KIND_REMOVED, pb.CHANGE_KIND_CHANGED)
)


def service_change(states: States[Service]) -> bytes:
    """Encode a ``ServiceChange``."""
    before, after = states
    former = b"" if before is None else field(_BEFORE, past_service(before))
    present = b"" if after is None else field(_AFTER, past_service(after))
    if before is None or after is None:
        return (_ADDED if before is None else _REMOVED) + former + present
    return _CHANGED + former + present + service_fields(before, after)


def dependency_change(states: States[DependencyRow], ends: Ends, ends_after: Ends) -> bytes:
    """Encode a ``DependencyChange`` with the names of the ends before and after."""
    before, after = states
    former = b"" if before is None else field(_BEFORE, past_dependency(before, ends))
    present = b"" if after is None else field(_AFTER, past_dependency(after, ends_after))
    if before is None or after is None:
        return (_ADDED if before is None else _REMOVED) + former + present
    return _CHANGED + former + present + dependency_fields(before, after, ends, ends_after)


def alias_change(alias: str, before: str | None, after: str | None) -> bytes:
    """Encode an ``AliasChange``: the services that the alias stood for; None = it was not there."""
    kind = pb.CHANGE_KIND_CHANGED
    if before is None or after is None:
        kind = pb.CHANGE_KIND_ADDED if before is None else pb.CHANGE_KIND_REMOVED
    message = pb.AliasChange(kind=kind, alias=alias, before=before or "", after=after or "")
    return message.SerializeToString()
