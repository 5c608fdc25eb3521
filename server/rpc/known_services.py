"""Services that a question names, which have to be there."""

from graphcore import DependencyGraph
from server.domain.errors import ServiceNotFoundError
from server.rpc.validate import shown


def require_services(graph: DependencyGraph, *names: str) -> None:
    """Raise ``ServiceNotFoundError`` that tells of each name that no service has."""
    missing = [name for name in names if not graph.has_service(name)]
    if missing:
        told = " and ".join(map(shown, missing))
        raise ServiceNotFoundError(
            f"no service{'s' * (len(missing) > 1)} named {told}", service_id=missing[0]
        )
