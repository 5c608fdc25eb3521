"""A dependency in a few words."""

from collections.abc import Sequence

from depgraph.v1.types_pb2 import CommunicationMode, Dependency, DependencyCriticality, DiscoverySource
from server.cli.text import visible

MANUAL = DiscoverySource.Value("DISCOVERY_SOURCE_MANUAL")


def label(dependencies: Sequence[Dependency]) -> str:
    """Say how a service depends on another: ``sync hard grpc 800 ms``; what several sources say is joined by ``+``."""
    return " + ".join(_one(each) for each in dependencies)


def is_async(dependencies: Sequence[Dependency]) -> bool:
    """Whether no source says that the caller waits for the callee."""
    return all(each.communication_mode == CommunicationMode.COMMUNICATION_MODE_ASYNC for each in dependencies)


def is_stale(dependencies: Sequence[Dependency]) -> bool:
    """Whether no source has seen it lately."""
    return all(each.is_stale for each in dependencies)


def _one(each: Dependency) -> str:
    words = [
        CommunicationMode.Name(each.communication_mode).removeprefix("COMMUNICATION_MODE_").lower(),
        DependencyCriticality.Name(each.criticality).removeprefix("DEPENDENCY_CRITICALITY_").lower(),
    ]
    if each.protocol:
        words.append(visible(each.protocol))
    if each.HasField("timeout_ms"):
        words.append(f"{each.timeout_ms:,} ms")
    if each.discovery_source != MANUAL:
        source = DiscoverySource.Name(each.discovery_source).removeprefix("DISCOVERY_SOURCE_")
        words.append(f"({source.lower().replace('_', ' ')})")
    if each.HasField("confidence_score") and each.confidence_score < 1:
        words.append(f"confidence {each.confidence_score:.2g}")
    if each.is_stale:
        words.append("stale")
    return " ".join(words)
