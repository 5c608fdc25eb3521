"""What a file or an answer of another system comes to, in the words of the contract."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from google.protobuf.duration_pb2 import Duration

from depgraph.v1.dependency_service_pb2 import CalleePolicy, IngestGraphRequest, IngestNode, ReportDetails
from depgraph.v1.types_pb2 import (
    COMMUNICATION_MODE_UNKNOWN,
    CRITICALITY_UNKNOWN,
    DEPENDENCY_CRITICALITY_UNKNOWN,
    SERVICE_KIND_UNSPECIFIED,
    CommunicationMode,
    DiscoverySource,
    ServiceKind,
)
from server.domain.dependencies import PROTOCOL_MAX_LENGTH
from server.domain.services import name_problem

SELF_CALL = "a service that calls itself"
MAX_REASONS = 100
_MAX_REASON_LENGTH = 255
_OTHER_REASONS = "other reasons"
# What others run over: a mesh sees it of calls into which it can't look.
_WEAK_PROTOCOLS = ("", "tcp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """Entries that can't be used for the same reason; ``first`` is the position of one, from 0."""

    reason: str
    count: int
    first: int

    def __str__(self) -> str:
        """Describe them in a line."""
        if self.count == 1:
            return f"entry {self.first} skipped: {self.reason}"
        return f"{self.count:,} entries skipped, the first is entry {self.first}: {self.reason}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """
    What one file or one pull holds.

    - ``report``: of any size; ``native.batches`` cuts it. Nothing is in it that the source does not
      say: a service of which only the name is known is a node of unknown criticality.
    - ``element_count``: the elements (entries, series, objects) that were looked at, skipped ones
      included.
    - ``skipped``: those that could not be used, by reason.
    - ``remark``: what a person should know of all of it; empty = nothing.
    """

    report: IngestGraphRequest
    element_count: int
    skipped: tuple[Skipped, ...] = ()
    remark: str = ""

    def details(self, interval: Duration | None = None) -> ReportDetails:
        """Return the counts as the contract has them; reasons beyond its bound are joined."""
        details = ReportDetails(interval=interval, element_count=self.element_count)
        for place, each in enumerate(self.skipped):
            reason = each.reason if place < MAX_REASONS - 1 else _OTHER_REASONS
            details.skipped[reason[:_MAX_REASON_LENGTH]] += each.count
        return details


class Link(NamedTuple):
    """One dependency as a source sees it; an empty protocol is not known."""

    source: str
    target: str
    mode: CommunicationMode.ValueType = COMMUNICATION_MODE_UNKNOWN
    protocol: str = ""


class Call(NamedTuple):
    """What one element of a source comes to: dependencies, and kinds of the services it knows."""

    links: tuple[Link, ...]
    kinds: tuple[tuple[str, ServiceKind.ValueType], ...] = ()


def link_problem(source: str, target: str) -> str | None:
    """Say why there is no dependency between two names; None = there may be one."""
    if not source or not target:
        return f"the {'callee' if source else 'caller'} has no name"
    if problem := name_problem(source):
        return f"the caller's name {problem}"
    if problem := name_problem(target):
        return f"the callee's name {problem}"
    return SELF_CALL if source == target else None


def protocol_of(text: str) -> str:
    """Return a text as a protocol: cut to its length, empty if it can't be one."""
    return text[:PROTOCOL_MAX_LENGTH] if text.isprintable() and text.strip() else ""


@dataclass(slots=True)
class Draft:
    """
    Collects elements, in order, into a ``Reading``; equal pairs and names are merged.

    A value that is known beats one that is not; of two known ones the first stays.
    """

    source: DiscoverySource.ValueType
    _links: dict[tuple[str, str], Link] = field(default_factory=dict)
    _nodes: dict[str, IngestNode] = field(default_factory=dict)
    _skipped: dict[str, tuple[int, int]] = field(default_factory=dict)
    _policies: dict[tuple[str, str], CalleePolicy] = field(default_factory=dict)
    _elements: int = 0

    def take(self, outcome: Call | str) -> None:
        """Count an element, and add what it comes to, or the reason why it is skipped."""
        if isinstance(outcome, str):
            self.skip(outcome)
            return
        self._elements += 1
        for link in outcome.links:
            self.link(link)
        for name, kind in outcome.kinds:
            self.node(name, kind=kind)

    def skip(self, reason: str) -> None:
        """Count an element that can't be used."""
        count, first = self._skipped.get(reason, (0, self._elements))
        self._skipped[reason] = (count + 1, first)
        self._elements += 1

    def link(self, link: Link) -> None:
        """Add a dependency, of no element, to which ``link_problem`` has no objection."""
        known = self._links.get(link[:2])
        if known is None:
            self._links[link[:2]] = link
            for end in link[:2]:
                if end not in self._nodes:
                    self.node(end)
        elif link != known:
            mode = link.mode if known.mode == COMMUNICATION_MODE_UNKNOWN else known.mode
            protocol = known.protocol if known.protocol not in _WEAK_PROTOCOLS else ""
            protocol = protocol or link.protocol or known.protocol
            self._links[link[:2]] = Link(link.source, link.target, mode, protocol)

    def policy(self, outcome: CalleePolicy | str) -> None:
        """
        Count an element, and add the policy that it comes to, or the reason why it is skipped.

        Of several for the same callee and caller, the longest timeout and the most retries count.
        """
        if isinstance(outcome, str):
            self.skip(outcome)
            return
        self._elements += 1
        known = self._policies.setdefault((outcome.target_service_id, outcome.source_service_id), outcome)
        if outcome.HasField("timeout_ms"):
            known.timeout_ms = max(known.timeout_ms, outcome.timeout_ms)
        if outcome.HasField("retry_config") and (
            outcome.retry_config.max_retries >= known.retry_config.max_retries
        ):
            known.retry_config.CopyFrom(outcome.retry_config)

    def node(
        self,
        name: str,
        *,
        kind: ServiceKind.ValueType = SERVICE_KIND_UNSPECIFIED,
        team: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        """Add what is known of a service, of no element."""
        node = self._nodes.get(name)
        if node is None:
            node = IngestNode(service_id=name, criticality=CRITICALITY_UNKNOWN)
            self._nodes[name] = node
        node.kind = node.kind or kind
        if team and not node.team and not name_problem(team):
            node.team = team
        for key, value in (metadata or {}).items():
            if key not in node.metadata and value.isprintable():
                node.metadata[key] = value

    def reading(self, remark: str = "") -> Reading:
        """Return all of it: services and dependencies in the order in which they came."""
        report = IngestGraphRequest(
            discovery_source=self.source, nodes=self._nodes.values(), policies=self._policies.values()
        )
        for link in self._links.values():
            report.edges.add(
                source_service_id=link.source,
                target_service_id=link.target,
                communication_mode=link.mode,
                criticality=DEPENDENCY_CRITICALITY_UNKNOWN,
                protocol=link.protocol or None,
            )
        skipped = (
            Skipped(reason=reason, count=count, first=first)
            for reason, (count, first) in self._skipped.items()
        )
        return Reading(report=report, element_count=self._elements, skipped=tuple(skipped), remark=remark)
