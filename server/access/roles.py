"""Which roles may call which methods: the one table of it."""

from collections.abc import Mapping

from server.domain.caller import ROLES, Caller, Role
from server.domain.dependencies import DiscoverySource
from server.domain.errors import PermissionDeniedError

_READ: frozenset[Role] = frozenset({"reader", "editor", "operator", "admin"})
_EDIT: frozenset[Role] = frozenset({"editor", "admin"})
_OPERATE: frozenset[Role] = frozenset({"operator", "admin"})
_INGEST: frozenset[Role] = frozenset({"ingester", "admin"})
_ANY: frozenset[Role] = frozenset(ROLES)
# Whoever is known may ask what it may do, even if that is nothing.
_NEEDS_NO_ROLE = frozenset({"/depgraph.v1.AccessService/WhoAmI"})

ROLES_OF_METHODS: Mapping[str, frozenset[Role]] = {
    "/depgraph.v1.AccessService/ListWrites": _READ,
    "/depgraph.v1.AccessService/WhoAmI": _ANY,
    "/depgraph.v1.AlertService/AcknowledgeAlert": _OPERATE,
    "/depgraph.v1.AlertService/CheckCycle": _READ,
    "/depgraph.v1.AlertService/CreateAlert": _OPERATE,
    "/depgraph.v1.AlertService/GetAlert": _READ,
    "/depgraph.v1.AlertService/ListAlertEvents": _READ,
    "/depgraph.v1.AlertService/ListAlerts": _READ,
    "/depgraph.v1.AlertService/ResolveAlert": _OPERATE,
    "/depgraph.v1.AnalysisService/AnalyzeImpact": _READ,
    "/depgraph.v1.AnalysisService/AuditPaths": _READ,
    "/depgraph.v1.AnalysisService/CheckChange": _READ,
    "/depgraph.v1.AnalysisService/FindPaths": _READ,
    "/depgraph.v1.AnalysisService/ListDrift": _READ,
    "/depgraph.v1.AnalysisService/SuggestCuts": _READ,
    "/depgraph.v1.CatalogService/AddAlias": _EDIT,
    "/depgraph.v1.CatalogService/BatchUpsertServices": _EDIT,
    "/depgraph.v1.CatalogService/CreateService": _EDIT,
    "/depgraph.v1.CatalogService/DeleteService": _EDIT,
    "/depgraph.v1.CatalogService/GetService": _READ,
    "/depgraph.v1.CatalogService/ListAliases": _READ,
    "/depgraph.v1.CatalogService/ListServices": _READ,
    "/depgraph.v1.CatalogService/MergeServices": _EDIT,
    "/depgraph.v1.CatalogService/RemoveAlias": _EDIT,
    "/depgraph.v1.CatalogService/SuggestAliases": _READ,
    "/depgraph.v1.CatalogService/UpdateService": _EDIT,
    "/depgraph.v1.DependencyService/BatchUpsertDependencies": _EDIT,
    "/depgraph.v1.DependencyService/DeleteDependency": _EDIT,
    "/depgraph.v1.DependencyService/GetDependency": _READ,
    "/depgraph.v1.DependencyService/IngestGraph": _INGEST,
    "/depgraph.v1.DependencyService/ListDependencies": _READ,
    "/depgraph.v1.DependencyService/ListSources": _READ,
    "/depgraph.v1.DependencyService/MarkStale": _EDIT,
    "/depgraph.v1.GraphService/BatchTraverse": _READ,
    "/depgraph.v1.GraphService/GetAdjacencyList": _READ,
    "/depgraph.v1.GraphService/GetComponent": _READ,
    "/depgraph.v1.GraphService/GetMap": _READ,
    "/depgraph.v1.GraphService/GetNeighbourhood": _READ,
    "/depgraph.v1.GraphService/GetStatus": _READ,
    "/depgraph.v1.GraphService/ListComponents": _READ,
    "/depgraph.v1.GraphService/SearchServices": _READ,
    "/depgraph.v1.GraphService/StreamTraverse": _READ,
    "/depgraph.v1.GraphService/Traverse": _READ,
    "/depgraph.v1.GraphService/Watch": _READ,
    "/depgraph.v1.HistoryService/DiffGraph": _READ,
    "/depgraph.v1.HistoryService/ListChanges": _READ,
    "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export": _INGEST,
}


def check_roles(method: str, roles: frozenset[Role]) -> None:
    """Raise ``PermissionDeniedError`` unless one of the roles may call the method, by full name."""
    if method in _NEEDS_NO_ROLE:
        return
    allowed = ROLES_OF_METHODS.get(method, frozenset())
    if not roles & allowed:
        needed = next((role for role in ROLES if role in allowed), "admin")
        raise PermissionDeniedError(f"{method.removeprefix('/')} needs the role {needed}", role=needed)


def check_source(caller: Caller, source: DiscoverySource) -> None:
    """Raise ``PermissionDeniedError`` unless the caller may report for a discovery source."""
    if source not in caller.discovery_sources:
        raise PermissionDeniedError(
            f"the caller may not report for the discovery source {source}", discovery_source=source
        )
