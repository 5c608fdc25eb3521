"""A service or a dependency in few words."""

from depgraph.v1.types_pb2 import (
    CommunicationMode,
    Criticality,
    DependencyCriticality,
    EffectiveDependency,
    Service,
    ServiceKind,
)
from server.web.mcp.answer import Cell, Name
from server.web.mcp.naming import quoted
from server.words import enum_word

SERVICE_COLUMNS = ("service", "kind", "criticality", "team")
CALL_COLUMNS = ("mode", "if_callee_fails", "protocol", "timeout_ms", "retries", "remarks")


def described(service: Service) -> str:
    """Say what a service is: ``checkout (service, critical, team purchase)``."""
    words = [
        enum_word(ServiceKind, service.kind),
        f"criticality {enum_word(Criticality, service.criticality)}",
    ]
    if service.HasField("team"):
        words.append(f"team {quoted(service.team)}")
    return f"{quoted(service.service_id)} ({', '.join(words)})"


def service_cells(service: Service) -> tuple[Cell, ...]:
    """Write ``SERVICE_COLUMNS``."""
    return (
        Name(service.service_id),
        enum_word(ServiceKind, service.kind),
        enum_word(Criticality, service.criticality),
        Name(service.team) if service.HasField("team") else None,
    )


def call_cells(call: EffectiveDependency) -> tuple[Cell, ...]:
    """Write ``CALL_COLUMNS``."""
    return (
        enum_word(CommunicationMode, call.communication_mode),
        enum_word(DependencyCriticality, call.criticality),
        Name(call.protocol) if call.HasField("protocol") else None,
        call.timeout_ms if call.HasField("timeout_ms") else None,
        call.retry_config.max_retries if call.HasField("retry_config") else None,
        _remarks(call),
    )


def _remarks(call: EffectiveDependency) -> str | None:
    """Name what makes a call doubtful."""
    words = ["stale"] if call.is_stale else []
    if call.confidence_score < 1:
        words.append(f"confidence {call.confidence_score:.2g}")
    return ", ".join(words) or None
