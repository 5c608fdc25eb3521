"""A dependency in a few words."""

from collections.abc import Sequence
from typing import TypeAlias

from depgraph.v1.types_pb2 import (
    CommunicationMode,
    Dependency,
    DependencyCriticality,
    DiscoverySource,
    EffectiveDependency,
)
from server.cli.render.text import visible

MANUAL = DiscoverySource.Value("DISCOVERY_SOURCE_MANUAL")

Drawn: TypeAlias = Dependency | EffectiveDependency
"""What is drawn as an arrow: what one source says, or all of them together."""


def sources(each: Drawn) -> list[DiscoverySource.ValueType]:
    """Return who says so, in the order of the message."""
    return list(each.discovery_sources) if isinstance(each, EffectiveDependency) else [each.discovery_source]


def label(dependencies: Sequence[Drawn]) -> str:
    """
    Say how a service depends on another: ``sync hard grpc 800 ms``; what several sources say is joined by ``+``.

    Sources are named unless it is a person alone: ``sync hard (service mesh, kubernetes)``.
    """
    return " + ".join(_one(each) for each in dependencies)


def is_async(dependencies: Sequence[Drawn]) -> bool:
    """Whether no source says that the caller waits for the callee."""
    return all(each.communication_mode == CommunicationMode.COMMUNICATION_MODE_ASYNC for each in dependencies)


def is_stale(dependencies: Sequence[Drawn]) -> bool:
    """Whether no source has seen it lately."""
    return all(each.is_stale for each in dependencies)


def _one(each: Drawn) -> str:
    words = [
        CommunicationMode.Name(each.communication_mode).removeprefix("COMMUNICATION_MODE_").lower(),
        DependencyCriticality.Name(each.criticality).removeprefix("DEPENDENCY_CRITICALITY_").lower(),
    ]
    if each.protocol:
        words.append(visible(each.protocol))
    if each.HasField("timeout_ms"):
        words.append(f"{each.timeout_ms:,} ms")
    if (found := sources(each)) != [MANUAL]:
        words.append(f"({', '.join(map(source_word, found))})")
    # Of a dependency the contract can leave it unset; an effective one always has it.
    known = isinstance(each, EffectiveDependency) or each.HasField("confidence_score")
    if known and each.confidence_score < 1:
        words.append(f"confidence {each.confidence_score:.2g}")
    if each.is_stale:
        words.append("stale")
    return " ".join(words)


def source_word(source: DiscoverySource.ValueType) -> str:
    """Write a discovery source as people read it: ``service mesh``."""
    return DiscoverySource.Name(source).removeprefix("DISCOVERY_SOURCE_").lower().replace("_", " ")
