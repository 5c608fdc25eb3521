"""Which service a request is about, and what it changes of it."""

from typing import Literal, Protocol

from google.protobuf.field_mask_pb2 import FieldMask

from depgraph.v1 import types_pb2
from server.domain.services import ServiceChange, ServiceKey
from server.rpc.decode import SERVICE_COLUMNS, service_columns
from server.rpc.validate import Check, shown

_MOST_PATHS = 100


class KeyedRequest(Protocol):
    """A request that names a service by either of its keys."""

    service_id: str
    id: str

    def WhichOneof(self, oneof_group: Literal["key"], /) -> Literal["service_id", "id"] | None:  # noqa: N802 - protobuf's name
        """Tell which key is set."""


def service_key(check: Check, request: KeyedRequest) -> ServiceKey:
    """Read which service a request is about."""
    match request.WhichOneof("key"):
        case "id":
            return ServiceKey(id=check.uuid("id", request.id))
        case "service_id":
            return ServiceKey(service_id=check.text("service_id", request.service_id))
        case None:
            check.add("service_id", "is required; name the service by service_id or by id")
            return ServiceKey(service_id="")


def updated_key(check: Check, service: types_pb2.Service) -> ServiceKey:
    """Read which service an update is about: by id, or by name when that is empty."""
    if service.id:
        return ServiceKey(id=check.uuid("service.id", service.id))
    return ServiceKey(service_id=check.text("service.service_id", service.service_id))


def service_change(check: Check, service: types_pb2.Service, mask: FieldMask) -> ServiceChange:
    """Read an update: the columns that the mask names, or, for an empty mask, those that are set."""
    check.at_most("update_mask.paths", mask.paths, _MOST_PATHS, "make a mask")
    if not mask.paths:
        columns = _set_columns(service)
    elif "*" in mask.paths:
        columns = frozenset(SERVICE_COLUMNS)
    else:
        columns = frozenset(mask.paths)
    for position, path in enumerate(mask.paths):
        if path != "*" and path not in SERVICE_COLUMNS:
            check.add(
                f"update_mask.paths[{position}]",
                f"{shown(path)} is not one of *, {', '.join(SERVICE_COLUMNS)}",
            )
    return ServiceChange(
        columns=columns, draft=service_columns(check, "service", service, columns, service.service_id)
    )


def _set_columns(service: types_pb2.Service) -> frozenset[str]:
    is_set = {
        "metadata": service.HasField("metadata"),
        "criticality": bool(service.criticality),
        "team": service.HasField("team"),
        "discovered": service.discovered,
    }
    return frozenset(column for column, given in is_set.items() if given)
