"""A dependency, a path or a cycle in a few words."""

from collections.abc import Sequence
from typing import TypeAlias

from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_ASYNC,
    COMMUNICATION_MODE_UNKNOWN,
    CRITICALITY_UNKNOWN,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    SERVICE_KIND_SERVICE,
    SERVICE_KIND_UNSPECIFIED,
    CommunicationMode,
    Criticality,
    Dependency,
    DependencyCriticality,
    DiscoverySource,
    EffectiveDependency,
    Service,
    ServiceKind,
)
from server.cli.render.text import counted, enum_word, visible

MANUAL = DiscoverySource.Value("DISCOVERY_SOURCE_MANUAL")
MAX_PATH_NAMES, FIRST_PATH_NAMES, LAST_PATH_NAMES = 8, 4, 2
MAX_CYCLE_NAMES, FIRST_CYCLE_NAMES = 6, 4

AnyDependency: TypeAlias = Dependency | EffectiveDependency
"""What one source reports, or what all of them report together."""


def dependency_label(dependencies: Sequence[AnyDependency]) -> str:
    """
    Say how a service depends on another: ``sync hard grpc 800 ms``; ``+`` joins several sources.

    Sources are named unless a person alone reports it: ``sync hard (service mesh, kubernetes)``.
    """
    return " + ".join(_one_label(each) for each in dependencies)


def short_label(dependencies: Sequence[AnyDependency]) -> str:
    """Say how a service depends on another in few words, for drawings: ``sync hard``."""
    return " + ".join(dict.fromkeys(_kind(each) for each in dependencies))


def sources(each: AnyDependency) -> list[DiscoverySource.ValueType]:
    """Return who reports a dependency, in the order of the message."""
    return list(each.discovery_sources) if isinstance(each, EffectiveDependency) else [each.discovery_source]


def is_async(dependencies: Sequence[AnyDependency]) -> bool:
    """Whether all sources report that the caller does not wait for the callee."""
    return all(each.communication_mode == COMMUNICATION_MODE_ASYNC for each in dependencies)


def is_stale(dependencies: Sequence[AnyDependency]) -> bool:
    """Whether no source has observed it lately."""
    return all(each.is_stale for each in dependencies)


def service_label(row: Service) -> str:
    """Say what is known of a service: ``critical, team purchase``."""
    is_known = row.criticality != CRITICALITY_UNKNOWN
    words = [enum_word(Criticality, row.criticality) if is_known else "criticality unknown"]
    if row.kind not in {SERVICE_KIND_UNSPECIFIED, SERVICE_KIND_SERVICE}:
        words.insert(0, enum_word(ServiceKind, row.kind))
    if row.HasField("team"):
        words.append(f"team {visible(row.team)}")
    if row.discovered:
        words.append("discovered")
    return ", ".join(words)


def call_label(source: str, target: str) -> str:
    """Write a call: ``caller → callee``."""
    return f"{visible(source)} → {visible(target)}"


def path_label(names: Sequence[str]) -> str:
    """Write a path, a long one without its middle: ``a → b → c → d → … → y → z (25 hops)``."""
    shown = [visible(name) for name in names]
    if len(names) <= MAX_PATH_NAMES:
        return " → ".join(shown)
    shown = [*shown[:FIRST_PATH_NAMES], "…", *shown[-LAST_PATH_NAMES:]]
    return " → ".join(shown) + f" ({len(names) - 1:,} hops)"


def cycle_label(path: Sequence[str]) -> str:
    """Write a cycle, a long one without its middle: ``a → b → c → d → … → a (350 services)``."""
    if len(path) <= MAX_CYCLE_NAMES:
        return whole_cycle(path)
    shown = [visible(name) for name in path[:FIRST_CYCLE_NAMES]]
    return " → ".join([*shown, "…", shown[0]]) + f" ({counted(len(path), 'service')})"


def some_names(names: Sequence[str], total: int, most: int) -> str:
    """Write at most ``most`` names, 0 = all, and how many of ``total`` are left out."""
    shown = [visible(name) for name in names[: most or None]]
    rest = total - len(shown)
    return ", ".join([*shown, f"and {rest:,} more"] if rest > 0 else shown)


def whole_cycle(path: Sequence[str]) -> str:
    """Write every service of a cycle, and its first one again."""
    return " → ".join(visible(name) for name in [*path, *path[:1]])


def _kind(each: AnyDependency) -> str:
    """Say mode and criticality: ``sync hard``, ``unknown``, ``sync of unknown criticality``."""
    mode = enum_word(CommunicationMode, each.communication_mode)
    criticality = enum_word(DependencyCriticality, each.criticality)
    if each.criticality == DEPENDENCY_CRITICALITY_UNKNOWN:
        is_known = each.communication_mode != COMMUNICATION_MODE_UNKNOWN
        return f"{mode} of unknown criticality" if is_known else "unknown"
    if each.communication_mode == COMMUNICATION_MODE_UNKNOWN:
        return f"{criticality} of unknown mode"
    return f"{mode} {criticality}"


def _one_label(each: AnyDependency) -> str:
    words = [_kind(each)]
    if each.protocol:
        words.append(visible(each.protocol))
    if each.HasField("timeout_ms"):
        words.append(f"{each.timeout_ms:,} ms")
    if (found := sources(each)) != [MANUAL]:
        words.append(f"({', '.join(enum_word(DiscoverySource, source) for source in found)})")
    # The contract lets a dependency leave it unset; an effective one always has it.
    is_known = isinstance(each, EffectiveDependency) or each.HasField("confidence_score")
    if is_known and each.confidence_score < 1:
        words.append(f"confidence {each.confidence_score:.2g}")
    if each.is_stale:
        words.append("stale")
    return " ".join(words)
