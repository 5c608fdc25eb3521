"""A company of 1,200 services: a component of 358 that takes 119 cuts, a hub of 800 callers."""

from typing import Any

COMPONENT, SERVICES, CALLERS = 358, 1_200, 800
CUTS = (COMPONENT - 1) // 3
HUB = "platform-configuration-service"


def member(number: int) -> str:
    """Name a service of the component."""
    return f"order-management-{number:03}"


def company() -> dict[str, Any]:
    """Build a report in the json format of ``depgraph import``."""
    rest = [f"back-office-{number:03}" for number in range(SERVICES - COMPONENT - 1)]
    ring = [(member(number), member(number + 1)) for number in range(COMPONENT - 1)]
    # Each closes a cycle of its own, which shares one service with the next.
    back = [(member(number + 3), member(number)) for number in range(0, COMPONENT - 3, 3)]
    hub = [(name, HUB) for name in [member(0), *rest[: CALLERS - 1]]]
    edges = [edge(*pair) for pair in (*ring, *hub)] + [edge(*pair, "SOFT") for pair in back]
    nodes = [{"service_id": name, "team": "back office"} for name in rest]
    return {"discovery_source": "DISCOVERY_SOURCE_MANUAL", "nodes": nodes, "edges": edges}


def edge(source: str, target: str, criticality: str = "HARD") -> dict[str, Any]:
    """Describe a synchronous call."""
    return {
        "source_service_id": source,
        "target_service_id": target,
        "communication_mode": "COMMUNICATION_MODE_SYNC",
        "criticality": f"DEPENDENCY_CRITICALITY_{criticality}",
        "protocol": "grpc",
        "timeout_ms": 1_500,
    }
