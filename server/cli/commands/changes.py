"""What happened to a graph, in words: one line a change."""

from collections.abc import Iterator

from depgraph.v1.graph_service_pb2 import WATCH_EVENT_RESET, RemovedDependency, RemovedService, WatchResponse
from depgraph.v1.types_pb2 import Criticality, Dependency, DiscoverySource, Service
from server.cli.render.labels import label
from server.cli.render.text import counted, visible


def change_lines(batch: WatchResponse, *, with_state: bool) -> Iterator[str]:
    """Tell a batch: ``+`` is there now, new or changed; ``-`` is gone; ``=`` all begins anew, listed only ``with_state``."""
    if batch.event == WATCH_EVENT_RESET:
        yield (
            f"= the whole graph: {counted(len(batch.upserted_services), 'service')}, "
            f"{counted(len(batch.upserted_dependencies), 'dependency', 'dependencies')}"
        )
        if not with_state:
            return
    yield from map(_gone_dependency, batch.removed_dependencies)
    yield from map(_gone_service, batch.removed_services)
    yield from map(_service, batch.upserted_services)
    yield from map(_dependency, batch.upserted_dependencies)


def _service(row: Service) -> str:
    words = [Criticality.Name(row.criticality).removeprefix("CRITICALITY_").lower()]
    if row.HasField("team"):
        words.append(f"team {visible(row.team)}")
    if row.discovered:
        words.append("discovered")
    return f"+ {visible(row.service_id)}  {', '.join(words)}"


def _dependency(row: Dependency) -> str:
    return f"+ {_edge(row)}  {label([row])}"


def _gone_service(row: RemovedService) -> str:
    # A watcher who was away learns of the id alone.
    return f"- {visible(row.service_id) or f'service {row.id}'}"


def _gone_dependency(row: RemovedDependency) -> str:
    if not row.source_service_id:
        return f"- dependency {row.id}"
    source = DiscoverySource.Name(row.discovery_source).removeprefix("DISCOVERY_SOURCE_").lower()
    return f"- {_edge(row)}  {source.replace('_', ' ')}"


def _edge(row: Dependency | RemovedDependency) -> str:
    return f"{visible(row.source_service_id)} -> {visible(row.target_service_id)}"
